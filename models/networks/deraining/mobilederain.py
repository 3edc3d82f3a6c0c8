"""MobileDerain: a derainer for phones, of plain operators that have int8 kernels everywhere.

    image ─ space_to_depth(2) ─ conv ─ conv ─┬─ conv, stride 2 ─ 3 residual blocks ─ conv 1x1 ─ depth_to_space(2) ─┐
      │                            (H/2)     └───────────────────────── add ─────────────────────────────────────┘
      │                                                                  │
      └──────────────────────────────── subtract ─ depth_to_space(2) ─ conv ─ conv
                                           │
                                          clip

It is clearport's own, after what the papers on deraining agree on: the rain layer is learned and subtracted (Fu et al.,
Deep Detail Network, CVPR 2017), streaks are long, so that most layers work at a quarter of the resolution and see 37
pixels to each side, and features of both resolutions are added (U-Net, arXiv 1505.04597). There is no normalization, no
attention and no activation but ReLU. The quantizer may still choose a tail in float, where that measures better.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.training.outputs import Restored

_WHITE = 255.0
_NEAR, _FAR = 24, 36
_BLOCKS = 3


class _Block(nn.Module):
    """Two 3x3 convolutions whose result is added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.normal_(self.second.weight, std=1e-2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(features + self.second(F.relu(self.first(features))))


class MobileDerain(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..255, H and W multiples of 4, to the same without rain.

    In training mode it gives ``Restored`` with the rain layer that it subtracted, and the picture is not clipped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(2)
        self.head = nn.Conv2d(12, _NEAR, 3, padding=1)
        self.near = nn.Conv2d(_NEAR, _NEAR, 3, padding=1)
        self.down = nn.Conv2d(_NEAR, _FAR, 3, stride=2)
        self.far = nn.ModuleList(_Block(_FAR) for _ in range(_BLOCKS))
        self.up = nn.Conv2d(_FAR, 4 * _NEAR, 1)
        self.shuffle = nn.PixelShuffle(2)
        self.merge = nn.Conv2d(_NEAR, _NEAR, 3, padding=1)
        self.tail = nn.Conv2d(_NEAR, 12, 3, padding=1)
        nn.init.normal_(self.tail.weight, std=1e-3)
        for convolution in (m for m in self.modules() if isinstance(m, nn.Conv2d)):
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        near = F.relu(self.near(F.relu(self.head(self.unshuffle(image)))))  # (B, 24, H/2, W/2)
        far = F.relu(self.down(F.pad(near, (0, 1, 0, 1))))  # (B, 36, H/4, W/4)
        for block in self.far:
            far = block(far)
        merged = F.relu(self.merge(near + self.shuffle(self.up(far))))  # (B, 24, H/2, W/2)
        rain: torch.Tensor = self.shuffle(self.tail(merged))  # (B, 3, H, W)
        restored = image - rain
        return Restored(restored, maps={"rain": rain}) if self.training else restored.clamp(0.0, _WHITE)


def build(scale: int) -> MobileDerain:
    """MobileDerain in eval mode, with fresh weights from torch's global generator; ``scale`` is 1."""
    del scale
    return MobileDerain().eval()


SPEC = ModelSpec(
    name="mobilederain",
    task="deraining",
    build=build,
    scales=(1,),
    default_scale=1,
    size_multiple=4,
    halo=37,
    paper=Paper("Removing Rain from Single Images via a Deep Detail Network", "10.1109/CVPR.2017.186"),
    recommended=True,
    recipe={
        "degradation": "rain",
        "loss": "l1 + 0.02*quasi-sparsity + 0.02*low-rain",
        "patch": 64,
        "batch": 16,
    },
)
