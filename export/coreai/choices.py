"""Rules of comparisons, logic, selection (Where) and casts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreai.lowering import Lowering, dtype_of
from clearport.graph.nodes import attr_int

if TYPE_CHECKING:
    import onnx_ir as ir


def logic(low: Lowering, node: ir.Node, op: str) -> Any:
    """Equal, And, Or, Xor -> Core AI's ``broadcasting_<op>``, with Boolean output."""
    return getattr(low.ops, f"broadcasting_{op}")(low.var(node, 0), low.var(node, 1))


def greater(low: Lowering, node: ir.Node, *, swapped: bool = False, or_equal: bool = False) -> Any:
    """Greater, Less, GreaterOrEqual, LessOrEqual -> broadcasting_greater, or equal; false for NaN."""
    x, y = (low.var(node, 1), low.var(node, 0)) if swapped else (low.var(node, 0), low.var(node, 1))
    more = low.ops.broadcasting_greater(x, y)
    return low.ops.broadcasting_or(more, low.ops.broadcasting_equal(x, y)) if or_equal else more


def where(low: Lowering, node: ir.Node) -> Any:
    """Where -> broadcasting_where."""
    return low.ops.broadcasting_where(*(low.var(node, i) for i in range(3)))


def cast(low: Lowering, node: ir.Node) -> Any:
    """Cast -> cast; to bool: ``x != 0``."""
    x, wanted = low.var(node, 0), node.outputs[0].dtype
    if wanted is None or wanted.is_floating_point():
        return x if dtype_of(x) == np.dtype(low.compute) else low.ops.cast(x, low.compute)
    if wanted.name == "BOOL":
        return x if dtype_of(x).kind == "b" else low.ops.broadcasting_not_equal(x, np.zeros((), dtype_of(x)))
    return x if dtype_of(x) == np.dtype(np.int32) else low.ops.cast(x, np.int32)


def sign(low: Lowering, node: ir.Node) -> Any:
    """Sign -> (x > 0) - (x < 0)."""
    x, zero = low.var(node, 0), low.fit(node, 0.0)
    above, below = (low.ops.cast(low.ops.broadcasting_greater(*pair), low.compute) for pair in ((x, zero), (zero, x)))
    return low.ops.broadcasting_sub(above, below)


def extreme(low: Lowering, node: ir.Node, *, smallest: bool = False) -> Any:
    """ArgMax, ArgMin -> argmax, which selects the first of equal values; for the last, the axis is reversed."""
    x, ops = low.var(node, 0), low.ops
    axis = attr_int(node, "axis", 0) % len(x.type.shape)
    if smallest:
        x = ops.broadcasting_mul(x, low.fit(node, -1.0))
    last = bool(attr_int(node, "select_last_index", 0))
    places = ops.cast(ops.argmax(ops.reverse(x, np.array([axis], np.int32)) if last else x, np.int32(axis)), np.int32)
    if last:
        places = ops.broadcasting_sub(np.int32(int(x.type.shape[axis]) - 1), places)
    keep = bool(attr_int(node, "keepdims", 1))
    return places if keep else ops.shrink_dims(places, np.array([axis], np.int32))
