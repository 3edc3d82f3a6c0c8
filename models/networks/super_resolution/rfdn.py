"""RFDN: residual feature distillation (arXiv 2009.11551), the size of the NTIRE 2022 baseline.

    image ─ conv ─┬─ 4 × block ─ concat of all four ─ conv 1x1 ─ conv ─ add ─ conv ─ PixelShuffle
                  └───────────────────────────────────────────────────┘

A block is ``Distillation`` of ``layers.distillation``, with LeakyReLU. Published state dicts fit as they are.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.distillation import Distillation
from clearport.models.layers.esa import HALO, LEAST_SIDE, conv3

_WIDTH, _SLOPE, _WHITE = 50, 0.05, 255.0


def _act(features: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(features, _SLOPE)


class RFDN(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..255 to (B, 3, H*scale, W*scale) in 0..255; 433,448 parameters at x4.

    Height and width must be at least 16. In training mode the output is not clipped.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.fea_conv = conv3(3, _WIDTH)
        self.B1, self.B2, self.B3, self.B4 = (Distillation(_WIDTH, _act) for _ in range(4))
        self.c = nn.Sequential(nn.Conv2d(4 * _WIDTH, _WIDTH, 1), nn.LeakyReLU(_SLOPE))
        self.LR_conv = conv3(_WIDTH, _WIDTH)
        self.upsampler = nn.Sequential(conv3(_WIDTH, 3 * scale * scale), nn.PixelShuffle(scale))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.fea_conv(image)
        outputs = [first]
        for block in (self.B1, self.B2, self.B3, self.B4):
            outputs.append(block(outputs[-1]))
        fused = self.LR_conv(self.c(torch.cat(outputs[1:], dim=1))) + first
        restored: torch.Tensor = self.upsampler(fused)
        return restored if self.training else restored.clamp(0.0, _WHITE)


def build(scale: int) -> RFDN:
    """RFDN for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return RFDN(scale).eval()


SPEC = ModelSpec(
    name="rfdn",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=4,
    halo=HALO,
    least_side=LEAST_SIDE,
    paper=Paper("Residual Feature Distillation Network for Lightweight Image Super-Resolution", "2009.11551"),
    published=(
        "rfdn_x4.pth of njulj/RFDN (MIT), the baseline of NTIRE 2022. Measured: x4 32.16/28.65 dB Y and "
        "30.26/26.84 dB RGB on Set5/Set14; the paper reports 32.24/28.61 Y for its larger form."
    ),
)
