"""Lowers nodes to ncnn layers by the rules of their records; an operator without a rule is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export.ncnn.lower import TARGET_NAME, Lowering, refuse
from clearport.export.quirks.ncnn import QUIRKS
from clearport.export.quirks.table import of
from clearport.export.without_rule import unknown
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.movers import CONCAT

if TYPE_CHECKING:
    import onnx_ir as ir


def write(low: Lowering, node: ir.Node) -> None:
    """Lower one node, unless it computes sizes (Resize reads those from the graph) or was fused already.

    Raises:
        UnsupportedOperator: no conversion rule, or none for this use of the operator, which ncnn may compute wrongly.
    """
    if low.absorbed(node) or _computes_sizes(node):
        return
    rule = table.of(node).ncnn
    if rule is None:
        raise unknown(TARGET_NAME, node)
    quirk = of(node, QUIRKS)
    if quirk is not None:
        raise refuse(node, f"{quirk.form}: ncnn gives {quirk.instead}")
    rule(low, node)


def has_rule(node: ir.Node) -> bool:
    """Whether ``write`` supports the operator."""
    return table.of(node).ncnn is not None or _computes_sizes(node)


def _computes_sizes(node: ir.Node) -> bool:
    """Whether the node is part of a size computation for Resize: Shape, or an operator that joins shapes."""
    if table.of(node).kind == "shape":
        return True
    parts = [graphs.producer(value) for value in node.inputs if value is not None and graphs.constant(value) is None]
    joined = node.op_type == CONCAT.name and bool(parts)
    return joined and all(part is not None and _computes_sizes(part) for part in parts)
