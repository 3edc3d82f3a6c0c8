"""Pictures for trying float16 before a program is written, and the small graph that is tried on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size
from clearport.graph import feeds, shapes
from clearport.graph import nodes as graphs
from clearport.models import samples
from clearport.operators import sizes as graph_sizes
from clearport.pictures.images import load_rgb
from clearport.pictures.probe import probe_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from clearport.base import Array, Graph, TensorSpec
    from clearport.graph.feeds import Feed, Sample

SIDE = 64
"""Side in pixels for graphs of dynamic size, rounded up to a valid multiple."""

MOST_PIXELS = 128 * 128
"""Maximum size of a tile: hundreds of runs find out which operators err, minutes for a graph that has one size only."""

MOST_TILES = 64
"""Maximum number of tiles of the probe; 360x640 pixels have 50 of 64x64."""


def small(graph: Graph) -> Graph:
    """The same network at a small size, if it is dynamic."""
    own = shapes.size_of(graph.input)
    if own is None or graph_sizes.size_bound(graph) is not None:
        return graph
    step = graph_sizes.coarsest_stride(graph)
    side = -(-SIDE // step) * step
    if side >= min(own.height, own.width):
        return graph
    try:
        smaller = graph_sizes.resized(graph, Size(side, side))
        run(smaller.model, [feeds.noise(smaller.inputs, Size(side, side))])
    except Exception:  # ONNX Runtime's errors have no narrower base; if the small size fails, use the graph's own
        return graph
    return smaller


def run(model: ir.Model, pictures: Sequence[Feed]) -> list[list[Array]]:
    """All outputs for each feed, without optimizations, which would remove casts there and back."""
    session = graphs.session(model, as_written=True)
    return [list(session.run(None, picture)) for picture in pictures]


def pictures(graph: Graph) -> list[Feed]:
    """A photo, darkened, and with strong noise, in the graph's range and at a valid size.

    Not noise alone: networks trained on photos may amplify it so much that only float32 suffices (SPAN: 41 dB
    where photos keep 72), and nobody restores it.
    """
    size = _size(graph)
    photo = load_rgb(samples.golden())
    # Its center: the corners are plain sky, which shows less of half precision's effect on texture.
    sides = zip((size.height, size.width), photo.shape, strict=False)
    rows, columns = ((np.arange(n) + max(0, length - n) // 2) % length for n, length in sides)
    sample = feeds.sample_of(graph.inputs, photo[rows][:, columns])
    feed = feeds.feed_of(graph.inputs, sample)
    changes = (lambda unit: unit, lambda unit: unit * 0.1, _noisy)
    return [feed | {s.name: _changed(s, sample, to) for s in graph.inputs if s.is_picture} for to in changes]


def probe_tiles(graph: Graph, size: Size | None) -> list[Feed]:
    """The probe of the proof (of ``size``, or of the graph's) in tiles of the graph's size.

    An error that the probe shows at a few pixels in ten thousand, as where blocks of two colors meet, is not seen on a
    small one. Graphs of more than ``MOST_PIXELS`` are not tried on it.
    """
    tile = _size(graph)
    if not any(spec.is_picture for spec in graph.inputs) or tile.height * tile.width > MOST_PIXELS:
        return []
    whole = probe_picture(size or tile)
    rows, columns = (
        range(0, n - side + 1, side) for n, side in zip(whole.shape, (tile.height, tile.width), strict=False)
    )
    corners = [(y, x) for y in rows for x in columns]
    cut = [whole[y : y + tile.height, x : x + tile.width] for y, x in corners[:: -(-len(corners) // MOST_TILES)]]
    return [feeds.feed_of(graph.inputs, feeds.sample_of(graph.inputs, picture)) for picture in cut]


def _size(graph: Graph) -> Size:
    step = graph_sizes.coarsest_stride(graph)
    usual = -(-SIDE // step) * step
    return shapes.size_of(graph.input) or Size(usual, usual)


def _changed(spec: TensorSpec, sample: Sample, change: Callable[[Array], Array]) -> Array:
    """A picture, transformed within 0 to 1, in the graph's input format."""
    low, high = spec.span
    unit = feeds.stored_colors(sample[spec.name], spec.color).transpose(2, 0, 1)[None] / 255.0
    return np.asarray(low + (high - low) * change(unit), np.float32)


def _noisy(unit: Array) -> Array:
    return np.asarray(np.clip(unit + np.random.default_rng(0).normal(0, 0.1, unit.shape), 0, 1))
