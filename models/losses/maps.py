"""Losses on a network's other outputs: auxiliary pictures, and maps with known ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from clearport.errors import BadInput
from clearport.models.losses.pixel import target

if TYPE_CHECKING:
    from clearport.models.data.crops import Batch
    from clearport.models.training.outputs import Restored


def auxiliary(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean absolute error of auxiliary pictures against the target at their size, averaged (arXiv 1911.10810).

    Raises:
        BadInput: the network has no auxiliary heads.
    """
    if not restored.auxiliary:
        raise BadInput("the loss auxiliary needs a network with auxiliary heads")
    high = target(batch)
    errors = [F.l1_loss(image, _sized(high, image)) for image in restored.auxiliary]
    return torch.stack(errors).mean() / peak


def _sized(high: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return high if high.shape[-2:] == like.shape[-2:] else F.interpolate(high, size=like.shape[-2:], mode="area")


def transmission(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean absolute error of the map ``transmission`` where its truth is known, else 0."""
    del peak
    return _error("transmission", "transmission", restored, batch)


def light(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean absolute error of the map ``light`` where its truth is known, else 0."""
    return _error("light", "light", restored, batch) / peak


def rain(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean absolute error of the map ``rain`` where its truth is known, else 0."""
    return _error("rain", "rain", restored, batch) / peak


def mask(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Binary cross-entropy of the map ``rain_mask`` (0..1) where its truth is known, else 0."""
    del peak
    guess = _map("rain_mask", "mask", restored)
    if "rain_mask" not in batch.truth:
        return 0.0 * guess.sum()
    truth = batch.truth["rain_mask"].expand_as(guess)
    near = 1e-4  # keeps the logarithms finite
    return F.binary_cross_entropy(guess.float().clamp(near, 1.0 - near), truth)


def _map(name: str, loss: str, restored: Restored) -> torch.Tensor:
    if name not in restored.maps:
        have = ", ".join(sorted(restored.maps)) or "none"
        raise BadInput(f"the loss {loss} needs a network that outputs the map {name!r}; this one outputs: {have}")
    return restored.maps[name]


def _error(name: str, loss: str, restored: Restored, batch: Batch) -> torch.Tensor:
    guess = _map(name, loss, restored)
    if name not in batch.truth:
        return 0.0 * guess.sum()
    truth = batch.truth[name]
    return (guess - truth.to(guess.dtype)).abs().mean()


LOSSES: Mapping[str, Callable[[Restored, Batch, float], torch.Tensor]] = MappingProxyType(
    {"auxiliary": auxiliary, "transmission": transmission, "light": light, "rain": rain, "mask": mask}
)
