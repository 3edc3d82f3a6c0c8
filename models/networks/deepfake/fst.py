"""FST-Matching for phones: features of a forged face's source and target (arXiv 2207.09679).

    picture ─┬─ source encoder ── features s ── squeeze-excite ── s · (1 - y) ──┐
             └─ target encoder ── features t ── squeeze-excite ── t · (1 - y) ── concat ── linear, 2

The gates ``y`` select identity features; the rest detects forgeries. The paper has two ResNet-18, 22,420,610 parameters
without the two training heads; these are half as wide. The paper's training also classifies identities from ``s · y``
and ``t · y``, which needs source and target of each forgery, and has an interaction term; here the detector is trained
with cross-entropy only. Its input is BGR in 0..255, as in its repository; files accept RGB pictures.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.base import TensorSpec
from clearport.model_spec import Paper
from clearport.models.layers.detector import LABELS, detector
from clearport.models.layers.resnet import HALF, ResNet

_REDUCTION = 16


class Gate(nn.Module):
    """Features (B, C) multiplied by one minus their gate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // _REDUCTION, bias=False)
        self.excite = nn.Linear(channels // _REDUCTION, channels, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(features))))
        return features * (1.0 - gate)


class FstMatching(nn.Module):
    """BGR picture (B, 3, 224, 224) in 0..255 to logits of real and fake (B, 2); 5,615,170 parameters."""

    def __init__(self, width: int = HALF) -> None:
        super().__init__()
        self.source, self.target = (ResNet((2, 2, 2, 2), width, bottleneck=False) for _ in range(2))
        self.source_gate, self.target_gate = Gate(self.source.channels), Gate(self.target.channels)
        self.classify = nn.Linear(2 * self.source.channels, len(LABELS))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        unit = picture * (1.0 / 255.0)
        kept = self.target_gate(self.target(unit)), self.source_gate(self.source(unit))
        logits: torch.Tensor = self.classify(torch.cat(kept, dim=1))
        return logits


def build(scale: int) -> FstMatching:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return FstMatching().eval()


SPEC = detector(
    "fst",
    build,
    Paper("Explaining Deepfake Detection by Analysing Image Matching", "2207.09679"),
    (TensorSpec("image", (1, 3, "H", "W"), color="BGR"),),
)
