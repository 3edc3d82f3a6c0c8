"""Write what PyTorch's exporter puts behind attention's Softmax without a comparison with NaN.

Given: ``Where(IsNaN(s), 0, s)`` with ``s = Softmax(x)``: 0 where a mask leaves nothing of a row, whose softmax is NaN.
Result: ``s`` where no row can be masked whole, that is, where x is a product, or a constant mask leaves something of
each; else ``s`` times 1 where something of a row is left and 0 where not. Later passes make the masks finite, after
which nothing would be NaN. Guards of other values stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, each_float, insert, rank, sizes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph

_PRODUCTS = frozenset({"MatMul", "Einsum", "Gemm"})
_SCALES = frozenset({"Mul", "Div"})


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {"Where": _guarded})


def _guarded(node: ir.Node) -> ir.Value | None:
    softmax = _softmax(node)
    if softmax is None:
        return None
    value, masked = softmax.outputs[0], graphs.need(softmax, 0)
    axis = graphs.attr_int(softmax, "axis", -1)
    left = _left(node, masked, axis if axis < 0 else axis - rank(masked))
    if isinstance(left, np.ndarray):
        return value if left.all() else insert(node, "Mul", [value, constant(node, "left", left)], sizes(value))
    return None if left is None else insert(node, "Mul", [value, left], sizes(value))


def _softmax(node: ir.Node) -> ir.Node | None:
    """The Softmax whose NaN a Where replaces by 0, if nothing else reads its input."""
    test, zero, value = (graphs.operand(node, index) for index in range(3))
    asked, made = (None if each is None else each.producer() for each in (test, value))
    is_guard = asked is not None and asked.op_type == "IsNaN" and graphs.operand(asked, 0) is value
    if not is_guard or made is None or made.op_type != "Softmax" or graphs.scalar(zero) != 0.0:
        return None
    return made if len(graphs.need(made, 0).uses()) == 1 else None


def _left(near: ir.Node, masked: ir.Value, axis: int) -> Array | ir.Value | None:
    """Whether something is left of each row, constant or computed, as 1 and 0; None if that is not known."""
    if _is_product(masked):
        return np.ones(1, np.float32)
    node = masked.producer()
    given = [graphs.constant(value) for value in node.inputs] if node is not None else []
    endless = [array is not None and array.dtype.kind == "f" and np.isneginf(array) for array in given]
    if node is not None and node.op_type == "Add":
        found = next((~each for each in endless if isinstance(each, np.ndarray)), None)
        known = found is not None and (not found.all() or any(v is not None and _is_product(v) for v in node.inputs))
        return _any(found, axis) if found is not None and known else None
    if node is None or node.op_type != "Where" or sum(map(np.all, endless[1:])) != 1:
        return None
    inverse = bool(np.all(endless[1]))
    return _any(given[0] ^ inverse, axis) if given[0] is not None else _computed(near, node, axis, inverse=inverse)


def _is_product(value: ir.Value) -> bool:
    """Whether a value is a product of matrices, perhaps times constants: finite in any network whose output is."""
    node = value.producer()
    if node is not None and node.op_type in _SCALES and any(graphs.scalar(each) for each in node.inputs):
        return any(each is not None and _is_product(each) for each in node.inputs)
    return node is not None and node.op_type in _PRODUCTS


def _any(left: Array, axis: int) -> Array | None:
    return np.asarray(left.any(axis=axis, keepdims=True), np.float32) if left.ndim >= -axis else None


def _computed(near: ir.Node, where: ir.Node, axis: int, *, inverse: bool) -> ir.Value | None:
    chosen = graphs.need(where, 0)
    shape = sizes(chosen)
    if shape is None or len(shape) < -axis:
        return None
    if inverse:
        chosen = insert(near, "Not", [chosen], shape)
    numbers = insert(near, "Cast", [chosen], shape, {"to": int(ir.DataType.FLOAT)})
    numbers.type = ir.TensorType(ir.DataType.FLOAT)
    rows = tuple(1 if place == len(shape) + axis else n for place, n in enumerate(shape))
    return insert(near, "ReduceMax", [numbers, constant(near, "axes", [len(shape) + axis])], rows, {"keepdims": 1})
