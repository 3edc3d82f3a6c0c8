"""What values each tensor takes on photos: the float graph is run on them with every activation exposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx_ir.passes import common

from clearport import graphs
from clearport.base import no_progress
from clearport.quantize import lanes

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array, Graph, Progress

BINS = 4096


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


class Exposed:
    """A model in ONNX Runtime that gives the named values."""

    def __init__(self, model: ir.Model, source: str, names: Sequence[str]) -> None:
        shown = model.clone()
        wanted = set(names) - {source}
        values = {v.name: v for node in shown.graph for v in node.outputs if v.name in wanted}
        shown.graph.outputs.clear()
        shown.graph.outputs.extend(values.values())
        common.RemoveUnusedNodesPass()(shown)
        self._source, self._names, self._with_source = source, list(values), source in names
        self._session: Any = graphs.session(shown)

    def run(self, image: Array) -> dict[str, Array]:
        """float32 (1, 3, H, W) -> name -> value."""
        found = dict(zip(self._names, self._session.run(self._names, {self._source: image}), strict=True))
        return {self._source: image, **found} if self._with_source else found


def survey(
    graph: Graph,
    inputs: Sequence[Array],
    names: Sequence[str],
    progress: Progress = no_progress,
    held: float = 0.0,
) -> tuple[list[dict[str, Observed]], dict[str, Array]]:
    """What each named value did on each of ``inputs``, and the largest magnitude of each of its channels over all.

    Memory is bounded: the activations of a few images, of ``held`` bytes each, and a histogram per value and image.
    """
    exposed = Exposed(graph.model, graph.input.name, names)
    seen: list[dict[str, Observed]] = []
    peaks: dict[str, Array] = {}
    looked = lanes.over(partial(_looked_at, exposed), inputs, held)
    for done, (observed, tops) in enumerate(looked, start=1):
        seen.append(observed)
        peaks = {name: np.maximum(peaks.get(name, 0.0), top) for name, top in tops.items()}
        progress("observing photos", done, len(inputs))
    return seen, peaks


def _looked_at(exposed: Exposed, image: Array) -> tuple[dict[str, Observed], dict[str, Array]]:
    values = exposed.run(image)
    peaks = {name: np.maximum(array.max(_others(array)), -array.min(_others(array))) for name, array in values.items()}
    return {name: _observed(array) for name, array in values.items()}, peaks


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
