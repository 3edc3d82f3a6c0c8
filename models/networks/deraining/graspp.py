"""GRASPP: ResNet features and atrous spatial pyramid pooling for many kinds of streaks (arXiv 1910.03839).

    image ─ 3x3 ─ 2 blocks ─ down, 2 blocks ─ 2 blocks ─ 2 blocks ─┬─ 1x1 ──────────────────┬─ up ─ add ─ 3x3 ─ rain
              │      (H)         (H/2)                             ├─ 3x3, dilated by 2, 4, 8 ┤           │      │
              │                                                    └─ average of all ─ 1x1 ─┘           │   subtract
              └─────────────────────────────────────────────────────────────────────────────────────────┘      │
                                                                                                              clip

What the paper says: the backbone is a modified ResNet-18, which extracts features, and a revised ASPP, which adapts to
shapes and sizes of streaks; a gradient loss, taken by a Sobel convolution layer, supervises the training; an
adversarial scheme trains it further. (GRASPP-GAN is the whole; this is the generator, the part that restores.)

What it leaves open, and what was chosen here:

- ResNet-18's four stages of two basic blocks, modified for restoration: a 3x3 head of stride 1 without pooling, one
  halving instead of five, 16 and 32 channels, no normalization (batches are small; blocks start near the identity).
- ASPP's branches: 1x1, 3x3 with dilations 2, 4 and 8, and the average of the picture. Their concatenation goes
  through a 1x1 convolution; the average's share of it is computed on the average itself and added, which is the
  same without spreading it over the picture first.
- The rain layer is learned and subtracted. The discriminator is in ``discriminator.py``.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.derain import Down, ResidualBlock, Up, start, start_at
from clearport.models.training.outputs import Restored

_FULL, _HALF = 16, 32
_DILATIONS = (2, 4, 8)


def _stage(width: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(width), ResidualBlock(width))


class _Aspp(nn.Module):
    """Atrous spatial pyramid pooling with a branch that sees the whole picture: (B, width, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(width, width, 1)
        self.atrous = nn.ModuleList(nn.Conv2d(width, width, 3, padding=d, dilation=d) for d in _DILATIONS)
        self.whole = nn.Conv2d(width, width, 1)
        self.merge = nn.Conv2d((1 + len(_DILATIONS)) * width, width, 1)
        self.merge_whole = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        branches = torch.cat([F.relu(branch(features)) for branch in (self.point, *self.atrous)], dim=1)
        whole = F.relu(self.whole(features.mean(dim=(2, 3), keepdim=True)))  # (B, width, 1, 1)
        return F.relu(self.merge(branches) + self.merge_whole(whole))


class Graspp(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1, H and W even, to the same without rain. 179,283 parameters.

    In training mode it gives ``Restored`` with the map ``rain`` (B, 3, H, W).
    """

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, _FULL, 3, padding=1)
        self.stage1 = _stage(_FULL)
        self.down = Down(_FULL, _HALF)
        self.stage2, self.stage3, self.stage4 = _stage(_HALF), _stage(_HALF), _stage(_HALF)
        self.aspp = _Aspp(_HALF)
        self.up = Up(_HALF, _FULL)
        self.tail = nn.Conv2d(_FULL, 3, 3, padding=1)
        start(self)
        start_at(self.tail, 0.0)

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        full = self.stage1(F.relu(self.head(image)))  # (B, 16, H, W)
        half = self.stage4(self.stage3(self.stage2(self.down(full))))  # (B, 32, H/2, W/2)
        rain: torch.Tensor = self.tail(F.relu(full + self.up(self.aspp(half))))
        restored = image - rain
        return Restored(restored, maps={"rain": rain}) if self.training else restored.clamp(0.0, 1.0)


def build(scale: int) -> Graspp:
    """The generator in eval mode, with fresh weights from torch's global generator; ``scale`` is 1."""
    del scale
    return Graspp().eval()


SPEC = ModelSpec(
    name="graspp",
    task="deraining",
    build=build,
    scales=(1,),
    default_scale=1,
    size_multiple=2,
    halo=50,  # so far reach the convolutions; one branch looks at the whole picture
    whole_picture=True,
    value_range=(0.0, 1.0),
    paper=Paper("Gradient Information Guided Deraining with A Novel Network and Adversarial Training", "1910.03839"),
    recipe={"degradation": "rain", "loss": "l1 + 0.1*gradient + 0.002*adversarial", "patch": 64, "batch": 8},
)
