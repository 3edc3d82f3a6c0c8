"""Enhanced spatial attention: a mask computed from downsampled features (RFANet; as in RFDN, RLFN and BSRN).

    features ─ conv 1x1 ─┬─ conv 3x3 stride 2 ─ max-pool 7x7 stride 3 ─ convs ─ bilinear to full size ─┐
                         └─ conv 1x1 ────────────────────────────────────────────────────────────── add ─ conv 1x1
                                                                              ─ sigmoid ─ times the features

The strided convolution and the pooling have no padding, so pictures need at least ``LEAST_SIDE`` pixels per side.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

LEAST_SIDE = 16
HALO = 32
"""Tile overlap that hides seams: the mask of one block reaches about 20 pixels, and the alignment of its coarse grid
depends on the picture's size, so that no overlap makes tiles exact."""

Conv = Callable[[int, int], nn.Module]
"""Makes a size-preserving 3x3 convolution from input to output channels."""
Activation = Callable[[torch.Tensor], torch.Tensor]


def conv3(inputs: int, outputs: int) -> nn.Module:
    """A plain size-preserving 3x3 convolution."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class ESA(nn.Module):
    """(B, C, H, W) to the same, times a mask in 0..1.

    Args:
        channels, width: channels of the features, and inside.
        deep: three convolutions on the coarse grid, with activations in between (RFDN, BSRN), or one (RLFN).
        conv: makes these convolutions.
        activation: the activation between them.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        deep: bool,
        conv: Conv = conv3,
        activation: Activation = F.relu,
    ) -> None:
        super().__init__()
        self.deep, self.activation = deep, activation
        self.conv1 = nn.Conv2d(channels, width, 1)
        self.conv_f = nn.Conv2d(width, width, 1)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2)
        self.conv3 = conv(width, width)
        if deep:
            self.conv_max = conv(width, width)
            self.conv3_ = conv(width, width)
        self.conv4 = nn.Conv2d(width, channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        narrow = self.conv1(features)
        coarse = F.max_pool2d(self.conv2(narrow), kernel_size=7, stride=3)
        if self.deep:
            coarse = self.activation(self.conv_max(coarse))
            coarse = self.conv3_(self.activation(self.conv3(coarse)))
        else:
            coarse = self.conv3(coarse)
        wide = F.interpolate(coarse, size=features.shape[-2:], mode="bilinear", align_corners=False)
        return features * torch.sigmoid(self.conv4(wide + self.conv_f(narrow)))
