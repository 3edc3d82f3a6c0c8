"""Computing cost of a simulation, so that quantization takes about the same time for every network.

Counted, not timed, so that the same network is searched the same way on every machine. One unit is a
multiply-accumulate; one core does 20 to 70 billion per second.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clearport.base import Size
from clearport.graph import nodes as graphs
from clearport.graph import shapes
from clearport.operators import sizes as graph_sizes
from clearport.operators import table
from clearport.quantize.placement import floats as placement

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Graph

ELEMENT = 60
"""Cost of writing one element: reading its inputs, and rounding it to the int8 grid and back."""

_PROBE = 64


def sized(graph: Graph) -> Graph:
    """The graph at a known size: its own, or a small valid one."""
    if not graph.input.dynamic:
        return graph
    step = graph_sizes.coarsest_stride(graph)
    side = math.ceil(_PROBE / step) * step
    return graph_sizes.resized(graph, Size(side, side))


def layers(graph: Graph) -> dict[str, float]:
    """Cost of each node per input pixel."""
    fixed = sized(graph)
    return {placement.name_of(node): _work(node) / area(fixed) for node in fixed.model.graph}


def macs(graph: Graph) -> dict[str, float]:
    """Multiply-accumulates of each node per input pixel."""
    fixed = sized(graph)
    return {placement.name_of(node): _macs(node) / area(fixed) for node in fixed.model.graph}


def area(graph: Graph) -> int:
    """Input pixels of a fixed-size graph; 1 if it has no height and width."""
    size = shapes.size_of(graph.input)
    return size.height * size.width if size is not None else 1


def _work(node: ir.Node) -> float:
    return _macs(node) + ELEMENT * sum(_elements(value) for value in node.outputs)


def _macs(node: ir.Node) -> float:
    """Multiply-accumulates of convolutions and matrix products; other operators are negligible."""
    record = table.of(node)
    if record.kind == "convolution":
        weight = graphs.need_constant(node, 1)
        moved = graphs.need(node, 0) if record.transposed else node.outputs[0]  # the positions of the kernel
        return _elements(moved) * math.prod(weight.shape[1:])
    if record.kind == "matrix":
        inner = graphs.need(node, 0).shape
        last = inner[-1] if inner is not None else 1
        return _elements(node.outputs[0]) * (last if isinstance(last, int) else 1)
    return 0.0


def _elements(value: ir.Value) -> float:
    """Element count of a value; an axis of unknown size counts as 1."""
    if value.shape is None:
        return 0.0
    return float(math.prod(n if isinstance(n, int) else 1 for n in value.shape))
