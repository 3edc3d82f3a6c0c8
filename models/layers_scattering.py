"""The model of light in rain and haze, and its inversion.

A picture is what is left of the scene behind the medium, and light that the medium scatters (the atmospheric
scattering model, Narasimhan and Nayar 2002)::

    image = T * scene + (1 - T) * A        scene = (image - A) / T + A

with the transmission T in 0..1 and the atmospheric light A, one colour for the whole picture. All of it in 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

LEAST_TRANSMISSION = 0.1
"""Less is taken for this much: where next to nothing of the scene is left, dividing by T would only raise noise."""

CLEAR = 4.0
"""Where logits of a transmission start: a sigmoid of 0.982, nearly clear air."""

BRIGHT = 2.0
"""Where logits of the light start: a sigmoid of 0.88, a bright grey."""


def scene(image: torch.Tensor, transmission: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """The scene behind the medium, not clipped.

    Args:
        image: (B, 3, H, W) in 0..1.
        transmission: (B, 1 or 3, H, W) in 0..1; at least ``LEAST_TRANSMISSION`` of it is taken.
        light: (B, 3, 1, 1) in 0..1.
    """
    return (image - light) / transmission.clamp(LEAST_TRANSMISSION, 1.0) + light


class LightNet(nn.Module):
    """Atmospheric light of a picture: (B, 3, H, W) in 0..1 to (B, 3, 1, 1) in 0..1.

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
        return torch.sigmoid(self.tail(features.mean(dim=(2, 3), keepdim=True)))
