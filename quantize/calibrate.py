"""What values each tensor takes on photos: the float graph is run on them with every activation exposed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport import graphs
from clearport.base import BadInput, Graph, Size

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array
    from clearport.images import Image8

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

FREE_SIZE = Size(180, 320)
"""The crop that is taken from the middle of each photo where the graph can run at any size."""

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


def prepare(graph: Graph, images: Sequence[Image8]) -> tuple[Graph, list[Array]]:
    """The graph to calibrate with, and its inputs: float32 (1, 3, h, w) in the graph's value range.

    Where no operator holds a size, the graph is freed of its own and each photo gives a crop of ``FREE_SIZE`` from its
    middle (the whole photo where it is smaller). Else each photo is cropped, or extended by mirroring, to the size of
    the graph.

    Raises:
        BadInput: there are no images, or one is not (H, W, 3) uint8.
    """
    if not images:
        raise BadInput("calibration needs at least one photo, and none was given")
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise BadInput(f"calibration photos must be uint8 RGB (H, W, 3), got {image.dtype} {image.shape}")
    if graphs.size_bound(graph) is None:
        free = graphs.resized(graph, None)
        return free, [to_input(graph, _middle(image, FREE_SIZE)) for image in images]
    height, width = (n if isinstance(n, int) else 0 for n in graph.input.shape[2:])
    size = Size(height or FREE_SIZE.height, width or FREE_SIZE.width)
    return graph, [to_input(graph, _middle(_mirrored(image, size), size)) for image in images]


def cropped(graph: Graph, inputs: Sequence[Array], side: int) -> list[Array]:
    """The middle ``side`` x ``side`` pixels of each input; the inputs as they are where the graph has a fixed size."""
    if any(isinstance(n, int) for n in graph.input.shape[2:]) and graphs.size_bound(graph) is not None:
        return list(inputs)
    corners = [tuple(max(0, (n - side) // 2) for n in image.shape[2:]) for image in inputs]
    return [
        np.ascontiguousarray(image[:, :, top : top + side, left : left + side])
        for image, (top, left) in zip(inputs, corners, strict=True)
    ]


def to_input(graph: Graph, image: Image8) -> Array:
    """uint8 (H, W, 3) -> float32 (1, 3, H, W) in the graph's value range."""
    low, high = graph.input.value_range
    unit = image.transpose(2, 0, 1)[None].astype(np.float32)
    return np.ascontiguousarray(unit * np.float32((high - low) / 255.0) + np.float32(low))


def _middle(image: Image8, size: Size) -> Image8:
    height, width = image.shape[:2]
    top, left = max(0, (height - size.height) // 2), max(0, (width - size.width) // 2)
    return image[top : top + size.height, left : left + size.width]


def _mirrored(image: Image8, size: Size) -> Image8:
    missing = [max(0, wanted - given) for wanted, given in zip((size.height, size.width), image.shape, strict=False)]
    return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")


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
