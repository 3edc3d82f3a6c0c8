"""Units of ShuffleNet (arXiv 1707.01083): grouped 1x1 convolutions, and a channel shuffle between the groups."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.models.layers.derain import Down, Residual, ResidualBlock, Up


def channel_shuffle(features: torch.Tensor, groups: int) -> torch.Tensor:
    """(B, C, H, W) with channel ``g * C/groups + k`` moved to ``k * groups + g``; C is a multiple of ``groups``."""
    batch, channels, height, width = features.shape
    split = features.reshape(batch, groups, channels // groups, height, width)
    return split.transpose(1, 2).reshape(batch, channels, height, width)


class ShuffleUnit(Residual):
    """(B, width, H, W), nonnegative, to the same; ``width`` is a multiple of 4 * groups.

        ─┬─ grouped 1x1 to width/4 ─ ReLU ─ shuffle ─ depthwise 3x3 ─ grouped 1x1 to width ─ add ─ ReLU
         └──────────────────────────────────────────────────────────────────────────────────┘

    As in the paper, but without batch normalization, which is inaccurate for the small batches of restoration.
    """

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        inner = width // 4
        self.groups = groups
        self.squeeze = nn.Conv2d(width, inner, 1, groups=groups)
        self.depthwise = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.last = nn.Conv2d(inner, width, 1, groups=groups)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inner = channel_shuffle(F.relu(self.squeeze(features)), self.groups)
        return F.relu(features + self.last(self.depthwise(inner)))


class ShuffleEncoderDecoder(nn.Module):
    """Pictures (B, 3, H, W) to maps (B, outputs, H, W), H and W multiples of 4.

        5x5 ─ block ─ down ─ down ─ ShuffleNet units ─ up ─ add ─ 3x3 ─ up ─ add ─ 3x3 ─ 3x3
                │       └──────────────────────────────────┘                  │
                └─────────────────────────────────────────────────────────────┘

    The residual block at full resolution is needed: with a single convolution, streaks are not distinguished from
    edges, and the maps do not change from their initial values.
    """

    def __init__(self, width: int, units: int, groups: int, outputs: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 5, padding=2)
        self.near = ResidualBlock(width)
        self.down_half = Down(width, 2 * width)
        self.down_quarter = Down(2 * width, 4 * width)
        self.units = nn.Sequential(*(ShuffleUnit(4 * width, groups) for _ in range(units)))
        self.up_half = Up(4 * width, 2 * width, kernel=1)
        self.merge_half = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.up_full = Up(2 * width, width, kernel=1)
        self.merge_full = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        full = self.near(F.relu(self.head(image)))  # (B, width, H, W)
        half = self.down_half(full)  # (B, 2 * width, H/2, W/2)
        deep = self.units(self.down_quarter(half))  # (B, 4 * width, H/4, W/4)
        half = F.relu(self.merge_half(F.relu(half + self.up_half(deep))))
        full = F.relu(self.merge_full(F.relu(full + self.up_full(half))))
        maps: torch.Tensor = self.tail(full)
        return maps
