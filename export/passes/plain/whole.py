"""Integer division, remainder, clamps and cumulative sums in float, since some runtimes have no integer kernels.

Given: Clip, Div, Mod and CumSum of integer data, such as ArgMax indices. Result: a float clamp; the float quotient,
truncated (Div, Mod with ``fmod``) or rounded down (Mod); it is exact up to 2^23, beyond which float32 cannot represent
halves. The dividend is offset by 0.5, away from multiples of the divisor: ncnn multiplies by the reciprocal, and
7 * (1 / 7) is below 1. Sums are exact up to 2^24.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, each_float, insert, sizes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Graph


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {"Clip": _clamped, "CumSum": _cumulative, "Div": _quotient, "Mod": _remainder})


def _quotient(node: ir.Node) -> ir.Value | None:
    operands, shape = _real_operands(node), sizes(node.outputs[0])
    if operands is None:
        return None
    x, y = operands
    moved = _moved(node, x, x, shape)
    return _as(node, insert(node, "Div", [moved, y], shape), node.outputs[0].dtype)


def _remainder(node: ir.Node) -> ir.Value | None:
    """x - y * floor(x / y), whose sign is that of y; with ``fmod`` x - y * trunc(x / y), whose sign is that of x."""
    operands, shape, dtype = _real_operands(node), sizes(node.outputs[0]), node.outputs[0].dtype
    if operands is None:
        return None
    x, y = operands
    if graphs.attr_int(node, "fmod", 0):
        cut = _as(node, insert(node, "Div", [_moved(node, x, x, shape), y], shape), dtype)
        whole = _as(node, cut, ir.DataType.FLOAT)
    else:
        whole = insert(node, "Floor", [insert(node, "Div", [_moved(node, x, y, shape), y], shape)], shape)
    left = insert(node, "Sub", [x, insert(node, "Mul", [whole, y], shape)], shape)
    return _as(node, left, dtype)


def _clamped(node: ir.Node) -> ir.Value | None:
    x, shape = graphs.need(node, 0), sizes(node.outputs[0])
    bounds = [graphs.constant(graphs.operand(node, place)) for place in (1, 2)]
    computed = sum(graphs.operand(node, place) is not None for place in (1, 2)) > sum(b is not None for b in bounds)
    if x.dtype is None or not x.dtype.is_integer() or computed:
        return None
    ends = [
        None if bound is None else constant(node, word, np.asarray(bound, np.float32).reshape(()))
        for word, bound in zip(("low", "high"), bounds, strict=True)
    ]
    kept = insert(node, "Clip", [_as(node, x, ir.DataType.FLOAT), *ends], shape)
    return _as(node, kept, x.dtype)


def _cumulative(node: ir.Node) -> ir.Value | None:
    x, shape = graphs.need(node, 0), sizes(node.outputs[0])
    if x.dtype is None or not x.dtype.is_integer():
        return None
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    total = insert(node, "CumSum", [_as(node, x, ir.DataType.FLOAT), *node.inputs[1:]], shape, attributes)
    return _as(node, total, x.dtype)


def _moved(node: ir.Node, x: ir.Value, like: ir.Value, shape: Sequence[int | str] | None) -> ir.Value:
    """``x`` plus 0.5 with the sign of another value."""
    held = graphs.constant(like)
    if held is not None:
        half = constant(node, "half", np.sign(held) / 2)
    else:
        sign = insert(node, "Sign", [like], sizes(like))
        half = insert(node, "Mul", [sign, constant(node, "half", np.array(0.5))], sizes(like))
    return insert(node, "Add", [x, half], shape)


def _real_operands(node: ir.Node) -> list[ir.Value] | None:
    """Both operands as float32; None if they are float already."""
    dtype = node.outputs[0].dtype
    if dtype is None or not dtype.is_integer() or sizes(node.outputs[0]) is None:
        return None
    found = []
    for value in (graphs.need(node, 0), graphs.need(node, 1)):
        held = graphs.constant(value)
        found.append(
            _as(node, value, ir.DataType.FLOAT) if held is None else constant(node, "number", held.astype(np.float32))
        )
    return found


def _as(node: ir.Node, value: ir.Value, dtype: ir.DataType | None) -> ir.Value:
    assert dtype is not None
    made = insert(node, "Cast", [value], sizes(value), {"to": int(dtype)})
    made.type = ir.TensorType(dtype)
    return made
