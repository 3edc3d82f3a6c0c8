"""SPAN: attention without parameters, winner of NTIRE 2024 (arXiv 2311.12770), in its slim form of 28 channels.

    image ─ normalize ─ conv ─┬─ 6 × block ─ conv ─┐
                              └──────────────── concat ─ conv 1x1 ─ conv ─ PixelShuffle
                      (and what block 1 gives, and the first SiLU of block 6)

A block is three convolutions, SiLU between them; what comes out is added to the input and multiplied with its own
sigmoid less one half. The image goes in as (x - mean) * 255: here a frozen 1x1 convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.importers.published import renamed
from clearport.models.layers.esa import conv3

if TYPE_CHECKING:
    from clearport.models.importers.checkpoint import Source

_WIDTH, _DEPTH = 28, 6
_MEAN, _SPAN = (0.4488, 0.4371, 0.4040), 255.0


class SPAB(nn.Module):
    """Swift parameter-free attention block: (B, C, H, W) to the same, and what its first SiLU gave."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c1_r, self.c2_r, self.c3_r = (conv3(width, width) for _ in range(3))

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first = F.silu(self.c1_r(features))
        last = self.c3_r(F.silu(self.c2_r(first)))
        return (last + features) * (torch.sigmoid(last) - 0.5), first


class SPAN(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1 to (B, 3, H*scale, W*scale) in 0..1.

    150,688 parameters at x4 with 28 channels. In training mode the output is not clipped.
    """

    unit: torch.Tensor
    offset: torch.Tensor

    def __init__(self, scale: int, width: int = _WIDTH) -> None:
        super().__init__()
        self.conv_1 = conv3(3, width)
        for i in range(1, _DEPTH + 1):
            self.add_module(f"block_{i}", SPAB(width))
        self.conv_cat = nn.Conv2d(4 * width, width, 1)
        self.conv_2 = conv3(width, width)
        self.upsampler = nn.Sequential(conv3(width, 3 * scale * scale), nn.PixelShuffle(scale))
        self.register_buffer("unit", _SPAN * torch.eye(3)[..., None, None], persistent=False)
        self.register_buffer("offset", -_SPAN * torch.tensor(_MEAN), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.conv_1(F.conv2d(image, self.unit, self.offset))
        features, early, late = first, first, first
        for i in range(1, _DEPTH + 1):
            features, late = self.get_submodule(f"block_{i}")(features)
            early = features if i == 1 else early
        joined = torch.cat((first, self.conv_2(features), early, late), dim=1)
        restored: torch.Tensor = self.upsampler(self.conv_cat(joined))
        return restored if self.training else restored.clamp(0.0, 1.0)


def build(scale: int) -> SPAN:
    """SPAN with 28 channels for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return SPAN(scale).eval()


def published_state_dict(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The authors' collapsed weights (``conv_1.eval_conv.weight`` ...), or None for any other file."""
    del scale  # the shapes tell, and are checked against the network by the caller
    return renamed(source, r"\.eval_conv\.", ((r"\.eval_conv\.", "."),))


SPEC = ModelSpec(
    name="span",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=4,
    halo=3 * _DEPTH + 3,  # one pixel for each 3x3 convolution: the first, those of the blocks, the two of the end
    value_range=(0.0, 1.0),
    paper=Paper("Swift Parameter-free Attention Network for Efficient Super-Resolution", "2311.12770"),
    importers=(published_state_dict,),
    published=(
        "span_ch28_x4.pth of Amazingren/NTIRE2024_ESR (MIT). Measured: x4 31.75/28.41 dB Y and 29.86/26.60 dB RGB "
        "on Set5/Set14; the paper reports 32.20/28.66 Y for 48 channels and none for 28."
    ),
)
