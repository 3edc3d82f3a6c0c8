"""Calibrators: from what a tensor did on photos to the range that its int8 levels span."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from clearport.quantize import scheme

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.quantize.calibration.survey import Observed

Range = tuple[float, float]

_STEPS = np.linspace(0.1, 1.0, 61)


def min_max(seen: Observed) -> Range:
    """Everything that was seen."""
    return seen.low, seen.high


def moving_average(seen: Observed) -> Range:
    """The mean over photos of each photo's bounds: what quantization-aware training converges to."""
    low, high = np.mean(seen.per_image, axis=0)
    return float(low), float(high)


def percentile(seen: Observed, share: float) -> Range:
    """The bounds outside which ``1 - share`` of the values lie, at each end."""
    below = np.cumsum(seen.counts) / seen.counts.sum()
    last = len(below) - 1
    low = int(np.searchsorted(below, 1.0 - share, side="right"))
    high = min(last, int(np.searchsorted(below, share)))
    edges = np.linspace(seen.low, seen.high, len(below) + 1)
    return float(edges[min(low, last)]), float(edges[high + 1])


def least_error(seen: Observed) -> Range:
    """The range with the least squared error of rounding and clipping, searched over both ends by turns."""
    low, high = seen.low, seen.high
    for _ in range(2):
        if seen.high > 0:
            high = min((float(seen.high * k) for k in _STEPS), key=lambda end: squared_error(seen, low, end))
        if seen.low < 0:
            low = min((float(seen.low * k) for k in _STEPS), key=lambda end: squared_error(seen, end, high))
    return low, high


def squared_error(seen: Observed, low: float, high: float) -> float:
    """Summed over the histogram: what rounding to the int8 grid of ``low``..``high`` loses."""
    params = scheme.of_range(low, high)
    (scale,), centres = params.scale, seen.centres
    levels = np.clip(np.rint(centres / scale) + params.zero_point, scheme.LOW, scheme.HIGH)
    missed: Array = (levels - params.zero_point) * scale - centres
    return float((seen.counts * missed**2).sum())


CALIBRATORS: Mapping[str, Callable[[Observed], Range]] = {
    "min-max": min_max,
    "moving-average": moving_average,
    "percentile-99.99": lambda seen: percentile(seen, 0.9999),
    "percentile-99.995": lambda seen: percentile(seen, 0.99995),
    "percentile-99.998": lambda seen: percentile(seen, 0.99998),
    "percentile-99.999": lambda seen: percentile(seen, 0.99999),
    "least-error": least_error,
}
