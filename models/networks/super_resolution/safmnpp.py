"""SAFMN++ light: the modulation of SAFMN made simpler, for real time (arXiv 2302.13800; AIS 2024 challenge).

    image ─ conv ─┬─ 2 × (modulation ─ conv 3x3 ─ GELU ─ conv 1x1) ─ add ─ conv ─ PixelShuffle
                  └──────────────────────────────────────────────────┘

The modulation is a convolution whose first half of channels is multiplied with a coarse look at itself: max-pooled by
8, filtered, enlarged bilinearly, GELU. No convolution has a bias.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper

_WIDTH, _INSIDE, _DEPTH, _STEP = 32, 48, 2, 8


class SimpleSAFM(nn.Module):
    """(B, C, H, W) to the same; sides are multiples of 8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.part = width // 2
        self.proj = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.dwconv = nn.Conv2d(self.part, self.part, 3, padding=1, groups=self.part, bias=False)
        self.out = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        projected = self.proj(features)
        looked, kept = projected[:, : self.part], projected[:, self.part :]
        coarse = self.dwconv(F.max_pool2d(looked, _STEP))
        enlarged = F.interpolate(coarse, scale_factor=float(_STEP), mode="bilinear", align_corners=False)
        joined = torch.cat((kept, F.gelu(enlarged) * looked), dim=1)
        modulated: torch.Tensor = self.out(F.gelu(joined))
        return modulated


class Mixer(nn.Module):
    """conv 3x3 ─ GELU ─ conv 1x1: (B, C, H, W) to the same."""

    def __init__(self, width: int, inside: int) -> None:
        super().__init__()
        first = nn.Conv2d(width, inside, 3, padding=1, bias=False)
        self.conv = nn.Sequential(first, nn.GELU(), nn.Conv2d(inside, width, 1, bias=False))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.conv(features)
        return mixed


class Block(nn.Module):
    """Modulation, then mixer: (B, C, H, W) to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = SimpleSAFM(_WIDTH)
        self.conv2 = Mixer(_WIDTH, _INSIDE)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.conv2(self.conv1(features))
        return mixed


class SAFMNPP(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1 to (B, 3, H*scale, W*scale) in 0..1; 66,176 parameters at x4.

    Height and width must be multiples of 8. In training mode the output is not clipped.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.to_feat = nn.Conv2d(3, _WIDTH, 3, padding=1, bias=False)
        self.feats = nn.Sequential(*(Block() for _ in range(_DEPTH)))
        last = nn.Conv2d(_WIDTH, 3 * scale * scale, 3, padding=1, bias=False)
        self.to_img = nn.Sequential(last, nn.PixelShuffle(scale))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.to_feat(image)
        restored: torch.Tensor = self.to_img(self.feats(first) + first)
        return restored if self.training else restored.clamp(0.0, 1.0)


def build(scale: int) -> SAFMNPP:
    """Light SAFMN++ for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return SAFMNPP(scale).eval()


SPEC = ModelSpec(
    name="safmnpp",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=4,
    halo=40,  # of about 50: a window of 8, a neighbor for the filter and one for the enlargement, twice, and the rest
    size_multiple=8,
    value_range=(0.0, 1.0),
    paper=Paper("Spatially-Adaptive Feature Modulation for Efficient Image Super-Resolution", "2302.13800"),
    published=(
        "light_safmnpp_x4.pth of sunny2109/SAFMN (Apache-2.0), whose averaged weights are taken. Measured: x4 "
        "30.43/27.49 dB Y and 26.96/24.94 dB RGB on Set5/Set14, pictures mirrored outward to multiples of 16; it "
        "was made for AVIF-coded pictures, whose colors it smooths, and the authors give no figure for these "
        "sets."
    ),
)
