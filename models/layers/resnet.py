"""Residual networks (arXiv 1512.03385) as backbones of classifiers, of any width."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

EXPANSION = 4
PUBLISHED, HALF = 64, 32
"""Widths: the published one, and one for phones."""


class Basic(nn.Module):
    """(B, C, H, W) to (B, D, H/stride, W/stride): two 3x3 convolutions beside a skip."""

    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(taken, given, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(given)
        self.conv2 = nn.Conv2d(given, given, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(given)
        self.skip = _projected(taken, given, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(features)))))
        return F.relu(found + self.skip(features))


class Bottleneck(nn.Module):
    """(B, C, H, W) to (B, D, H/stride, W/stride): 1x1, 3x3 (with the stride), 1x1, beside a skip."""

    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        narrow = given // EXPANSION
        self.conv1 = nn.Conv2d(taken, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, given, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(given)
        self.skip = _projected(taken, given, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = F.relu(self.bn1(self.conv1(features)))
        found = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(found)))))
        return F.relu(found + self.skip(features))


def _projected(taken: int, given: int, stride: int) -> nn.Module:
    if taken == given and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(taken, given, 1, stride, bias=False), nn.BatchNorm2d(given))


class ResNet(nn.Module):
    """(B, 3, H, W) to features (B, ``channels``): the mean over the last map, of H/32 x W/32.

    Args:
        blocks: number of blocks of the four stages; (2, 2, 2, 2) is ResNet-18, (3, 4, 6, 3) with bottlenecks ResNet-50.
        width: channels of the stem.
        bottleneck: whether blocks are bottlenecks.
    """

    def __init__(self, blocks: tuple[int, int, int, int], width: int, *, bottleneck: bool) -> None:
        super().__init__()
        block, times = (Bottleneck, EXPANSION) if bottleneck else (Basic, 1)
        widths = (width, *(width * times * 2**stage for stage in range(4)))
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        layers: list[nn.Module] = []
        for stage, ((taken, given), count) in enumerate(zip(pairwise(widths), blocks, strict=True)):
            for number in range(count):
                stride = 2 if number == 0 and stage > 0 else 1
                layers.append(block(taken if number == 0 else given, given, stride))
        self.body = nn.Sequential(*layers)
        self.channels = widths[-1]

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body(self.stem(picture)).mean(dim=(2, 3))
        return found
