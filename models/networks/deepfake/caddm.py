"""CADDM for phones: a small backbone, and a module that looks at artifacts of several sizes (arXiv 2210.14457).

    picture ── body of MobileNetV2, 0.35 wide ──┬── 1x1, 48 ── artifact module: 7x7, 5x5, 3x3, 1x1 ──┐
                                                └── global mean ── concat ───────────────────────────┴── linear, 2

The paper has ResNet-34 and EfficientNet-b3 and b4 at 224x224; its module keeps the backbone's width, so that the
EfficientNet variants have 0.8 to 1.2 GB, nearly all in the module. Here a 1x1 convolution reduces the channels first.
Its boxes (locations of artifacts) are for training only and not exported; clearport's synthetic forgeries have a mask
instead, which supervises the module at 7x7 (``maps["forged"]``).

The network's input is BGR in 0..255 without mean subtraction, as in its repository; files accept RGB pictures. Faces
must be detected, aligned and cropped beforehand. The outputs are logits of real and fake.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.base import TensorSpec
from clearport.model_spec import Paper
from clearport.models.layers.detector import LABELS, SIDE, detector
from clearport.models.layers.mobile import inverted, normed
from clearport.models.training.outputs import Restored

_WIDTH, _NARROW = 0.35, 48


class ArtifactBlock(nn.Module):
    """(B, C, n, n) to (B, C, n - 2, n - 2): 1x1, then 3x3 without padding, then 3x3, and a projection beside them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *normed(width, width, 1), *normed(width, width, 3, padding=0), *normed(width, width, 3)
        )
        self.project = nn.Conv2d(width, width, 3, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(features) + self.project(features))


class Caddm(nn.Module):
    """BGR picture (B, 3, 224, 224) in 0..255 to logits of real and fake (B, 2); 440,851 parameters.

    In training mode it gives ``Restored`` with the logits as ``image`` and the map ``forged`` (B, 1, 7, 7), logits.
    """

    def __init__(self) -> None:
        super().__init__()
        parts, widths = inverted(_WIDTH)
        self.body, channels = nn.Sequential(parts[0], *(block for part in parts[1:] for block in part)), widths[-1]
        self.narrow = nn.Sequential(*normed(channels, _NARROW, 1))
        self.artifacts = nn.ModuleList(ArtifactBlock(_NARROW) for _ in range(3))
        self.forged = nn.Conv2d(_NARROW, 1, 1)
        self.classify = nn.Linear(channels + _NARROW, len(LABELS))

    def forward(self, picture: torch.Tensor) -> torch.Tensor | Restored:
        features = self.body(picture * (1.0 / 255.0))
        first = self.narrow(features)
        found = first
        for block in self.artifacts:
            found = block(found)
        summary = torch.cat((features.mean(dim=(2, 3)), found.mean(dim=(2, 3))), dim=1)
        logits: torch.Tensor = self.classify(summary)
        return Restored(logits, maps={"forged": self.forged(first)}) if self.training else logits


def build(scale: int) -> Caddm:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Caddm().eval()


SPEC = detector(
    "caddm",
    build,
    Paper(
        "Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization", "2210.14457"
    ),
    (TensorSpec("image", (1, 3, "H", "W"), color="BGR"),),
    least_side=SIDE,
    recommended=True,
    recipe={"loss": "cross-entropy + forged", "validation_photos": 48},
)
