"""SAFMN: spatially adaptive feature modulation (arXiv 2302.13800), as its authors entered it in NTIRE 2023.

    image ─┬─ conv ─ response normalization ─ 8 × block ─ conv ─ PixelShuffle ─ add ─ clip
           └─ bilinear enlargement ────────────────────────────────────────────┘

A block is a modulation and a mixer (conv 3x3, GELU, conv 1x1), each added to its input. The modulation splits the
channels in four: one part is filtered as it is, the others after max-pooling by 4, 8 and 16, and enlarged again; the
GELU of their mix multiplies the input. Normalization compares the energy of each channel over the whole picture.

The authors pool to size // 16 by an adaptive pooling, which no phone has; where both sides are multiples of 16 the
fixed windows used here are the same. For other multiples of 8 the last window is the half that lies in the picture.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper

_WIDTH, _DEPTH, _LEVELS = 36, 8, 4


class ResponseNorm(nn.Module):
    """Global response normalization (arXiv 2301.00808): (B, C, H, W) to the same.

    The energy is a mean over the picture where the paper has a sum, whose square root of a large picture float16 does
    not hold; only their ratio counts. Trained networks see no difference.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        energy = (features * features).mean(dim=(2, 3), keepdim=True).sqrt()
        share = energy / (energy.mean(dim=1, keepdim=True) + 1e-6)
        return features * (self.gamma * share + 1.0) + self.beta


class SAFM(nn.Module):
    """Spatially adaptive feature modulation: (B, C, H, W) to the same; sides are multiples of 8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        part = width // _LEVELS
        self.mfr = nn.ModuleList(nn.Conv2d(part, part, 3, padding=1, groups=part, bias=False) for _ in range(_LEVELS))
        self.aggr = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        height, width = features.shape[-2:]
        parts = features.chunk(_LEVELS, dim=1)
        filtered = [self.mfr[0](parts[0])]
        for level in (1, 2):
            step = 2 ** (level + 1)
            coarse = self.mfr[level](F.max_pool2d(parts[level], step))
            filtered.append(F.interpolate(coarse, scale_factor=float(step), mode="nearest"))
        eighth = F.pad(F.max_pool2d(parts[3], 8), (0, 1, 0, 1), mode="replicate")
        coarse = self.mfr[3](F.max_pool2d(eighth, 2))
        enlarged = F.interpolate(coarse, scale_factor=16.0, mode="nearest")
        filtered.append(enlarged[:, :, :height, :width])
        return F.gelu(self.aggr(torch.cat(filtered, dim=1))) * features


class Block(nn.Module):
    """Modulation and mixer, each added to its input: (B, C, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.safm = SAFM(width)
        self.ccm = nn.ModuleDict({"ccm": _mixer(width, 2 * width)})

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        modulated: torch.Tensor = self.safm(features) + features
        mixed: torch.Tensor = self.ccm["ccm"](modulated)
        return mixed + modulated


def _mixer(width: int, inside: int) -> nn.Sequential:
    first = nn.Conv2d(width, inside, 3, padding=1, bias=False)
    return nn.Sequential(first, nn.GELU(), nn.Conv2d(inside, width, 1, bias=False))


class SAFMN(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1 to (B, 3, H*scale, W*scale) in 0..1; 237,000 parameters at x4.

    Height and width must be multiples of 8. In training mode the output is not clipped.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.norm = ResponseNorm(_WIDTH)
        self.to_feat = nn.Conv2d(3, _WIDTH, 3, padding=1)
        self.feats = nn.Sequential(*(Block(_WIDTH) for _ in range(_DEPTH)))
        self.to_img = nn.Sequential(nn.Conv2d(_WIDTH, 3 * scale * scale, 3, padding=1), nn.PixelShuffle(scale))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        enlarged = F.interpolate(image, scale_factor=float(self.scale), mode="bilinear", align_corners=False)
        restored: torch.Tensor = self.to_img(self.feats(self.norm(self.to_feat(image)))) + enlarged
        return restored if self.training else restored.clamp(0.0, 1.0)


def build(scale: int) -> SAFMN:
    """SAFMN for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return SAFMN(scale).eval()


SPEC = ModelSpec(
    name="safmn",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=4,
    halo=32,  # an overlap that hides seams; eight poolings by 16 in a row reach across any tile
    size_multiple=8,
    value_range=(0.0, 1.0),
    whole_picture=True,  # the normalization
    paper=Paper("Spatially-Adaptive Feature Modulation for Efficient Image Super-Resolution", "2302.13800"),
    published=(
        "safmn_x4.pth of sunny2109/SAFMN (Apache-2.0), the entry of NTIRE 2023. Measured: x4 32.16/28.63 dB Y and "
        "30.23/26.81 dB RGB on Set5/Set14, pictures mirrored outward to multiples of 16; the paper reports "
        "32.18/28.60 Y for the form with layer normalization."
    ),
)
