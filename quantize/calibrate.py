"""What values each tensor takes on photos: the float graph is run on them with every activation exposed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport import graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array, Graph

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

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
        self._source, self._names, self._with_source = source, list(values), source in names
        self._session: Any = graphs.session(shown)

    def run(self, image: Array) -> dict[str, Array]:
        """float32 (1, 3, H, W) -> name -> value."""
        found = dict(zip(self._names, self._session.run(self._names, {self._source: image}), strict=True))
        return {self._source: image, **found} if self._with_source else found


def channel_peaks(graph: Graph, inputs: Sequence[Array], names: Sequence[str]) -> dict[str, Array]:
    """The largest magnitude of each channel of each named value, over ``inputs``."""
    exposed = Exposed(graph.model, graph.input.name, names)
    peaks: dict[str, Array] = {}
    for image in inputs:
        for name, array in exposed.run(image).items():
            peak = np.maximum(array.max(axis=(0, 2, 3)), -array.min(axis=(0, 2, 3)))
            peaks[name] = np.maximum(peaks.get(name, 0.0), peak)
    return peaks


def observe(
    graph: Graph, inputs: Sequence[Array], names: Sequence[str], progress: Progress | None = None
) -> dict[str, Observed]:
    """Run the graph twice over ``inputs``: once for the bounds of each named value, once for its histogram.

    Memory is bounded: one image's activations and one histogram per value.
    """
    exposed = Exposed(graph.model, graph.input.name, names)
    bounds: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for done, image in enumerate(inputs, start=1):
        for name, array in exposed.run(image).items():
            bounds[name].append((float(array.min()), float(array.max())))
        _tell(progress, done, 2 * len(inputs))
    overall = {name: (min(b[0] for b in seen), max(b[1] for b in seen)) for name, seen in bounds.items()}
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for done, image in enumerate(inputs, start=len(inputs) + 1):
        for name, array in exposed.run(image).items():
            counts[name] += histogram(array, *overall[name])
        _tell(progress, done, 2 * len(inputs))
    return {name: Observed(*overall[name], tuple(bounds[name]), counts[name]) for name in names}


def histogram(array: Array, low: float, high: float) -> Array:
    """Counts of ``array`` in ``BINS`` equal bins from ``low`` to ``high``."""
    if high <= low:
        return np.bincount([0], weights=[array.size], minlength=BINS).astype(np.int64)
    index = ((array.reshape(-1) - np.float32(low)) * np.float32(BINS / (high - low))).astype(np.int32)
    return np.bincount(np.clip(index, 0, BINS - 1), minlength=BINS)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
