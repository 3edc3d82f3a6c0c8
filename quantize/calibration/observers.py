"""Calibrators: from a tensor's statistics on photos to its int8 range."""

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
    """The observed minimum and maximum."""
    return seen.low, seen.high


def moving_average(seen: Observed) -> Range:
    """The mean over photos of each photo's bounds, which quantization-aware training converges to."""
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
    """The range with the least squared error of rounding and clipping, over a grid of both bounds."""
    lows, highs = (end * _STEPS if end else np.zeros(1) for end in (min(seen.low, 0.0), max(seen.high, 0.0)))
    low, high = (ends.reshape(-1) for ends in np.meshgrid(lows, highs, indexing="ij"))
    best = int(np.argmin(squared_error(seen, low, high)))
    return float(low[best]), float(high[best])


def squared_error(seen: Observed, low: Array | float, high: Array | float) -> Array:
    """Squared error of rounding to the int8 grids of ``low``..``high`` (one or many), weighted by ``seen.weights``.

    Errors within a range are uniform over a step; values outside lose their distance to the bound.
    """
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    sums = [np.concatenate([[0.0], np.cumsum(seen.weights * seen.centers**power)]) for power in (0, 1, 2)]
    below, above = np.searchsorted(seen.centers, low), np.searchsorted(seen.centers, high, side="right")
    under = [each[below] for each in sums]
    over = [each[-1] - each[above] for each in sums]
    clipped = sum(
        square - 2 * end * first + end**2 * count for (count, first, square), end in ((under, low), (over, high))
    )
    step = (high - low) / (scheme.HIGH - scheme.LOW)
    return np.asarray(np.maximum(clipped, 0.0) + (sums[0][above] - sums[0][below]) * step**2 / 12)


CALIBRATORS: Mapping[str, Callable[[Observed], Range]] = {
    "min-max": min_max,
    "moving-average": moving_average,
    "percentile-99.99": lambda seen: percentile(seen, 0.9999),
    "percentile-99.995": lambda seen: percentile(seen, 0.99995),
    "percentile-99.998": lambda seen: percentile(seen, 0.99998),
    "percentile-99.999": lambda seen: percentile(seen, 0.99999),
    "least-error": least_error,
}
