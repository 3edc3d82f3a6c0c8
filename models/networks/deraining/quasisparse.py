"""Deraining with intrinsic priors, multi-scale auxiliary decoding and group convolution (arXiv 1911.10810).

    image ─ 3x3 ─ blocks ─ down ─ blocks ─ down ─ blocks ─ up ─ add ─ blocks ─ up ─ add ─ blocks ─ 3x3 ─ rain
              (H)    │             (H/2) │          (H/4) │      │                     │               │
                     │                   └───────────────────────┘                     │     image ─ subtract ─ clip
                     └─────────────────────────────────────────────────────────────────┘
    in training also: features of H/4 ─ 3x3 ─ rain of H/4, features of H/2 ─ 3x3 ─ rain of H/2

What the paper says: rain and background are separated under quasi-sparsity priors on their gradients, an L1 loss on the
rain layer, whose values are low, and the usual L1 loss; auxiliary decoders of several scales have a loss of their
own; group convolution and feature sharing make the network an order of magnitude faster.

What it leaves open, and what was chosen here:

- The losses are ``quasi-sparsity``, ``low-rain`` and ``auxiliary`` (see ``recipe``); this file gives them the rain
  layer (``maps["rain"]``, which is image minus restored picture) and the pictures of the auxiliary decoders.
- A block is a 3x3 convolution of 4 groups and a 1x1 convolution that shares features among them, added to its
  input. All decoders read the features of one encoder, and the coarser ones those of the main decoder on its way up:
  the auxiliary ones are one convolution each and are not there after training.
- Three resolutions of 24, 48 and 96 channels; auxiliary pictures at a half and a quarter of the size. No normalization.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.derain import Down, Residual, Up, start, start_at
from clearport.models.training.outputs import Restored

_GROUPS = 4
_FULL, _HALF, _QUARTER = 24, 48, 96


class _GroupBlock(Residual):
    """(B, width, H, W), not negative, to the same: a grouped 3x3 convolution, a 1x1 one, and the input added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(width, width, 3, padding=1, groups=_GROUPS)
        self.last = nn.Conv2d(width, width, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(features + self.last(F.relu(self.grouped(features))))


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_GroupBlock(width) for _ in range(count)))


class QuasiSparse(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1, H and W multiples of 4, to the same without rain.

    216,561 parameters, 3,894 of them in the auxiliary decoders. In training mode it gives ``Restored`` with
    the pictures of these, (B, 3, H/4, W/4) and (B, 3, H/2, W/2), and the map ``rain`` (B, 3, H, W).
    """

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, _FULL, 3, padding=1)
        self.encode_full, self.down_half = _blocks(_FULL, 2), Down(_FULL, _HALF)
        self.encode_half, self.down_quarter = _blocks(_HALF, 3), Down(_HALF, _QUARTER)
        self.encode_quarter, self.up_half = _blocks(_QUARTER, 3), Up(_QUARTER, _HALF, kernel=1)
        self.decode_half, self.up_full = _blocks(_HALF, 2), Up(_HALF, _FULL, kernel=1)
        self.decode_full = _blocks(_FULL, 2)
        self.rain = nn.Conv2d(_FULL, 3, 3, padding=1)
        self.auxiliary = nn.ModuleList(nn.Conv2d(width, 3, 3, padding=1) for width in (_QUARTER, _HALF))
        start(self)
        for convolution in (self.rain, *self.auxiliary):
            assert isinstance(convolution, nn.Conv2d)
            start_at(convolution, 0.0)

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        full = self.encode_full(F.relu(self.head(image)))  # (B, 24, H, W)
        half = self.encode_half(self.down_half(full))  # (B, 48, H/2, W/2)
        quarter = self.encode_quarter(self.down_quarter(half))  # (B, 96, H/4, W/4)
        half = self.decode_half(F.relu(half + self.up_half(quarter)))
        full = self.decode_full(F.relu(full + self.up_full(half)))
        rain: torch.Tensor = self.rain(full)
        restored = image - rain
        if not self.training:
            return restored.clamp(0.0, 1.0)
        return Restored(restored, self._auxiliary_pictures(image, (quarter, half)), {"rain": rain})

    def _auxiliary_pictures(
        self, image: torch.Tensor, shared: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        pictures = []
        for decoder, features, factor in zip(self.auxiliary, shared, (4, 2), strict=True):
            pictures.append(F.avg_pool2d(image, factor) - decoder(features))
        return tuple(pictures)


def build(scale: int) -> QuasiSparse:
    """The network in eval mode, with fresh weights from torch's global generator; ``scale`` is 1."""
    del scale
    return QuasiSparse().eval()


SPEC = ModelSpec(
    name="quasisparse",
    task="deraining",
    build=build,
    scales=(1,),
    default_scale=1,
    size_multiple=4,
    halo=34,
    value_range=(0.0, 1.0),
    paper=Paper(
        "Deep Image Deraining via Intrinsic Rainy Image Priors and Multi-scale Auxiliary Decoding", "1911.10810"
    ),
    recipe={
        "degradation": "rain",
        "loss": "l1 + 0.5*auxiliary + 0.01*quasi-sparsity + 0.01*low-rain",
        "patch": 64,
        "batch": 8,
    },
)
