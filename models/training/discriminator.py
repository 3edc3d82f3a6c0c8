"""The discriminator of adversarial training, which tells restored patches from real ones."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """PatchGAN (arXiv 1611.07004) with spectral normalization (1802.05957); used in training only, never exported.

    (B, 3, H, W) in 0..1 for any range of the network, H and W at least 8, to logits (B, 1, H/8, W/8), rounded down:
    positive if a patch of 54 pixels looks real. Spectral normalization bounds its Lipschitz constant, so that gradients
    stay useful when the discriminator is much better than the generator. 79,345 parameters.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width)
        stages = [nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths)]
        self.stages = nn.ModuleList(spectral_norm(stage) for stage in stages)
        self.mix = spectral_norm(nn.Conv2d(widths[-1], widths[-1], 3, padding=1))
        self.verdict = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features = 2.0 * pictures - 1.0
        for stage in self.stages:
            features = F.leaky_relu(stage(features), 0.2)
        logits: torch.Tensor = self.verdict(F.leaky_relu(self.mix(features), 0.2))
        return logits
