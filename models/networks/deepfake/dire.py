"""DIRE's classifier: detects generated pictures from their reconstruction error (arXiv 2303.09295).

The input is not the picture but ``|x - reconstruction| * 255 / 2`` as an 8-bit RGB picture, cropped to 224x224. The
reconstruction is by a diffusion model of 553 M parameters: 20 steps to noise and 20 back, 45 T multiply-accumulates for
one picture of 256x256, too much for a phone: a server computes the map, and this network classifies it, there or on the
phone. The paper has ResNet-50 with one logit, 23,510,081 parameters; this is half as wide.
"""

from __future__ import annotations

import torch
from torch import nn

from clearport.base import TensorSpec
from clearport.model_spec import Paper
from clearport.models.layers.detector import IMAGENET_MEAN, IMAGENET_STD, detector
from clearport.models.layers.resnet import HALF, ResNet


class Dire(nn.Module):
    """A normalized DIRE map (B, 3, 224, 224) to the logit of a generated picture (B, 1); 5,893,665 parameters."""

    def __init__(self, width: int = HALF) -> None:
        super().__init__()
        self.body = ResNet((3, 4, 6, 3), width, bottleneck=True)
        self.classify = nn.Linear(self.body.channels, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        logit: torch.Tensor = self.classify(self.body(picture))
        return logit


def build(scale: int) -> Dire:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Dire().eval()


SPEC = detector(
    "dire",
    build,
    Paper("DIRE for Diffusion-Generated Image Detection", "2303.09295"),
    (TensorSpec("image", (1, 3, "H", "W"), value_range=(0.0, 1.0), mean=IMAGENET_MEAN, std=IMAGENET_STD),),
    labels=("fake",),
)
