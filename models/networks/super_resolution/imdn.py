"""IMDN: information multi-distillation (arXiv 1909.11726), in the plain form of the NTIRE 2022 baseline.

    image ─ conv ─┬─ 8 × block ─ conv ─ add ─ conv ─ PixelShuffle
                  └────────────────────┘

A block keeps a quarter of the channels aside at each of three steps conv ─ LeakyReLU, joins what was kept with a 1x1
convolution, and adds its input. The contrast-aware attention of the paper is left out, as in the baseline.
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

_WIDTH, _DEPTH, _SLOPE = 64, 8, 0.05
_KEPT = _WIDTH // 4


class IMDB(nn.Module):
    """Information multi-distillation block: (B, 64, H, W) to the same."""

    def __init__(self) -> None:
        super().__init__()
        rest = _WIDTH - _KEPT
        self.conv1 = conv3(_WIDTH, _WIDTH)
        self.conv2 = conv3(rest, _WIDTH)
        self.conv3 = conv3(rest, _WIDTH)
        self.conv4 = conv3(rest, _KEPT)
        self.join = nn.Conv2d(_WIDTH, _WIDTH, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        kept, rest = [], features
        for convolution in (self.conv1, self.conv2, self.conv3):
            step = F.leaky_relu(convolution(rest), _SLOPE)
            kept.append(step[:, :_KEPT])
            rest = step[:, _KEPT:]
        joined: torch.Tensor = self.join(torch.cat((*kept, self.conv4(rest)), dim=1))
        return features + joined


class IMDN(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1 to (B, 3, H*scale, W*scale) in 0..1; 893,936 parameters at x4.

    In training mode the output is not clipped.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head = conv3(3, _WIDTH)
        self.blocks = nn.Sequential(*(IMDB() for _ in range(_DEPTH)))
        self.fuse = conv3(_WIDTH, _WIDTH)
        self.tail = conv3(_WIDTH, 3 * scale * scale)
        self.upsample = nn.PixelShuffle(scale)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.head(image)
        restored: torch.Tensor = self.upsample(self.tail(self.fuse(self.blocks(first)) + first))
        return restored if self.training else restored.clamp(0.0, 1.0)


def build(scale: int) -> IMDN:
    """IMDN for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return IMDN(scale).eval()


def published_state_dict(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The weights of the NTIRE 2022 baseline (``model.1.sub.0.conv1x1.weight`` ...), or None for any other file."""
    del scale  # the shapes tell, and are checked against the network by the caller
    rules = (
        (rf"^model\.1\.sub\.{_DEPTH}\.", "fuse."),
        (r"^model\.1\.sub\.", "blocks."),
        (r"^model\.0\.", "head."),
        (r"^model\.2\.", "tail."),
        (r"\.conv1x1\.", ".join."),
        (r"\.(conv[123])\.0\.", r".\1."),
    )
    return renamed(source, r"^model\.1\.sub\.0\.conv1x1\.", rules)


SPEC = ModelSpec(
    name="imdn",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=4,
    halo=32,  # of 35: one pixel for each 3x3 convolution, whose outermost ones hardly count
    value_range=(0.0, 1.0),
    paper=Paper("Lightweight Image Super-Resolution with Information Multi-distillation Network", "1909.11726"),
    importers=(published_state_dict,),
    published=(
        "imdn_x4.pth, the baseline of ofsoundof/NTIRE2022_ESR (MIT). Measured: x4 32.25/28.70 dB Y and "
        "30.34/26.88 dB RGB on Set5/Set14; the paper reports 32.21/28.58 Y for its larger form with attention."
    ),
)
