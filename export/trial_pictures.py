"""Pictures for trying float16 before a program is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size
from clearport.graph import feeds, shapes
from clearport.models import samples
from clearport.operators import sizes as graph_sizes
from clearport.pictures.images import load_rgb

if TYPE_CHECKING:
    from collections.abc import Callable

    from clearport.base import Array, Graph, TensorSpec
    from clearport.graph.feeds import Feed, Sample

SIDE = 64
"""Side in pixels for graphs of dynamic size, rounded up to a valid multiple."""


def pictures(graph: Graph) -> list[Feed]:
    """A photo, darkened, and with strong noise, in the graph's range and at a valid size.

    Not noise alone: networks trained on photos may amplify it so much that only float32 suffices (SPAN: 41 dB
    where photos keep 72), and nobody restores it.
    """
    step = graph_sizes.coarsest_stride(graph)
    usual = -(-SIDE // step) * step
    size = shapes.size_of(graph.input) or Size(usual, usual)
    photo = load_rgb(samples.golden())
    # Its center: the corners are plain sky, which shows less of half precision's effect on texture.
    sides = zip((size.height, size.width), photo.shape, strict=False)
    rows, columns = ((np.arange(n) + max(0, length - n) // 2) % length for n, length in sides)
    sample = feeds.sample_of(graph.inputs, photo[rows][:, columns])
    feed = feeds.feed_of(graph.inputs, sample)
    changes = (lambda unit: unit, lambda unit: unit * 0.1, _noisy)
    return [feed | {s.name: _changed(s, sample, to) for s in graph.inputs if s.is_picture} for to in changes]


def _changed(spec: TensorSpec, sample: Sample, change: Callable[[Array], Array]) -> Array:
    """A picture, transformed within 0 to 1, in the graph's input format."""
    low, high = spec.span
    unit = feeds.stored_colors(sample[spec.name], spec.color).transpose(2, 0, 1)[None] / 255.0
    return np.asarray(low + (high - low) * change(unit), np.float32)


def _noisy(unit: Array) -> Array:
    return np.asarray(np.clip(unit + np.random.default_rng(0).normal(0, 0.1, unit.shape), 0, 1))
