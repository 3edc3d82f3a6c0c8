"""Which operators of a half-precision Core ML program sample, and compute where: they stay in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.index import GRID_SAMPLE

if TYPE_CHECKING:
    from clearport.base import Graph

_PASSED = frozenset({"binary", "mover", "unary"})
"""Kinds of operators through which places are followed back."""


def sampled(graph: Graph) -> frozenset[str]:
    """The operators that sample, and those that compute where: float16 moves a place by up to half a pixel.

    Core ML takes places in float32 alone. What a convolution or a product of matrices gives is a start.
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
