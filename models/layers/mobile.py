"""Inverted residuals (arXiv 1801.04381), the blocks of small classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class InvertedResidual(nn.Module):
    """(B, C, H, W) to (B, D, H/stride, W/stride): expansion, depthwise, projection; with a skip if the shape stays."""

    def __init__(self, taken: int, given: int, stride: int, factor: int, kernel: int = 3) -> None:
        super().__init__()
        wide = taken * factor
        self.skips = stride == 1 and taken == given
        self.body = nn.Sequential(
            *([*normed(taken, wide, 1)] if factor != 1 else []),
            *normed(wide, wide, kernel, stride, groups=wide),
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


Stage = tuple[int, int, int, int, int]
"""Expansion, channels, blocks, stride of the first, side of the depthwise kernel."""

MOBILENET_V2: tuple[Stage, ...] = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
)
EFFICIENTNET_LITE0: tuple[Stage, ...] = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""EfficientNet-b0 (arXiv 1905.11946) without squeeze-excite, and with ReLU6."""


def width_of(channels: int, share: float) -> int:
    """``share`` of ``channels``, rounded to a multiple of 8, at least 8."""
    return max(8, int(channels * share / 8 + 0.5) * 8)


def inverted(share: float, stages: Sequence[Stage] = MOBILENET_V2) -> tuple[list[nn.Sequential], tuple[int, ...]]:
    """A backbone with ``share`` of its width: the stem, which halves a picture (B, 3, H, W), and the stages; and the
    output channels of each.
    """
    channels = width_of(32, share)
    parts, widths = [nn.Sequential(*normed(3, channels, 3, 2))], [channels]
    for factor, wanted, count, stride, kernel in stages:
        given = width_of(wanted, share)
        blocks = (
            InvertedResidual(given if number else channels, given, 1 if number else stride, factor, kernel)
            for number in range(count)
        )
        parts.append(nn.Sequential(*blocks))
        widths.append(given)
        channels = given
    return parts, tuple(widths)
