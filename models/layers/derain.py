"""Layers that several deraining networks share: resampling, residual blocks, and starts that change nothing."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

_LITTLE = 0.1
_ALMOST_NOTHING = 3e-4  # not 0: nothing before such a layer would learn in the first step


class Residual(nn.Module):
    """A block that adds to its input what its convolution ``last`` gives."""

    last: nn.Conv2d


class ResidualBlock(Residual):
    """Two 3x3 convolutions whose result is added to the input: (B, width, H, W) to the same, not negative."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.last = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(features + self.last(F.relu(self.first(features))))


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


def start(module: nn.Module) -> None:
    """Begin with He's weights (arXiv 1502.01852) and no biases, and with residual blocks that add little.

    A deep stack then begins near the identity and needs no normalization; with torch's own start, which is smaller,
    features fade on their way and some of these networks do not begin to learn.
    """
    for convolution in (child for child in module.modules() if isinstance(child, nn.Conv2d)):
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    for block in (child for child in module.modules() if isinstance(child, Residual)):
        with torch.no_grad():
            block.last.weight.mul_(_LITTLE)


def start_at(convolution: nn.Conv2d, level: float) -> None:
    """Begin with an output that is ``level`` nearly everywhere; after ``start``."""
    nn.init.normal_(convolution.weight, std=_ALMOST_NOTHING)
    assert convolution.bias is not None
    nn.init.constant_(convolution.bias, level)
