"""Layers shared by deraining networks: resampling, residual blocks, and initialization near the identity."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

_LITTLE = 0.1
_ALMOST_NOTHING = 3e-4  # not 0: earlier layers would get no gradient in the first step


class Residual(nn.Module):
    """A residual block, whose last convolution is ``last``."""

    last: nn.Conv2d


class ResidualBlock(Residual):
    """Two 3x3 convolutions whose result is added to the input: (B, width, H, W), nonnegative, to the same."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.last = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(features + self.last(F.relu(self.first(features))))


class Down(nn.Module):
    """(B, before, H, W) to (B, after, H/2, W/2), H and W even; a 3x3 convolution of stride 2 and a ReLU.

    Zero padding is on the right and bottom, as in TFLite's SAME padding, so that no padding operator is needed.
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


def start(module: nn.Module) -> None:
    """Initialize with He's weights (arXiv 1502.01852), zero biases, and residual blocks that add little.

    A deep stack is then near the identity and needs no normalization; with torch's smaller default initialization,
    features fade, and some of these networks do not start to learn.
    """
    for convolution in (child for child in module.modules() if isinstance(child, nn.Conv2d)):
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    for block in (child for child in module.modules() if isinstance(child, Residual)):
        with torch.no_grad():
            block.last.weight.mul_(_LITTLE)


def start_at(convolution: nn.Conv2d, level: float) -> None:
    """Initialize so that the output is ``level`` nearly everywhere; call after ``start``."""
    nn.init.normal_(convolution.weight, std=_ALMOST_NOTHING)
    assert convolution.bias is not None
    nn.init.constant_(convolution.bias, level)
