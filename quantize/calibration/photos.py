"""Photos as a graph takes them: cropped, extended, halved, and in its value range."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from clearport.base import BadInput, Graph, Size
from clearport.operators import sizes as graph_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array
    from clearport.pictures.images import Image8

LARGEST = Size(180, 320)
"""Of a larger photo the middle is taken, where the graph can run at any size."""

LEAST = Size(64, 64)
"""No photo is cut to less than this."""

MOST_PHOTOS = 64
"""Of more photos so many are drawn, always the same ones."""

FEWEST_PHOTOS = 8
"""So many are looked at, however deep the network: less would not tell the range of what it sees."""

_SEED = 0

T = TypeVar("T")


def drawn(photos: Sequence[T]) -> list[T]:
    """At most ``MOST_PHOTOS`` of the photos, in their order: a random choice that is the same every time."""
    if len(photos) <= MOST_PHOTOS:
        return list(photos)
    chosen = np.random.default_rng(_SEED).choice(len(photos), MOST_PHOTOS, replace=False)
    return [photos[index] for index in np.sort(chosen)]


def spread(photos: Sequence[T], pixels: float) -> list[T]:
    """Evenly spread photos: as many as ``pixels`` suffice for at ``LEAST`` each, but ``FEWEST_PHOTOS``."""
    count = min(len(photos), max(FEWEST_PHOTOS, int(pixels / (LEAST.height * LEAST.width))))
    return [photos[index * len(photos) // count] for index in range(count)]


def middle(image: Image8, size: Size | None) -> Image8:
    """The part of a photo (H, W, 3) that ``prepare`` may look at, for a graph of ``size`` or of any (None): a copy."""
    wanted = size or LARGEST
    most = (max(wanted.height, LARGEST.height), max(wanted.width, LARGEST.width))
    cut = [max(0, have - n) // 2 for have, n in zip(image.shape, most, strict=False)]
    return image[cut[0] : image.shape[0] - cut[0], cut[1] : image.shape[1] - cut[1]].copy()


def least_side(graph: Graph) -> int:
    """The smallest height and width that a graph of any size takes: runtimes crash on what gets empty inside."""
    step = graph_sizes.coarsest_stride(graph)
    return -(-graph.least_side // step) * step


def prepare(graph: Graph, images: Sequence[Image8], pixels: float = math.inf) -> tuple[Graph, list[Array]]:
    """The graph to calibrate with, and its inputs: float32 (1, 3, h, w) in the graph's value range.

    Where no operator holds a size, the graph is freed of its own, and each photo gives its middle, at most ``LARGEST``
    and about ``pixels`` pixels, but not less than ``LEAST``. Else each photo is cropped to the size of the graph.
    Photos that are too small for it (``least_side``) are extended by mirroring.

    Raises:
        BadInput: there are no images, or one is not (H, W, 3) uint8.
    """
    if not images:
        raise BadInput("calibration needs at least one photo, and none was given")
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise BadInput(f"calibration photos must be uint8 RGB (H, W, 3), got {image.dtype} {image.shape}")
    if not graph.input.dynamic and graph_sizes.size_bound(graph) is not None:
        height, width = (int(n) for n in graph.input.shape[2:])
        return graph, [to_input(graph, _fitted(image, Size(height, width))) for image in images]
    free = graph if graph.input.dynamic else graph_sizes.resized(graph, None)
    sides = (graph_sizes.coarsest_stride(graph), least_side(graph))
    return free, [to_input(graph, _fitted(image, _free_size(image, sides, pixels))) for image in images]


def _free_size(image: Image8, sides: tuple[int, int], pixels: float) -> Size:
    """The largest multiple of a step inside the photo and ``LARGEST``, but the least; ``sides`` are step and least."""
    step, least = sides
    factor = min(1.0, math.sqrt(pixels / (LARGEST.height * LARGEST.width)))
    most = (max(LEAST.height, int(LARGEST.height * factor)), max(LEAST.width, int(LARGEST.width * factor)))
    height, width = (max(least, min(have, n) // step * step) for have, n in zip(image.shape, most, strict=False))
    return Size(height, width)


def _fitted(image: Image8, size: Size) -> Image8:
    """The middle of the photo; mirrored at its lower and right edge where it is smaller than ``size``."""
    missing = [max(0, n - have) for n, have in zip((size.height, size.width), image.shape, strict=False)]
    whole = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    top, left = (whole.shape[0] - size.height) // 2, (whole.shape[1] - size.width) // 2
    return whole[top : top + size.height, left : left + size.width]


def to_input(graph: Graph, image: Image8) -> Array:
    """uint8 (H, W, 3) -> float32 (1, 3, H, W) in the graph's value range."""
    low, high = graph.input.span
    unit = image.transpose(2, 0, 1)[None].astype(np.float32)
    return np.ascontiguousarray(unit * np.float32((high - low) / 255.0) + np.float32(low))


def cropped(graph: Graph, inputs: Sequence[Array], side: int) -> list[Array]:
    """The middle ``side`` x ``side`` pixels of each input; the inputs as they are where the graph has a fixed size."""
    if not graph.input.dynamic:
        return list(inputs)
    step = graph_sizes.coarsest_stride(graph)
    side = max(side // step * step, least_side(graph))
    corners = [[max(0, (n - side) // 2) for n in image.shape[2:]] for image in inputs]
    return [
        np.ascontiguousarray(image[:, :, top : top + side, left : left + side])
        for image, (top, left) in zip(inputs, corners, strict=True)
    ]


def halved(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """Each input at half its size (the mean of 2x2 pixels); those that the graph cannot take so small are left out."""
    if not graph.input.dynamic:
        return []
    step, least = 2 * graph_sizes.coarsest_stride(graph), 2 * least_side(graph)
    trimmed = [image[:, :, : image.shape[2] // step * step, : image.shape[3] // step * step] for image in inputs]
    return [
        t.reshape(1, 3, t.shape[2] // 2, 2, t.shape[3] // 2, 2).mean((3, 5))
        for t in trimmed
        if min(t.shape[2:]) >= least
    ]
