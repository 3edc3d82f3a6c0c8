"""NEGCUT's generator in a small form: pictures of one kind to pictures of another kind (arXiv 2108.04547).

    picture ── reflect, 7x7 ── 3x3, blur to half ── 3x3, blur to half ── 6 residual blocks ──┐
    picture ── tanh ── reflect, 7x7 ── 3x3, from half ── 3x3, from half ─────────────────────┘

Behind each convolution but the last are instance normalization, which looks at the whole picture (tiles can differ in
tone), and ReLU. Published is 64 wide with 9 blocks, 11,378,179 parameters and 64 G multiply-accumulates for 256x256,
too much for phones; this one is 16 wide: 494,083 and 3.3 G. 24 wide it would be 1,107,459 and 7.3 G, and
OpenVINO's int8 file of that, with fresh weights, differs from the quantized model by more than ties.

It learns from folders ``trainA`` and ``trainB``, of which no two pictures need show the same (``training.contrast``),
and with ``--layout pairs --loss l1`` from pairs. In int8 files the normalization stays float.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.training.outputs import Restored

PUBLISHED = (64, 9)
"""Width and blocks."""
BLOCKS = 6
_LAYERS = (0, 4, 8, 12, 16)
"""Whose outputs PatchNCE compares, as published: the picture, both convolutions that are halved, two blocks."""


class Half(nn.Module):
    """(B, C, H, W) to (B, C, H/2, W/2): a blur of 3x3 with stride 2."""

    kernel: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("kernel", (torch.outer(line, line) / 16.0).repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(features, (1, 1, 1, 1), mode="reflect"), self.kernel, stride=2, groups=len(self.kernel))


class Block(nn.Module):
    """(B, C, H, W) to the same: two 3x3 convolutions beside a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normed(channels, channels, 3),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
        )
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = features + self.norm(self.body(features))
        return found


def _normed(taken: int, given: int, kernel: int, padding: int = 0) -> tuple[nn.Module, ...]:
    return nn.Conv2d(taken, given, kernel, padding=padding), nn.InstanceNorm2d(given), nn.ReLU()


class Negcut(nn.Module):
    """RGB picture (B, 3, H, W) in -1..1, H and W multiples of 4, to the same.

    In training mode it gives ``Restored`` with the maps ``content0`` ... ``content4``, features of chosen layers for
    the input, and ``made0`` ... ``made4``, those for the output.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        down = [part for a, b in pairwise((width, 2 * width, 4 * width)) for part in (*_normed(a, b, 3, 1), Half(b))]
        up = [
            part
            for a, b in pairwise((4 * width, 2 * width, width))
            for part in (nn.Upsample(scale_factor=2, mode="bilinear"), *_normed(a, b, 3, 1))
        ]
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normed(3, width, 7),
            *down,
            *(Block(4 * width) for _ in range(blocks)),
            *up,
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7),
            nn.Tanh(),
        )
        self.contrasted = (3, 2 * width, 4 * width, 4 * width, 4 * width)
        """Channels of the maps of training."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor | Restored:
        if not self.training:
            translated: torch.Tensor = self.layers(picture)
            return translated
        found, content = self._through(picture, len(self.layers))
        _, made = self._through(found, max(_LAYERS) + 1)
        maps = {f"content{number}": each for number, each in enumerate(content)}
        maps |= {f"made{number}": each for number, each in enumerate(made)}
        return Restored(found, maps=maps)

    def _through(self, features: torch.Tensor, count: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """What the first ``count`` layers give, and what the chosen ones among them do."""
        chosen = []
        for number, layer in enumerate(list(self.layers)[:count]):
            features = layer(features)
            if number in _LAYERS:
                chosen.append(features)
        return features, chosen


def build(scale: int) -> Negcut:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Negcut(16, BLOCKS).eval()


SPEC = ModelSpec(
    name="negcut",
    task="translation",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=32,
    whole_picture=True,
    size_multiple=4,
    least_side=32,
    value_range=(-1.0, 1.0),
    paper=Paper(
        "Instance-wise Hard Negative Example Generation for Contrastive Learning in Unpaired Image-to-Image "
        "Translation",
        "2108.04547",
    ),
    recipe={
        "layout": "domains",
        "loss": "adversarial + contrast",
        "patch": 128,
        "batch": 4,
        "optimizer": "adam",
        "lr": 2e-4,
        "bias_unit": 1.0,
    },
)
