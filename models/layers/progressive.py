"""The convolutions of progressive deraining (arXiv 1901.09221), which PRN and PReNet repeat stage by stage."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import Paper
from clearport.models.layers.derain import start_at

STAGES = 6
BLOCKS = 5
WIDTH = 32

PAPER = Paper("Progressive Image Deraining Networks: A Better and Simpler Baseline", "1901.09221")
PUBLISHED = (
    "the authors' net_latest.pth files (github.com/csdwren/PReNet, folder logs) have the same names and shapes: give "
    "one with --weights; the repository states no license, so ask its authors before you distribute it"
)


def convolution(before: int, after: int = WIDTH) -> nn.Conv2d:
    """A size-preserving 3x3 convolution."""
    return nn.Conv2d(before, after, 3, padding=1)


class Progressive(nn.Module):
    """The common part of PRN's and PReNet's stages; names are those of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(convolution(6), nn.ReLU())
        for number in range(1, BLOCKS + 1):
            block = nn.Sequential(convolution(WIDTH), nn.ReLU(), convolution(WIDTH), nn.ReLU())
            self.add_module(f"res_conv{number}", block)
        self.conv = nn.Sequential(convolution(WIDTH, 3))

    def start(self) -> None:
        """Initialize stages near the identity, and the rest with torch's default, like the authors."""
        last = self.conv[0]
        assert isinstance(last, nn.Conv2d)
        start_at(last, 0.0)

    def look(self, image: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """The rainy image and the previous stage's picture, each (B, 3, H, W), to features (B, 32, H, W)."""
        features: torch.Tensor = self.conv0(torch.cat((image, before), dim=1))
        return features

    def derain(self, image: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """The picture (B, 3, H, W) of this stage: residual blocks, and the (negative) rain layer added to the image."""
        for number in range(1, BLOCKS + 1):
            features = F.relu(features + self.get_submodule(f"res_conv{number}")(features))
        restored: torch.Tensor = image + self.conv(features)
        return restored
