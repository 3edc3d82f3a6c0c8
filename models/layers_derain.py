"""Layers that several deraining networks share: resampling, residual blocks, and starts that change nothing."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

ALMOST_NOTHING = 1e-3
"""Standard deviation of the weights of a last layer. Not 0: nothing before it would learn in the first step."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions whose result is added to the input: (B, width, H, W) to the same, not negative.

    The second convolution starts small, so that a deep stack begins near the identity and needs no normalisation.
    """

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        nn.init.normal_(self.second.weight, std=1e-2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(features + self.second(F.relu(self.first(features))))


class Down(nn.Module):
    """(B, before, H, W) to (B, after, H/2, W/2), H and W even; a 3x3 convolution of stride 2 and a ReLU.

    The zeros go to the right and the bottom, as TFLite's "same" padding has them, so that no padding operator is left.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, stride=2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(self.convolution(F.pad(features, (0, 1, 0, 1))))


class Up(nn.Module):
    """(B, before, H, W) to (B, after, 2H, 2W): a convolution at the low resolution, then depth to space."""

    def __init__(self, before: int, after: int, kernel: int = 3) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, 4 * after, kernel, padding=kernel // 2)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        larger: torch.Tensor = self.shuffle(self.convolution(features))
        return larger


def start_at(convolution: nn.Conv2d, level: float) -> None:
    """Begin with an output that is ``level`` nearly everywhere."""
    nn.init.normal_(convolution.weight, std=ALMOST_NOTHING)
    assert convolution.bias is not None
    nn.init.constant_(convolution.bias, level)


def start_without_biases(module: nn.Module) -> None:
    """Zero the bias of every convolution in ``module``; before ``start_at``."""
    for convolution in module.modules():
        if isinstance(convolution, nn.Conv2d) and convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
