"""Photos prepared as graph inputs: cropped, padded, halved, and in the graph's value range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from clearport.base import Graph, Size
from clearport.errors import BadInput
from clearport.graph import feeds, shapes
from clearport.graph import nodes as graphs
from clearport.operators import sizes as graph_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clearport.base import Array, TensorSpec
    from clearport.graph.feeds import Feed, Sample
    from clearport.pictures.images import Image8

LARGEST = Size(180, 320)
"""Larger photos are center-cropped to this side if the graph can run at any size."""

LEAST = Size(64, 64)
"""The smallest crop side."""

MOST_PHOTOS = 64
"""The maximum number of photos; of more, this many are drawn, always the same ones."""

FEWEST_PHOTOS = 8
"""The minimum number of photos, even for deep networks: fewer would not show the range of its activations."""

TILE = 96
"""Approximate tile side for networks whose size can be reduced but not made dynamic. On smaller tiles, attention with
downsampling (ESA of RFDN: to a sixth) would weigh more than in a photo."""

_SEED = 0

T = TypeVar("T")


def drawn(photos: Sequence[T]) -> list[T]:
    """At most ``MOST_PHOTOS`` of the photos, in their order: a random but reproducible choice."""
    if len(photos) <= MOST_PHOTOS:
        return list(photos)
    chosen = np.random.default_rng(_SEED).choice(len(photos), MOST_PHOTOS, replace=False)
    return [photos[index] for index in np.sort(chosen)]


def spread(photos: Sequence[T], pixels: float) -> list[T]:
    """Evenly spread photos: ``pixels`` divided by the crop of side ``LEAST``, but at least ``FEWEST_PHOTOS``."""
    count = min(len(photos), max(FEWEST_PHOTOS, int(pixels / (LEAST.height * LEAST.width))))
    return [photos[index * len(photos) // count] for index in range(count)]


def middle(image: Image8, size: Size | None) -> Image8:
    """A copy of the part of a photo (H, W, 3) that ``prepare`` uses, for a graph of ``size`` or of any size (None)."""
    wanted = size or LARGEST
    most = (max(wanted.height, LARGEST.height), max(wanted.width, LARGEST.width))
    cut = [max(0, have - n) // 2 for have, n in zip(image.shape, most, strict=False)]
    return image[cut[0] : image.shape[0] - cut[0], cut[1] : image.shape[1] - cut[1]].copy()


def least_side(graph: Graph) -> int:
    """The smallest height and width that a dynamic graph accepts: runtimes crash on empty intermediate tensors."""
    step = graph_sizes.coarsest_stride(graph)
    return -(-graph.least_side // step) * step


def prepare(graph: Graph, images: Sequence[Image8 | Sample], pixels: float = math.inf) -> tuple[Graph, list[Feed]]:
    """The graph to calibrate with, and its feeds made from photos (``feeds.sample_of``), in its value range.

    If no operator depends on a fixed size, the graph becomes dynamic, and each photo is center-cropped to at most
    ``LARGEST`` and about ``pixels`` pixels, but at least ``LEAST``. If the graph can be made smaller
    (``sizes.shrunk``), each photo yields as many squares of ``TILE``. Else each is cropped to the graph's size. Photos
    smaller than ``least_side`` are padded symmetrically (mirrored). Every second photo's states are the graph's outputs
    after one step; those of the others are zero, as at the start. Samples, which hold every input, are taken as they
    are.

    Raises:
        BadInput: there are no images, or one is not (H, W, 3) uint8.
    """
    if not images:
        raise BadInput("calibration needs at least one photo")
    given = [image for image in images if isinstance(image, Mapping)]
    if given:
        return graph, [feeds.feed_of(graph.inputs, sample) for sample in given]
    return _of_photos(graph, [image for image in images if not isinstance(image, Mapping)], pixels)


def _of_photos(graph: Graph, images: Sequence[Image8], pixels: float) -> tuple[Graph, list[Feed]]:
    channels = {3, 3 * sum(spec.is_picture for spec in graph.inputs)}  # one photo, or one for each picture
    for image in images:
        if image.ndim != 3 or image.shape[2] not in channels or image.dtype != np.uint8 or not image.size:
            raise BadInput(f"calibration photos must be uint8 RGB (H, W, 3), got {image.dtype} {image.shape}")
    own = shapes.size_of(graph.input)
    if not graph.input.dynamic and (own is None or graph_sizes.size_bound(graph) is not None):
        small = _small(graph, own) if own is not None else None
        if small is not None:
            return small, _fed(small, _tiles(images, int(small.input.shape[2]), pixels))
        return graph, _fed(graph, [_fitted(image, own or LEAST) for image in images])
    free = graph if graph.input.dynamic else graph_sizes.resized(graph, None)
    sides = (graph_sizes.coarsest_stride(graph), least_side(graph))
    return free, _fed(free, [_fitted(image, _free_size(image, sides, pixels)) for image in images])


def _fed(graph: Graph, images: Sequence[Image8]) -> list[Feed]:
    found = [
        feeds.feed_of(graph.inputs, feeds.sample_of(graph.inputs, image, number)) for number, image in enumerate(images)
    ]
    if not any(spec.kind == "state" for spec in graph.inputs):
        return found
    session, names = graphs.session(graph.model), [spec.name for spec in graph.outputs]
    for number in range(len(found) > 1, len(found), 2):
        results = dict(zip(names, session.run(None, found[number]), strict=True))
        found[number] = feeds.returned(graph.inputs, graph.outputs, found[number], results)
    return found


def _small(graph: Graph, own: Size) -> Graph | None:
    """The graph at tile size, if it can be reduced to it."""
    step = graph_sizes.coarsest_stride(graph)
    side = math.ceil(TILE / step) * step
    return graph_sizes.shrunk(graph, Size(side, side)) if min(own.height, own.width) > side else None


def _tiles(images: Sequence[Image8], side: int, pixels: float) -> list[Image8]:
    """Squares of each photo, evenly spread over it: the first of every photo, then the second of every photo, ..."""
    found = [
        list(_squares(_fitted(image, Size(*(max(side, n) for n in image.shape[:2]))), side, pixels)) for image in images
    ]
    return [tile for tiles in zip_longest(*found) for tile in tiles if tile is not None]


def _squares(image: Image8, side: int, pixels: float) -> Iterator[Image8]:
    """Squares with ``pixels`` pixels together (at least one), from a grid centered in the photo."""
    rows, columns = (n // side for n in image.shape[:2])
    top, left = ((n - parts * side) // 2 for n, parts in zip(image.shape, (rows, columns), strict=False))
    count = int(min(rows * columns, max(1, pixels // side**2)))
    for index in range(count):
        row, column = divmod((2 * index + 1) * rows * columns // (2 * count), columns)
        yield image[top + row * side :, left + column * side :][:side, :side]


def _free_size(image: Image8, sides: tuple[int, int], pixels: float) -> Size:
    """The largest multiple of a step within the photo and ``LARGEST``, at least the minimum; ``sides`` has both."""
    step, least = sides
    factor = min(1.0, math.sqrt(pixels / (LARGEST.height * LARGEST.width)))
    most = (max(LEAST.height, int(LARGEST.height * factor)), max(LEAST.width, int(LARGEST.width * factor)))
    height, width = (max(least, min(have, n) // step * step) for have, n in zip(image.shape, most, strict=False))
    return Size(height, width)


def _fitted(image: Image8, size: Size) -> Image8:
    """The center of the photo, mirrored at the bottom and right if it is smaller than ``size``."""
    missing = [max(0, n - have) for n, have in zip((size.height, size.width), image.shape, strict=False)]
    whole = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    top, left = (whole.shape[0] - size.height) // 2, (whole.shape[1] - size.width) // 2
    return whole[top : top + size.height, left : left + size.width]


def cropped(graph: Graph, inputs: Sequence[Feed], side: int) -> list[Feed]:
    """The middle ``side`` x ``side`` pixels of each feed; the feeds unchanged if the graph has a fixed size."""
    if not graph.input.dynamic:
        return list(inputs)
    step = graph_sizes.coarsest_stride(graph)
    side = max(side // step * step, least_side(graph))
    return [_cropped(graph, feed, side, step) for feed in inputs]


def corners(graph: Graph, inputs: Sequence[Feed], side: int) -> list[Feed]:
    """The upper left ``side`` x ``side`` pixels of each feed; unchanged if the graph has a fixed size."""
    if not graph.input.dynamic:
        return list(inputs)
    step = graph_sizes.coarsest_stride(graph)
    wanted = max(1, side // step) * step
    found = []
    for feed in inputs:
        size = Size(*(min(wanted, n) for n in feed[graph.input.name].shape[2:]))
        found.append({spec.name: _part(spec, feed[spec.name], (0, 0), size) for spec in feeds.ordered(graph.inputs)})
    return found


def _cropped(graph: Graph, feed: Feed, side: int, step: int) -> Feed:
    height, width = feed[graph.input.name].shape[2:]
    wanted = Size(min(side, height), min(side, width))
    top, left = ((have - n) // 2 for have, n in ((height, wanted.height), (width, wanted.width)))
    if len(graph.inputs) > 1:  # crops of maps smaller than the picture must be integers, too
        top, left = top // step * step, left // step * step
    return {spec.name: _part(spec, feed[spec.name], (top, left), wanted) for spec in feeds.ordered(graph.inputs)}


def _part(spec: TensorSpec, array: Array, corner: tuple[int, int], size: Size) -> Array:
    """The part of an input that corresponds to a part of the picture; all of it if its sides are unrelated."""
    cut = list(map(slice, array.shape))
    for axis, to in enumerate(shapes.shape_at(spec, size)):
        known = shapes.follows(spec, axis)
        if known is not None:
            start = int(known[0] * corner["HW".index(known[1])])
            cut[axis] = slice(start, start + to)
    return np.ascontiguousarray(array[tuple(cut)])


def few(graph: Graph, inputs: Sequence[Feed]) -> list[Feed]:
    """Small crops of two photos, to compare the outputs of two networks."""
    return cropped(graph, inputs[:: max(1, len(inputs) // 2)][:2], LEAST.height)


def halved(graph: Graph, inputs: Sequence[Feed]) -> list[Feed]:
    """Each feed at half its size (the mean of 2x2 pixels); feeds too small for the graph are left out."""
    if not graph.input.dynamic:
        return []
    step, least = 2 * graph_sizes.coarsest_stride(graph), 2 * least_side(graph)
    found = []
    for feed in inputs:
        height, width = (n // step * step for n in feed[graph.input.name].shape[2:])
        if min(height, width) >= least:
            parts = {s.name: _part(s, feed[s.name], (0, 0), Size(height, width)) for s in feeds.ordered(graph.inputs)}
            found.append({s.name: _half(s, parts[s.name]) for s in feeds.ordered(graph.inputs)})
    return found


def _half(spec: TensorSpec, array: Array) -> Array:
    free = len(spec.shape) == 4 and all(isinstance(n, str) for n in spec.shape[2:])
    if not free:
        return array
    if spec.kind == "index":
        return np.ascontiguousarray(array[:, :, ::2, ::2])
    count, channels, height, width = array.shape
    return np.asarray(array.reshape(count, channels, height // 2, 2, width // 2, 2).mean((3, 5)))
