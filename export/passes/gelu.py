"""Recognize decomposed Gaussian error linear units (GELU).

Given: ``0.5 * x * (1 + erf(x / sqrt(2)))`` as five operators, in any order of the factors.
Result: ``Gelu(approximate="none")``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx_ir as ir

from clearport.base import Graph
from clearport.export.passes.rewriting import insert, sizes, substitute
from clearport.graph import nodes as graphs


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    result = graphs.clone(graph)
    for erf in [node for node in result.model.graph if node.op_type == "Erf"]:
        found = _whole(erf)
        if found is not None:
            last, source = found
            substitute(last, insert(last, "Gelu", [source], sizes(source), {"approximate": "none"}))
            _remove_unread(result.model.graph)
    return result


def _whole(erf: ir.Node) -> tuple[ir.Node, ir.Value] | None:
    """The last operator of the unit, and its input."""
    source = _scaled(graphs.need(erf, 0))
    one = graphs.only_consumer(erf.outputs[0])
    if source is None or one is None or one.op_type != "Add" or 1.0 not in map(graphs.scalar, one.inputs):
        return None
    half, value, seen = 1.0, one.outputs[0], False
    while (product := graphs.only_consumer(value)) is not None and product.op_type == "Mul":
        factor, is_source, other = _factor(product, value, source)
        if other or (seen and is_source):
            break
        half, seen, value = half * factor, seen or is_source, product.outputs[0]
        if seen and math.isclose(half, 0.5, rel_tol=1e-5):
            return product, source
    return None


def _scaled(value: ir.Value) -> ir.Value | None:
    """x of x / sqrt(2)."""
    node = graphs.producer(value)
    if node is None or node.op_type not in {"Mul", "Div"}:
        return None
    for x, number in _sides(node):
        factor = graphs.scalar(number)
        if factor is not None and math.isclose(factor if node.op_type == "Mul" else 1 / factor, 0.5**0.5, rel_tol=1e-5):
            return x
    return None


def _factor(product: ir.Node, value: ir.Value, source: ir.Value) -> tuple[float, bool, bool]:
    """The other factor of a product with ``value``: a number, the source (or a multiple of it), or anything else."""
    other = next(right for left, right in _sides(product) if left is value)
    number = graphs.scalar(other)
    if number is not None:
        return number, False, False
    if other is source:
        return 1.0, True, False
    before = graphs.producer(other)
    if before is not None and before.op_type == "Mul":
        for x, factor in _sides(before):
            number = graphs.scalar(factor)
            if x is source and number is not None:
                return number, True, False
    return 1.0, False, True


def _sides(node: ir.Node) -> Iterator[tuple[ir.Value, ir.Value]]:
    first, second = graphs.need(node, 0), graphs.need(node, 1)
    yield first, second
    if node.op_type != "Div":
        yield second, first


def _remove_unread(body: ir.Graph) -> None:
    for node in reversed(tuple(body)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            body.remove(node, safe=True)
