"""The model of light in rain and haze, and its inversion.

A picture is the attenuated scene behind the medium plus light that the medium scatters (the atmospheric scattering
model, Narasimhan and Nayar 2002)::

    image = T * scene + (1 - T) * A        scene = (image - A) / T + A = image + (image - A) * (1 / T - 1)

with the transmission T in 0..1 and the atmospheric light A, one color for the whole picture; white is 1. Networks here
learn the equivalent *opacity* 1/T - 1: 0 is clear, 1 transmits half of the light, 9 a tenth. This needs no division, so
that the model can be computed in int8, and its gradient does not vanish in clear air. (That of a transmission from a
sigmoid does: under an L1 loss most pixels need T = 1, so the sigmoid saturates within a few steps and learning stops.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

MOST_OPAQUE = 9.0
"""Maximum opacity, a transmission of 0.1. Below that, dividing by T would mainly amplify noise."""

_LEAST_OPAQUE = -0.2
"""Minimum opacity, below clear: a limit at 0 would stop the gradients of all clear pixels."""


def scene(image: torch.Tensor, opacity: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """The scene behind the medium, not clipped.

    Args:
        image: (B, 3, H, W) in 0..1.
        opacity: (B, 1 or 3, H, W); clipped to -0.2..9 (``MOST_OPAQUE``).
        light: (B, 3, 1, 1); white is 1.
    """
    return image + (image - light) * opacity.clamp(_LEAST_OPAQUE, MOST_OPAQUE)


def transmission(opacity: torch.Tensor) -> torch.Tensor:
    """The transmission, 0.1..1, of a medium with this opacity."""
    return 1.0 / (1.0 + opacity.clamp(0.0, MOST_OPAQUE))


class LightNet(nn.Module):
    """Atmospheric light of a picture whose streaks are a medium: (B, 3, H, W) in 0..1 to (B, 3, 1, 1) in 1..1.5.

    Streaks are as bright as white. As a medium they can only be removed if A is brighter, since a pixel of level A
    has no information on the scene.

    A triangle: convolutions of stride 2 reduce the sides while ``widths`` grow, down to one vector. A global average
    replaces the papers' fully connected layer of fixed input size, so any size is supported.
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
