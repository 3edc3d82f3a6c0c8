"""Losses on the rain layer (arXiv 1911.10810), which a derainer subtracts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from clearport.models.data.crops import Batch
    from clearport.models.training.outputs import Restored

_KEPT_LEVELS = 4.0


def rain_of(restored: Restored, batch: Batch) -> torch.Tensor:
    """The rain layer (B, 1 or 3, H, W): the network's map, or input minus output."""
    return restored.maps["rain"] if "rain" in restored.maps else batch.low - restored.image


def quasi_sparsity(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean product of the gradients of background and rain, which should not have edges at the same pixel.

    This is the quasi-sparse prior in four directions of the gradient domain: vertical, horizontal and both diagonals; 0
    if every edge is in only one of the layers.
    """
    both = zip(_directions(restored.image), _directions(rain_of(restored, batch)), strict=True)
    return torch.stack([(a * b).abs().mean() for a, b in both]).mean() / peak**2


def _directions(image: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Steps between neighbors in four directions, (B, C, H-1, W-1) each."""
    here, below = image[..., :-1, :-1], image[..., 1:, :-1]
    beside, across = image[..., :-1, 1:], image[..., 1:, 1:]
    return below - here, beside - here, across - here, beside - below


def low_rain(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean rain where the picture should not change: outside the true streaks if known, else everywhere.

    The rain layer is nearly zero almost everywhere; rain removed elsewhere is lost picture content.
    """
    rain = rain_of(restored, batch).abs()
    if "rain_mask" in batch.truth:
        rain = rain * (1.0 - batch.truth["rain_mask"])
    elif batch.high is not None and batch.high.shape == batch.low.shape:
        rain = rain * ((batch.low - batch.high).abs() < _KEPT_LEVELS * peak / 255.0)
    return rain.mean() / peak


LOSSES: Mapping[str, Callable[[Restored, Batch, float], torch.Tensor]] = MappingProxyType(
    {"quasi-sparsity": quasi_sparsity, "low-rain": low_rain}
)
