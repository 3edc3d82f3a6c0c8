"""Spatial pyramid pooling: averages over windows of several sizes, concatenated with the features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F


class SpatialPyramid(nn.Module):
    """(B, channels, H, W) to (B, channels + width * len(windows), H, W); H and W are multiples of every window.

    Each level averages over its window (2: 2x2 pixels), applies a 3x3 convolution and a ReLU, and is upsampled
    bilinearly by an integer factor, which every runtime supports.
    """

    def __init__(self, channels: int, width: int, windows: Sequence[int]) -> None:
        super().__init__()
        self.windows = tuple(windows)
        self.levels = nn.ModuleList(nn.Conv2d(channels, width, 3, padding=1) for _ in self.windows)
        self.channels = channels + width * len(self.windows)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = [features]
        for window, convolution in zip(self.windows, self.levels, strict=True):
            level = F.relu(convolution(F.avg_pool2d(features, window)))
            found.append(F.interpolate(level, scale_factor=float(window), mode="bilinear", align_corners=False))
        return torch.cat(found, dim=1)
