"""Rules of the operators that reduce, normalize, multiply matrices or change the shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreai import beta
from clearport.export.coreai.lowering import Lowering, refuse, sides_of
from clearport.export.quirks.coreai import QUIRKS
from clearport.export.quirks.table import of
from clearport.graph.nodes import attr_float, attr_int, attr_ints, constant, need, need_constant, operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir


def reduction(low: Lowering, node: ir.Node, op: str) -> Any:
    """ReduceMean, ReduceMax, ReduceMin, ReduceSum -> Core AI's ``op``; without axes, over all of them."""
    x = low.var(node, 0)
    rank = len(x.type.shape)
    axes = list(range(rank)) if operand(node, 1) is None else [int(n) % rank for n in need_constant(node, 1)]
    y = _reduced(low, x, op, axes)
    if attr_int(node, "keepdims", 1) or not axes:
        return y
    return low.ops.shrink_dims(y, np.array(sorted(axes), np.int32))


def _reduced(low: Lowering, x: Any, op: str, axes: Sequence[int]) -> Any:
    """Reduce one axis at a time, the last first: one float32 sum over a whole picture would be 0.2 % off at 360x640."""
    for axis in sorted(axes, reverse=True):
        x = getattr(low.ops, op)(x, np.array([axis], np.int32))
    return x


def global_pool(low: Lowering, node: ir.Node, op: str) -> Any:
    """GlobalAveragePool, GlobalMaxPool -> Core AI's ``op`` over width, then over height."""
    x = low.var(node, 0)
    return _reduced(low, x, op, range(2, len(x.type.shape)))


def softmax(low: Lowering, node: ir.Node) -> Any:
    """Softmax -> softmax."""
    x = low.var(node, 0)
    return low.ops.softmax(x, np.int32(attr_int(node, "axis", -1) % len(x.type.shape)))


def layer_norm(low: Lowering, node: ir.Node) -> Any:
    """LayerNormalization -> its formula, in float32: in float16 the squares overflow and epsilon underflows."""
    if len([value for value in node.outputs if value.uses()]) > 1:
        raise refuse(node, "only its first output is supported")
    ops, x = low.ops, low.var(node, 0)
    rank = len(x.type.shape)
    axes = range(attr_int(node, "axis", -1) % rank, rank)
    y = _normalized(low, x, axes, attr_float(node, "epsilon", 1e-5))
    y = ops.broadcasting_mul(y, low.var(node, 1))
    return y if operand(node, 2) is None else ops.broadcasting_add(y, low.var(node, 2))


def instance_norm(low: Lowering, node: ir.Node) -> Any:
    """InstanceNormalization -> its formula over the axes behind the channels, in float32 (see ``layer_norm``)."""
    ops, x = low.ops, low.var(node, 0)
    rank = len(x.type.shape)
    y = _normalized(low, x, range(2, rank), attr_float(node, "epsilon", 1e-5))
    gain, offset = (low.array(node, i).reshape(-1, *[1] * (rank - 2)) for i in (1, 2))
    return ops.broadcasting_add(ops.broadcasting_mul(y, beta.constant(gain)), beta.constant(offset))


def _normalized(low: Lowering, x: Any, axes: Sequence[int], epsilon: float) -> Any:
    """``x`` minus its mean over ``axes``, divided by its standard deviation; in float32, then cast to the compute
    type.
    """
    ops = low.ops
    whole = ops.cast(x, np.float32) if low.compute is np.float16 else x
    centered = ops.broadcasting_sub(whole, _reduced(low, whole, "reduce_mean", axes))
    power = _reduced(low, ops.broadcasting_mul(centered, centered), "reduce_mean", axes)
    y = ops.broadcasting_divide(centered, ops.sqrt(ops.broadcasting_add(power, np.float32(epsilon))))
    return ops.cast(y, np.float16) if low.compute is np.float16 else y


def matmul(low: Lowering, node: ir.Node) -> Any:
    """MatMul -> a batched product, which broadcasts the axes before the last two as ONNX does."""
    pair = low.var(node, 0), low.var(node, 1)
    if any(len(x.type.shape) < 2 for x in pair):
        raise refuse(node, "no conversion rule for vectors")
    left, right = pair
    if of(node, QUIRKS) is not None:
        right = low.ops.broadcasting_mul(right, low.fit(node, 1.0))
    return low.ops.broadcasting_batch_matmul(left, right)


def transpose(low: Lowering, node: ir.Node) -> Any:
    """Transpose -> transpose."""
    x = low.var(node, 0)
    order = attr_ints(node, "perm", tuple(reversed(range(len(x.type.shape)))))
    return low.ops.transpose(x, np.array(order, np.uint32))


def reshape(low: Lowering, node: ir.Node) -> Any:
    """Reshape -> reshape; with dynamic sizes, the shape may contain one -1, and zeros for unchanged sides."""
    x, shape = low.var(node, 0), constant(need(node, 1))
    if shape is None:
        raise refuse(node, "its shape depends on the input size: export it for one size")
    if None in sides_of(x) and -1 not in shape:
        raise refuse(node, f"the shape {shape.tolist()} fits one input size only: export it for that size")
    whole = [int(x.type.shape[i]) if n == 0 else int(n) for i, n in enumerate(shape.tolist())]
    if min(whole) < -1:
        raise refuse(node, "it keeps a dynamic axis: export it for one size")
    return low.ops.reshape(x, np.array(whole, np.int32))


def squeeze(low: Lowering, node: ir.Node) -> Any:
    """Squeeze -> shrink_dims of the given axes, by default all axes of size 1."""
    x, named = low.var(node, 0), constant(operand(node, 1))
    rank = len(x.type.shape)
    axes = [i for i, n in enumerate(sides_of(x)) if n == 1] if named is None else [int(n) % rank for n in named]
    return low.ops.shrink_dims(x, np.array(sorted(axes), np.int32))


def unsqueeze(low: Lowering, node: ir.Node) -> Any:
    """Unsqueeze -> expand_dims."""
    x, named = low.var(node, 0), need_constant(node, 1)
    rank = len(x.type.shape) + len(named)
    return low.ops.expand_dims(x, np.array(sorted(int(n) % rank for n in named), np.int32))


def expand(low: Lowering, node: ir.Node) -> Any:
    """Expand -> broadcast_to."""
    x, shape = low.var(node, 0), constant(need(node, 1))
    if shape is None or None in sides_of(x):
        raise refuse(node, "its shape depends on the input size: export it for one size")
    return low.ops.broadcast_to(x, np.array(np.broadcast_shapes(x.type.shape, tuple(shape)), np.uint32))


def tile(low: Lowering, node: ir.Node) -> Any:
    """Tile -> tile."""
    return low.ops.tile(low.var(node, 0), need_constant(node, 1).astype(np.uint32))


def product(low: Lowering, x: Any, rows: Any, columns: Any) -> Any:
    """``x`` (N, C, H, W) multiplied by a row and a column matrix, each (new size, old size)."""
    tall = low.ops.broadcasting_batch_matmul(beta.constant(rows[None, None]), x)
    return low.ops.broadcasting_batch_matmul(tall, beta.constant(np.ascontiguousarray(columns.T)[None, None]))
