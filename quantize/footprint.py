"""Predicted memory of a network's activations, so that runs can be sized to fit.

Computed from shapes, not measured, so that the same network is split the same way on every machine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clearport.graph import feeds
from clearport.graph import nodes as graphs
from clearport.quantize.placement import cost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Graph
    from clearport.graph.feeds import Feed

_FLOAT32 = 4


def per_pixel(graph: Graph) -> dict[str, float]:
    """Bytes of each value of a graph, in float32, per input pixel."""
    fixed = cost.sized(graph)
    pixels = cost.area(fixed)
    shapes = {graphs.name_of(value): value.shape for value in graphs.values(fixed)}
    return {
        name: _FLOAT32 * math.prod(n if isinstance(n, int) else 1 for n in shape) / pixels if shape is not None else 0.0
        for name, shape in shapes.items()
    }


def held(graph: Graph, sizes: Mapping[str, float]) -> float:
    """Peak size of live values while a graph runs in order, in the unit of ``sizes``."""
    last = {
        graphs.name_of(v): place for place, node in enumerate(graph.model.graph) for v in node.inputs if v is not None
    }
    alive, most = sum(sizes.get(spec.name, 0.0) for spec in graph.inputs), 0.0
    ending: dict[int, float] = {}
    for name, place in last.items():
        ending[place] = ending.get(place, 0.0) + sizes.get(name, 0.0)
    for place, node in enumerate(graph.model.graph):
        alive += sum(sizes.get(graphs.name_of(value), 0.0) for value in node.outputs)
        most = max(most, alive)
        alive -= ending.get(place, 0.0)
    return most


def running(graph: Graph, photos: Sequence[Feed]) -> float:
    """Approximate bytes of one run on the largest photo: values and their rounded forms."""
    return 2 * held(graph, per_pixel(graph)) * largest(photos) if photos else 0.0


def steps(names: Sequence[str], sizes: Mapping[str, float], room: float) -> list[list[str]]:
    """Names in order, in chunks of at most ``room`` (in the unit of ``sizes``) or of one value."""
    found: list[list[str]] = []
    taken = math.inf
    for name in names:
        size = sizes.get(name, 0.0)
        if taken + size > room:
            found.append([])
            taken = 0.0
        found[-1].append(name)
        taken += size
    return found


def largest(inputs: Sequence[Feed]) -> int:
    """Pixels of the largest photo."""
    return max(map(feeds.area, inputs))
