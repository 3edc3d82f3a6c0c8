"""TopK as arithmetic, for targets that lack the operator or its indices.

Given: TopK with constant k along an axis of known length. Result: the rank of each element (number of larger ones, and
of equal ones before it); the element of rank m is a sum of products with a one-hot row. The cost is quadratic in the
length, which is short for gates of mixture-of-experts and channel attention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, fixed, insert, reshaped, substitute
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph

_MOST = 1 << 22
"""Maximum number of comparisons."""


def run(graph: Graph, *, every: bool = False) -> Graph:
    """Replace each TopK whose indices are used or that selects the smallest; ``every``: each TopK."""
    if not any(node.op_type == "TopK" and (every or not _plain(node)) for node in graph.model.graph):
        return graph
    result = graphs.clone(graph)
    for node in tuple(result.model.graph):
        if node.op_type == "TopK" and (every or not _plain(node)):
            _replace(node)
    return graphs.check(result)


def _plain(node: ir.Node) -> bool:
    places = node.outputs[1]
    return bool(graphs.attr_int(node, "largest", 1)) and not places.uses() and not places.is_graph_output()


def _replace(node: ir.Node) -> None:
    """Redirect consumers of values and indices to the computed ones; either output may be unused."""
    read = [place for place, value in enumerate(node.outputs) if value.uses() or value.is_graph_output()]
    for place, value in zip(read, _ranked(node, read), strict=False):
        substitute(node, value, place)


def _ranked(node: ir.Node, read: Sequence[int]) -> list[ir.Value]:
    """The sorted values (0) and their indices (1), if used; empty if the cost would be too high."""
    source, count = graphs.need(node, 0), graphs.scalar(graphs.operand(node, 1))
    shape = fixed(source)
    if shape is None or count is None:
        return []
    axis = graphs.attr_int(node, "axis", -1) % len(shape)
    others = [k for k in range(len(shape)) if k != axis]
    rows, length, kept = math.prod(shape[k] for k in others), shape[axis], int(count)
    if rows * length * length > _MOST:
        return []
    turn = [*others, axis]
    turned = insert(node, "Transpose", [source], tuple(shape[k] for k in turn), {"perm": turn})
    line = reshaped(node, turned, (rows, 1, length))
    ones = _ones(node, line, _ranks(node, line, rows, length), kept)
    whole, back = (*(shape[k] for k in others), kept), [turn.index(k) for k in range(len(turn))]

    def given(numbers: ir.Value) -> ir.Value:
        found = _summed(node, insert(node, "Mul", [ones, numbers], (rows, kept, length)), 2, (rows, kept, 1))
        wanted = tuple(whole[k] for k in back)
        return insert(node, "Transpose", [reshaped(node, found, whole)], wanted, {"perm": back})

    counted = _numbers(node, np.arange(length).reshape(1, 1, -1))
    return [_integers(node, given(counted)) if place else given(line) for place in read]


def _integers(node: ir.Node, value: ir.Value) -> ir.Value:
    integers = insert(node, "Cast", [value], fixed(value), {"to": int(ir.DataType.INT64)})
    integers.type = ir.TensorType(ir.DataType.INT64)
    return integers


def _ranks(node: ir.Node, line: ir.Value, rows: int, length: int) -> ir.Value:
    """(rows, 1, length): rank of each element."""
    column, square = reshaped(node, line, (rows, length, 1)), (rows, length, length)
    pair = [column, line] if graphs.attr_int(node, "largest", 1) else [line, column]
    sign = insert(node, "Sign", [insert(node, "Sub", pair, square)], square)
    earlier = _numbers(node, np.tri(length, k=-1).T[None])  # (1, other, own): whether the other has a lower index
    twice = insert(node, "Add", [insert(node, "Mul", [sign, _numbers(node, np.array(2.0))], square), earlier], square)
    return _summed(node, _clipped(node, twice, square), 1, (rows, 1, length))


def _ones(node: ir.Node, line: ir.Value, ranks: ir.Value, kept: int) -> ir.Value:
    """(rows, kept, length): 1 where an element has the rank, else 0."""
    rows, _, length = fixed(line) or (1, 1, 1)
    shape = (rows, kept, length)
    apart = insert(node, "Sub", [ranks, _numbers(node, np.arange(kept).reshape(1, -1, 1))], shape)
    far = _clipped(node, insert(node, "Abs", [apart], shape), shape)
    return insert(node, "Sub", [_numbers(node, np.ones((1, 1, 1))), far], shape)


def _clipped(node: ir.Node, value: ir.Value, shape: tuple[int, ...]) -> ir.Value:
    return insert(node, "Clip", [value, *(_numbers(node, np.array(end)) for end in (0.0, 1.0))], shape)


def _summed(node: ir.Node, value: ir.Value, axis: int, shape: tuple[int, ...]) -> ir.Value:
    return insert(node, "ReduceSum", [value, constant(node, "axis", [axis])], shape, {"keepdims": 1})


def _numbers(node: ir.Node, array: Array) -> ir.Value:
    return constant(node, "numbers", array)
