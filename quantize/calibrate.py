"""What values each tensor takes on photos: the float graph is run on them, step by step, and every activation seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.protocols import no_progress
from clearport.quantize import lanes
from clearport.quantize.stepwise import Stepwise

if TYPE_CHECKING:
    from clearport.base import Array, Graph
    from clearport.protocols import Progress

BINS = 4096

MEMORY = 1e9
"""Bytes of activations that are looked at together, over all photos."""

_FIRST = 4
"""Values of the first step, before it is known how large they are."""


@dataclass(frozen=True)
class Observed:
    """What one tensor did on some photos.

    Attributes:
        low: the smallest value.
        high: the largest.
        per_image: the bounds of each photo, in order.
        counts: histogram in equal bins from ``low`` to ``high``.
    """

    low: float
    high: float
    per_image: tuple[tuple[float, float], ...]
    counts: Array

    @property
    def centres(self) -> Array:
        """The middle of each histogram bin, float64."""
        width = (self.high - self.low) / len(self.counts)
        return np.asarray(self.low + width * (np.arange(len(self.counts)) + 0.5))


def survey(
    graph: Graph, inputs: Sequence[Array], names: Sequence[str], progress: Progress = no_progress
) -> tuple[list[dict[str, Observed]], dict[str, Array]]:
    """What each named value did on each of ``inputs``, and the largest magnitude of each of its channels over all.

    ``names`` come in the order of the graph. It is run in steps, so that memory is bounded: a histogram per value and
    image, and the activations of as many values as ``MEMORY`` holds.
    """
    source = graph.input.name
    stepwise = Stepwise(graph.model, inputs)
    seen = [{source: _observed(image)} for image in inputs]
    peaks = {source: _peaks(inputs)}
    left, taken = [name for name in names if name != source], _FIRST
    while left:
        step, left = left[:taken], left[taken:]
        values = stepwise.advance(step)
        for found, observed in zip(seen, lanes.over(_observe_all, values), strict=True):
            found.update(observed)
        peaks |= {name: _peaks([each[name] for each in values]) for name in step}
        held = sum(array.nbytes for each in values for array in each.values())
        taken = max(1, int(MEMORY * len(step) / held))
        progress("observing photos", len(names) - len(left), len(names))
    return [{name: found[name] for name in names} for found in seen], {name: peaks[name] for name in names}


def _observe_all(values: Mapping[str, Array]) -> dict[str, Observed]:
    return {name: _observed(array) for name, array in values.items()}


def _peaks(arrays: Sequence[Array]) -> Array:
    """The largest magnitude of each channel; of all together where axis 1 are pixels, as many as each photo has."""
    found = [np.maximum(array.max(_others(array)), -array.min(_others(array))) for array in arrays]
    alike = len({len(each) for each in found}) == 1
    return np.asarray(np.max(found if alike else [[each.max()] for each in found], axis=0))


def _others(array: Array) -> tuple[int, ...]:
    """All axes but the channels'."""
    return tuple(axis for axis in range(array.ndim) if axis != 1)


def merged(seen: Sequence[Mapping[str, Observed]]) -> dict[str, Observed]:
    """What each value did on several photos together."""
    return {name: _merged([each[name] for each in seen]) for name in (seen[0] if seen else ())}


def _observed(array: Array) -> Observed:
    low, high = float(array.min()), float(array.max())
    return Observed(low, high, ((low, high),), histogram(array, low, high))


def _merged(seen: Sequence[Observed]) -> Observed:
    """The histograms are counted anew in the bins of the common range: off by less than half a bin."""
    low, high = min(o.low for o in seen), max(o.high for o in seen)
    counts = np.zeros(BINS, np.int64)
    for each in seen:
        counts += histogram(each.centres, low, high, each.counts)
    return Observed(low, high, tuple(bounds for o in seen for bounds in o.per_image), counts)


def histogram(array: Array, low: float, high: float, counts: Array | None = None) -> Array:
    """Counts of ``array`` in ``BINS`` equal bins from ``low`` to ``high``; each number counts once, or ``counts``."""
    if high <= low:
        return np.bincount([0], weights=[array.size if counts is None else counts.sum()], minlength=BINS).astype(
            np.int64
        )
    index = ((array.reshape(-1) - np.float32(low)) * np.float32(BINS / (high - low))).astype(np.int32)
    return np.bincount(np.clip(index, 0, BINS - 1), weights=counts, minlength=BINS).astype(np.int64)
