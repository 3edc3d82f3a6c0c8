"""RLFN: residual local features, winner of NTIRE 2022 efficient super resolution (arXiv 2205.07514).

    image ─ conv ─┬─ blocks ─ conv ─ add ─ conv ─ PixelShuffle
                  └───────────────────┘

A block is three convolutions with LeakyReLU, plus its input, a 1x1 convolution and spatial attention (``layers.esa``).
At x4 it is the network of the challenge: four blocks of 46 channels, 48 inside. At x2 and x3 it is the paper's
RLFN-S: six blocks of 48 channels. Published state dicts fit as they are.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.esa import ESA, HALO, LEAST_SIDE, conv3

_SLOPE, _ESA_WIDTH, _WHITE = 0.05, 16, 255.0


class RLFB(nn.Module):
    """Residual local feature block: (B, C, H, W) to the same."""

    def __init__(self, width: int, inside: int) -> None:
        super().__init__()
        self.c1_r = conv3(width, inside)
        self.c2_r = conv3(inside, inside)
        self.c3_r = conv3(inside, width)
        self.c5 = nn.Conv2d(width, width, 1)
        self.esa = ESA(width, _ESA_WIDTH, deep=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inner = features
        for convolution in (self.c1_r, self.c2_r, self.c3_r):
            inner = F.leaky_relu(convolution(inner), _SLOPE)
        attended: torch.Tensor = self.esa(self.c5(inner + features))
        return attended


class RLFN(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..255 to (B, 3, H*scale, W*scale) in 0..255.

    317,218 parameters at x4, 454,620 at x2. Height and width must be at least 16. In training mode the output is
    not clipped.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        width, inside, self.depth = (46, 48, 4) if scale == 4 else (48, 48, 6)
        self.conv_1 = conv3(3, width)
        for i in range(1, self.depth + 1):
            self.add_module(f"block_{i}", RLFB(width, inside))
        self.conv_2 = conv3(width, width)
        self.upsampler = nn.Sequential(conv3(width, 3 * scale * scale), nn.PixelShuffle(scale))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.conv_1(image)
        features = first
        for i in range(1, self.depth + 1):
            features = self.get_submodule(f"block_{i}")(features)
        restored: torch.Tensor = self.upsampler(self.conv_2(features) + first)
        return restored if self.training else restored.clamp(0.0, _WHITE)


def build(scale: int) -> RLFN:
    """RLFN for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return RLFN(scale).eval()


SPEC = ModelSpec(
    name="rlfn",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=4,
    halo=HALO,
    least_side=LEAST_SIDE,
    paper=Paper("Residual Local Feature Network for Efficient Super-Resolution", "2205.07514"),
    published=(
        "rlfn_ntire_x4.pth and rlfn_s_x2.pth of bytedance/RLFN (Apache-2.0). Measured: x4 32.10/28.60 dB Y and "
        "30.21/26.80 dB RGB on Set5/Set14, the paper 32.24/28.62 Y for its larger form; x2 38.05/33.63 dB Y and "
        "35.86/31.57 dB RGB, the paper 38.05/33.68 Y."
    ),
)
