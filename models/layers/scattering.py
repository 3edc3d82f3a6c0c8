"""The model of light in rain and haze, and its inversion.

A picture is what is left of the scene behind the medium, and light that the medium scatters (the atmospheric
scattering model, Narasimhan and Nayar 2002)::

    image = T * scene + (1 - T) * A        scene = (image - A) / T + A = image + (image - A) * (1 / T - 1)

with the transmission T in 0..1 and the atmospheric light A, one color for the whole picture; white is 1. Networks here
learn the *opacity* 1/T - 1, which says the same: 0 is clear, 1 leaves half of the light, 9 a tenth. With it
nothing is divided, so that the model is computed in int8 too; and its gradient does not vanish in clear air. (A
transmission from a sigmoid does: under an L1 loss most pixels want T = 1, the sigmoid saturates within a few
steps, and nothing is learned any more.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

MOST_OPAQUE = 9.0
"""A transmission of 0.1. Where less of the scene is left, dividing by T would only raise noise."""

_LEAST_OPAQUE = -0.2
"""Below clear: a limit at 0 would stop the learning of every pixel that is clear already."""


def scene(image: torch.Tensor, opacity: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """The scene behind the medium, not clipped.

    Args:
        image: (B, 3, H, W) in 0..1.
        opacity: (B, 1 or 3, H, W); taken as -0.2..9 (``MOST_OPAQUE``).
        light: (B, 3, 1, 1), where white is 1.
    """
    return image + (image - light) * opacity.clamp(_LEAST_OPAQUE, MOST_OPAQUE)


def transmission(opacity: torch.Tensor) -> torch.Tensor:
    """The share of light, 0.1..1, that a medium of this opacity lets through."""
    return 1.0 / (1.0 + opacity.clamp(0.0, MOST_OPAQUE))


class LightNet(nn.Module):
    """Light of a picture in which streaks are a medium: (B, 3, H, W) in 0..1 to (B, 3, 1, 1) in 1..1.5.

    Streaks are as bright as white. As a medium they can only be taken out where the light is brighter than they are,
    so it is: a pixel at the level of A says nothing of the scene.

    A triangle: convolutions of stride 2 shorten the sides while ``widths`` grow, down to one vector. An average over
    what is left of the picture stands where the papers' fixed input size has a fully connected layer, so any size fits.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        steps = pairwise((3, *widths))
        self.stages = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in steps)
        self.tail = nn.Conv2d(widths[-1], 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = image
        for convolution in self.stages:
            features = F.leaky_relu(convolution(features), 0.2)
        return 1.0 + 0.5 * torch.sigmoid(self.tail(features.mean(dim=(2, 3), keepdim=True)))
