"""XLSR: grouped convolutions and a clipped ReLU, made for int8 (arXiv 2105.10288).

    image ─┬─ conv 3-32 ─ conv 1x1 ─ 3 × Gblock ─ concat ─ conv 1x1 48-32 ─ conv 32-3s² ─ clipped ReLU ─ PixelShuffle
           └─ conv 3-16 ────────────────────────────┘

    Gblock: conv 32-32 in four groups ─ ReLU ─ conv 1x1 32-32

There is no enlarged image to add at the end: the pixels themselves go through the network, and the clipped ReLU
(a clamp to the pixel range) keeps the last tensor in a range that int8 knows exactly. The start lets the image through:
the three colors travel in the first channels of the short branch and leave as nearest-neighbor upsampling.
Where the paper is not explicit, here: ReLU follows every 3x3 convolution but the last, and the 1x1 that joins branches.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.plain import nearest_kernel, start_first, start_middle, start_tail, zero_biases

_WIDTH, _SHORT, _GROUPS, _BLOCKS = 32, 16, 4, 3
_WHITE = 255.0


class GBlock(nn.Module):
    """(B, C, H, W) to the same: a grouped 3x3 convolution, ReLU, and the 1x1 convolution that mixes the groups."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(width, width, 3, padding=1, groups=_GROUPS)
        self.mix = nn.Conv2d(width, width, 1)
        start_middle(self.grouped.weight, _GROUPS)
        start_middle(self.mix.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.mix(F.relu(self.grouped(features)))
        return mixed


class XLSR(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..255 to (B, 3, H*scale, W*scale) in 0..255.

    21,947 parameters at x3 (the paper: 22 k). In training mode the output is not clipped.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.long = nn.Conv2d(3, _WIDTH, 3, padding=1)
        self.enter = nn.Conv2d(_WIDTH, _WIDTH, 1)
        self.blocks = nn.Sequential(*(GBlock(_WIDTH) for _ in range(_BLOCKS)))
        self.short = nn.Conv2d(3, _SHORT, 3, padding=1)
        self.join = nn.Conv2d(_SHORT + _WIDTH, _WIDTH, 1)
        self.tail = nn.Conv2d(_WIDTH, 3 * scale * scale, 3, padding=1)
        self.upsample = nn.PixelShuffle(scale)
        self._start(scale)

    @torch.no_grad()
    def _start(self, scale: int) -> None:
        start_first(self.long.weight)
        start_middle(self.enter.weight)
        start_first(self.short.weight)
        nn.init.dirac_(self.short.weight[:3])
        start_middle(self.join.weight)
        self.join.weight[:3] = 0.0
        nn.init.dirac_(self.join.weight[:3])
        start_tail(self.tail.weight)
        self.tail.weight[:, :3, 1, 1] += nearest_kernel(scale)[..., 0, 0]
        zero_biases(self)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.blocks(self.enter(F.relu(self.long(image))))
        joined = F.relu(self.join(torch.cat((F.relu(self.short(image)), features), dim=1)))
        restored: torch.Tensor = self.upsample(self.tail(joined))
        return restored if self.training else restored.clamp(0.0, _WHITE)


def build(scale: int) -> XLSR:
    """XLSR for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return XLSR(scale).eval()


SPEC = ModelSpec(
    name="xlsr",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=3,
    halo=_BLOCKS + 2,  # one pixel for each 3x3 convolution: the first, those of the blocks, the last
    paper=Paper(
        "Extremely Lightweight Quantization Robust Real-Time Single-Image Super Resolution for Mobile Devices",
        "2105.10288",
    ),
)
