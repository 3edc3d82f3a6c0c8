"""What values each tensor takes on photos: the float graph is run on them with every activation exposed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport import graphs
from clearport.base import BadInput, Graph, Size

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.images import Image8

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

FREE_SIZE = Size(180, 320)
"""The crop that is taken from the middle of each photo where the graph can run at any size."""

BINS = 4096


@dataclass(frozen=True)
class Observed:
    """What one tensor did: overall bounds, those of each image in order, and a histogram between the overall bounds."""

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
    """A graph in ONNX Runtime that gives the named activations as well."""

    def __init__(self, graph: Graph, names: Sequence[str]) -> None:
        shown = graphs.clone(graph)
        body = shown.model.graph
        self._source = graph.input.name
        self.names = [n for n in names if n != self._source]
        by_name = {graphs.name_of(v): v for v in graphs.values(shown)}
        for name in self.names:
            if not by_name[name].is_graph_output():
                body.outputs.append(by_name[name])
        self._session: Any = graphs.session(shown.model)

    def run(self, image: Array) -> dict[str, Array]:
        """float32 (1, 3, H, W) -> name -> activation."""
        values = dict(zip(self.names, self._session.run(self.names, {self._source: image}), strict=True))
        return {self._source: image, **values}


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


def observe(
    graph: Graph, inputs: Sequence[Array], names: Sequence[str], progress: Progress | None = None
) -> dict[str, Observed]:
    """Run the graph twice over ``inputs``: once for the bounds of each named value, once for its histogram.

    Memory is bounded: one image's activations and one histogram per value.
    """
    exposed = Exposed(graph, names)
    bounds: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for done, image in enumerate(inputs):
        for name, array in exposed.run(image).items():
            bounds[name].append((float(array.min()), float(array.max())))
        _tell(progress, done + 1, 2 * len(inputs))
    overall = {name: (min(b[0] for b in seen), max(b[1] for b in seen)) for name, seen in bounds.items()}
    for done, image in enumerate(inputs):
        for name, array in exposed.run(image).items():
            counts[name] += histogram(array, *overall[name])
        _tell(progress, len(inputs) + done + 1, 2 * len(inputs))
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


def min_max(observed: Iterable[tuple[str, Observed]]) -> dict[str, tuple[float, float]]:
    """The bounds of everything that was seen."""
    return {name: (seen.low, seen.high) for name, seen in observed}
