"""Inverted residuals (arXiv 1801.04381): what small classifiers are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class InvertedResidual(nn.Module):
    """(B, C, H, W) to (B, D, H/stride, W/stride): wider, depthwise 3x3, narrower; with a skip where the shape stays."""

    def __init__(self, taken: int, given: int, stride: int, factor: int) -> None:
        super().__init__()
        wide = taken * factor
        self.skips = stride == 1 and taken == given
        self.body = nn.Sequential(
            *([*normed(taken, wide, 1)] if factor != 1 else []),
            *normed(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, given, 1, bias=False),
            nn.BatchNorm2d(given),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body(features)
        return features + found if self.skips else found


def normed(
    taken: int, given: int, kernel: int, stride: int = 1, *, groups: int = 1, padding: int | None = None
) -> tuple[nn.Module, ...]:
    """A convolution, batch normalization and ReLU6."""
    pad = kernel // 2 if padding is None else padding
    convolution = nn.Conv2d(taken, given, kernel, stride, pad, groups=groups, bias=False)
    return convolution, nn.BatchNorm2d(given), nn.ReLU6()


_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Of MobileNetV2: expansion, channels, blocks, stride of the first."""


def width_of(channels: int, share: float) -> int:
    """A share of channels as a multiple of 8, at least 8."""
    return max(8, int(channels * share / 8 + 0.5) * 8)


def mobilenet(share: float, stages: Sequence[tuple[int, int, int, int]] = _STAGES) -> tuple[nn.Sequential, int]:
    """MobileNetV2's body at a share of its width, (B, 3, H, W) to (B, C, H/32, W/32), and C."""
    channels = width_of(32, share)
    layers: list[nn.Module] = [nn.Sequential(*normed(3, channels, 3, 2))]
    for factor, wanted, count, stride in stages:
        for number in range(count):
            given = width_of(wanted, share)
            layers.append(InvertedResidual(channels, given, stride if number == 0 else 1, factor))
            channels = given
    return nn.Sequential(*layers), channels
