"""The loss of high dynamic range: absolute error after the mu-law."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from clearport.models.losses.pixel import target
from clearport.pictures.light import GAMMA, MU

if TYPE_CHECKING:
    from clearport.models.data.crops import Batch
    from clearport.models.training.outputs import Restored

_LEAST = 1e-3
"""Minimum value (light to the power of 1/2.2): smaller ones are clamped, since the power has zero gradient at 0."""


def mu_law(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean absolute error after the mu-law of the light, of values in ``gamma-2.2`` (arXiv 2205.12633)."""
    made, wanted = (_compressed((values - batch.black) / peak) for values in (restored.image, target(batch)))
    return F.l1_loss(made, wanted)


def _compressed(values: torch.Tensor) -> torch.Tensor:
    return torch.log1p(MU * values.clamp(_LEAST, 1.0) ** GAMMA) / math.log1p(MU)


LOSSES: Mapping[str, Callable[[Restored, Batch, float], torch.Tensor]] = MappingProxyType({"mu-law": mu_law})
