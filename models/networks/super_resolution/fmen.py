"""FMEN: fast and memory-efficient, runner-up of NTIRE 2022 (arXiv 2204.08397).

    image ─ conv ─┬─ conv ─ attention ─ 4 × (two convs ─ attention) ─ conv ─ add ─ conv ─ PixelShuffle
                  └──────────────────────────────────────────────────────────┘

High-frequency attention is a mask of full resolution: conv to a few channels, pairs of convolutions, conv back,
sigmoid. The authors learn each convolution as several branches; published are the collapsed ones, and so it is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.importers.published import renamed
from clearport.models.layers.esa import conv3

if TYPE_CHECKING:
    from clearport.models.importers.checkpoint import Source

_WIDTH, _DEPTH, _SLOPE, _WHITE = 50, 4, 0.1, 255.0


def _act(features: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(features, _SLOPE)


class Pair(nn.Module):
    """Two 3x3 convolutions, LeakyReLU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv3(width, width), conv3(width, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        paired: torch.Tensor = self.conv2(_act(self.conv1(features)))
        return paired


class HighFrequencyAttention(nn.Module):
    """(B, C, H, W) to the same, times a mask in 0..1 that ``pairs`` pairs of narrow convolutions make."""

    def __init__(self, width: int, pairs: int, inside: int) -> None:
        super().__init__()
        self.squeeze = conv3(width, inside)
        self.convs = nn.Sequential(*(Pair(inside) for _ in range(pairs)))
        self.excitate = conv3(inside, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        mask = torch.sigmoid(self.excitate(_act(self.convs(_act(self.squeeze(features))))))
        return mask * features


class FMEN(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..255 to (B, 3, H*scale, W*scale) in 0..255; 341,066 parameters at x4.

    In training mode the output is not clipped.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head = conv3(3, _WIDTH)
        self.warmup = nn.Sequential(conv3(_WIDTH, _WIDTH), HighFrequencyAttention(_WIDTH, 2, 12))
        self.basic_blocks = nn.ModuleList(Pair(_WIDTH) for _ in range(_DEPTH))
        self.hfabs = nn.ModuleList(HighFrequencyAttention(_WIDTH, 1, 16) for _ in range(_DEPTH))
        self.lr_conv = conv3(_WIDTH, _WIDTH)
        self.tail = nn.Sequential(conv3(_WIDTH, 3 * scale * scale), nn.PixelShuffle(scale))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.head(image)
        features = self.warmup(first)
        for pair, attention in zip(self.basic_blocks, self.hfabs, strict=True):
            features = attention(pair(features))
        restored: torch.Tensor = self.tail(self.lr_conv(features) + first)
        return restored if self.training else restored.clamp(0.0, _WHITE)


def build(scale: int) -> FMEN:
    """FMEN for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return FMEN(scale).eval()


def published_state_dict(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The authors' collapsed weights (``... .rep_conv.weight``), or None for any other file."""
    del scale  # the shapes tell, and are checked against the network by the caller
    return renamed(source, r"\.rep_conv\.", ((r"\.rep_conv\.", "."),))


SPEC = ModelSpec(
    name="fmen",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=4,
    halo=32,  # of 34: one pixel for each 3x3 convolution in a row, whose outermost ones hardly count
    paper=Paper("Fast and Memory-Efficient Network Toward Efficient Image Super-Resolution", "2204.08397"),
    importers=(published_state_dict,),
    published=(
        "fmen_x4.pth of ofsoundof/NTIRE2022_ESR (MIT). Measured: x4 32.03/28.58 dB Y and 30.13/26.77 dB RGB on "
        "Set5/Set14; the paper reports 32.24/28.70 Y for its larger form."
    ),
)
