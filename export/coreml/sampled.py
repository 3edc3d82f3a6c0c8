"""Operators of half-precision programs that sample or threshold, and the ones that compute their coordinates or
operands: all stay in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.choices import CAST
from clearport.operators.index import GRID_SAMPLE

if TYPE_CHECKING:
    from clearport.base import Graph

_PASSED = frozenset({"binary", "mover", "unary"})
"""Kinds of operators through which coordinates are traced back."""
_CHEAP = _PASSED | {"reduction"}
"""Kinds of operators through which thresholded operands are traced back."""


def sampled(graph: Graph) -> frozenset[str]:
    """The operators that sample, and those that compute coordinates: float16 moves a coordinate by up to half a pixel.

    Core ML accepts coordinates in float32 only. Tracing stops at convolutions and matrix products.
    """
    found: set[str] = set()
    for node in reversed(list(graph.model.graph)):
        name = graphs.name_of(node.outputs[0])
        if node.op_type == GRID_SAMPLE.name:
            found |= {name, f"{graphs.need(node, 1).name}"}
        elif name in found and table.of(node).kind in _PASSED:
            found |= {f"{value.name}" for value in node.inputs if value is not None}
    given = (node for node in graph.model.graph if table.of(node).kind in _PASSED or node.op_type == GRID_SAMPLE.name)
    return frozenset(
        found & {graphs.name_of(node.outputs[0]) for node in given if node.outputs[0].dtype == ir.DataType.FLOAT}
    )


def decided(graph: Graph) -> frozenset[str]:
    """The operators that decide on the network's inputs (``image > 0.5``, ``floor(7 * image)``), and those before them.

    Float16 would flip decisions near a threshold. Outputs of convolutions have errors of their own, which are measured
    where they matter.
    """
    near = {graphs.name_of(value) for value in graph.model.graph.inputs}
    found: set[str] = set()
    for node in graph.model.graph:
        given = [value for value in node.inputs if value is not None and graphs.constant(value) is None]
        if given and all(value.name in near for value in given) and (_decides(node) or table.of(node).kind in _CHEAP):
            near |= {graphs.name_of(value) for value in node.outputs}
            found |= {graphs.name_of(node.outputs[0])} if _decides(node) else set()
    for node in reversed(list(graph.model.graph)):
        if graphs.name_of(node.outputs[0]) in found:
            found |= {f"{v.name}" for v in node.inputs if v is not None and v.producer() is not None}
    return frozenset(found)


def _decides(node: ir.Node) -> bool:
    floats = all(value.dtype == ir.DataType.FLOAT for value in node.inputs[:1] if value is not None)
    """Whether its output is discontinuous, as is a Cast to integers."""
    rounds = node.op_type == CAST.name and node.outputs[0].dtype is not None and node.outputs[0].dtype.is_integer()
    return floats and (table.of(node).jumps or rounds)
