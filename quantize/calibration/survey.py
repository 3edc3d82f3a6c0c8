"""Activation statistics: the float graph runs on photos, step by step, and every activation is observed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clearport.protocols import no_progress
from clearport.quantize import footprint
from clearport.quantize.calibration import parallel
from clearport.quantize.calibration.stepwise import Stepwise

if TYPE_CHECKING:
    from clearport.base import Array, Graph
    from clearport.graph.feeds import Feed
    from clearport.protocols import Progress

BINS = 4096

SAMPLES = 2**16
"""Sample size of histograms per value and photo, evenly spread; their bounds are exact."""

STEP_MEMORY = 1.2e8
"""Bytes of one photo's activations observed together."""

_COPIES = 3
"""Memory factor of observing: histograms are counted from copies."""

HELD_MEMORY = 4e8
"""Bytes of pending activations over all photos that run together."""


@dataclass(frozen=True)
class Observed:
    """Statistics of one tensor on some photos.

    Attributes:
        low: the smallest value.
        high: the largest.
        per_image: the bounds of each photo, in order.
        counts: histogram of a sample, in equal bins from ``low`` to ``high``.
        weights: weights of squared errors per bin, which sum to about 1 if all channels count equally; zeros count
            nothing, since int8 represents them exactly. With channel weights (``survey``), the sum of ``weights`` times
            squared errors is the mean squared error of the network's output.
    """

    low: float
    high: float
    per_image: tuple[tuple[float, float], ...]
    counts: Array
    weights: Array

    @property
    def centers(self) -> Array:
        """The middle of each histogram bin, float64."""
        width = (self.high - self.low) / len(self.counts)
        return np.asarray(self.low + width * (np.arange(len(self.counts)) + 0.5))


def survey(
    graph: Graph,
    inputs: Sequence[Feed],
    names: Sequence[str],
    progress: Progress = no_progress,
    weights: Mapping[str, Array] | None = None,
) -> tuple[list[dict[str, Observed]], dict[str, Array]]:
    """Statistics of each named value on each of ``inputs``, and each channel's largest magnitude over all of them.

    ``names`` come in the order of the graph. ``weights`` are the error weights per channel (``sensitivity``); channels
    of values without an entry count equally. The graph runs in steps, in batches if the photos are many or large, so
    that memory is bounded: two histograms per value and image, ``HELD_MEMORY``, and ``STEP_MEMORY`` on each core.
    """
    sizes, pixels = footprint.per_pixel(graph), footprint.largest(inputs)
    steps = footprint.steps(names, sizes, STEP_MEMORY / pixels)
    together = max(parallel.width(_COPIES * STEP_MEMORY), int(HELD_MEMORY / (footprint.held(graph, sizes) * pixels)))
    seen: list[dict[str, _Look]] = []
    for first in range(0, len(inputs), together):
        part = inputs[first : first + together]
        stepwise, found = Stepwise(graph.model, part, _COPIES * STEP_MEMORY), [dict[str, _Look]() for _ in part]
        for number, step in enumerate(steps):
            for each, looked in zip(found, stepwise.look(step, partial(_look, weights or {})), strict=True):
                each.update(looked)
            progress("observing photos", first * len(steps) + (number + 1) * len(part), len(steps) * len(inputs))
        seen += found
    peaks = {name: _highest([each[name].peaks for each in seen]) for name in names}
    return [{name: each[name].observed for name in names} for each in seen], peaks


class _Look(NamedTuple):
    """One value on one photo, and the largest magnitude of each of its channels."""

    observed: Observed
    peaks: Array


def _look(weights: Mapping[str, Array], values: Mapping[str, Array]) -> dict[str, _Look]:
    return {name: _looked(array, weights.get(name)) for name, array in values.items()}


def _looked(array: Array, weights: Array | None) -> _Look:
    """In int8, infinities (the logarithm of zero) saturate, and NaN cannot be represented."""
    least, most = (of(array, axis=_others(array)) for of in (np.min, np.max))
    peaks = np.asarray(np.maximum(most, -least))
    if np.isfinite(least).all() and np.isfinite(most).all():
        return _Look(_observed(array, float(least.min()), float(most.max()), weights), peaks)
    finite = np.isfinite(array)
    array = array[finite] if finite.any() else np.zeros(1, array.dtype)
    return _Look(_observed(array, float(array.min()), float(array.max()), None), peaks)


def _observed(array: Array, low: float, high: float, weights: Array | None) -> Observed:
    """Histograms of a sample, spread so that it visits all channels, rows and columns."""
    step = -(-array.size // SAMPLES)
    while math.gcd(step, array.size) > 1 < step:
        step += 1
    sample = array.reshape(-1)[::step]
    each = np.full(len(sample), 1 / len(sample))
    if weights is not None:
        channel = np.arange(0, array.size, step) // math.prod(array.shape[2:]) % array.shape[1]
        each *= len(weights) * weights[channel if len(weights) > 1 else np.zeros_like(channel)]
    each[sample == 0] = 0.0
    counts, counted = (histogram(sample, low, high, amounts) for amounts in (None, each))
    return Observed(low, high, ((low, high),), counts.astype(np.int64), counted)


def _highest(found: Sequence[Array]) -> Array:
    """The maximum over all photos; over all channels, too, if axis 1 is spatial and differs between photos."""
    alike = len({len(each) for each in found}) == 1
    return np.asarray(np.max(found if alike else [[each.max()] for each in found], axis=0))


def _others(array: Array) -> tuple[int, ...]:
    """All axes but the channels'."""
    return tuple(axis for axis in range(array.ndim) if axis != 1)


def merged(seen: Sequence[Mapping[str, Observed]]) -> dict[str, Observed]:
    """The merged statistics of each value over several photos."""
    return {name: _merged([each[name] for each in seen]) for name in (seen[0] if seen else ())}


def _merged(seen: Sequence[Observed]) -> Observed:
    """Rebin the histograms to the common range: off by less than half a bin."""
    low, high = min(o.low for o in seen), max(o.high for o in seen)
    counts = np.sum([histogram(each.centers, low, high, each.counts) for each in seen], axis=0)
    weights = np.mean([histogram(each.centers, low, high, each.weights) for each in seen], axis=0)
    bounds = tuple(bounds for o in seen for bounds in o.per_image)
    return Observed(low, high, bounds, counts.astype(np.int64), weights)


def histogram(array: Array, low: float, high: float, amounts: Array | None = None) -> Array:
    """Histogram of ``array`` in ``BINS`` equal bins from ``low`` to ``high``, with optional weights (float64)."""
    if high <= low:
        total = array.size if amounts is None else amounts.sum()
        return np.bincount([0], weights=[total], minlength=BINS)
    index = ((array.reshape(-1) - np.float32(low)) * np.float32(BINS / (high - low))).astype(np.int32)
    return np.bincount(np.clip(index, 0, BINS - 1), weights=amounts, minlength=BINS)
