"""Rules of the operators that reduce, normalize, multiply matrices or change the shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreml.lowering import Lowering, refuse
from clearport.graph.nodes import attr_float, attr_int, attr_ints, constant, need, need_constant, operand

if TYPE_CHECKING:
    import onnx_ir as ir


def reduction(low: Lowering, node: ir.Node, name: str, op: str) -> Any:
    """ReduceMean, ReduceMax, ReduceMin, ReduceSum -> MIL's ``op``; without axes, over all of them."""
    x = low.var(node, 0)
    axes = list(range(x.rank)) if operand(node, 1) is None else [int(n) for n in need_constant(node, 1)]
    return getattr(low.mb, op)(x=x, axes=axes, keep_dims=bool(attr_int(node, "keepdims", 1)), name=name)


def global_pool(low: Lowering, node: ir.Node, name: str, op: str) -> Any:
    """GlobalAveragePool, GlobalMaxPool -> MIL's ``op`` over height and width."""
    return getattr(low.mb, op)(x=low.var(node, 0), axes=[2, 3], keep_dims=True, name=name)


def softmax(low: Lowering, node: ir.Node, name: str) -> Any:
    """Softmax -> softmax."""
    return low.mb.softmax(x=low.var(node, 0), axis=attr_int(node, "axis", -1), name=name)


def layer_norm(low: Lowering, node: ir.Node, name: str) -> Any:
    """LayerNormalization -> layer_norm over the axes from ``axis`` on, with its scale, bias and epsilon."""
    x = low.var(node, 0)
    if len([value for value in node.outputs if value.uses()]) > 1:
        raise refuse(node, "only its first output is supported")
    first = attr_int(node, "axis", -1) % x.rank
    if not all(isinstance(n, int) for n in x.shape[first:]):
        raise refuse(node, "it normalizes over height or width: export it for one size")
    over = {"gamma": low.array(node, 1)} | ({} if operand(node, 2) is None else {"beta": low.array(node, 2)})
    if over["gamma"].shape != tuple(x.shape[first:]):
        raise refuse(node, f"its scale of shape {over['gamma'].shape} is not one for each of {tuple(x.shape[first:])}")
    epsilon = low.fit(node, attr_float(node, "epsilon", 1e-5))
    return low.mb.layer_norm(x=x, axes=list(range(first, x.rank)), **over, epsilon=epsilon, name=name)


def instance_norm(low: Lowering, node: ir.Node, name: str) -> Any:
    """InstanceNormalization -> instance_norm."""
    epsilon = low.fit(node, attr_float(node, "epsilon", 1e-5))
    ends = {"gamma": low.array(node, 1), "beta": low.array(node, 2)}
    return low.mb.instance_norm(x=low.var(node, 0), **ends, epsilon=epsilon, name=name)


def matmul(low: Lowering, node: ir.Node, name: str) -> Any:
    """MatMul -> matmul, which broadcasts the axes before the last two as ONNX does."""
    return low.mb.matmul(x=low.var(node, 0), y=low.shared(node, 1), name=name)


def transpose(low: Lowering, node: ir.Node, name: str) -> Any:
    """Transpose -> transpose."""
    x = low.var(node, 0)
    return low.mb.transpose(x=x, perm=attr_ints(node, "perm", tuple(reversed(range(x.rank)))), name=name)


def reshape(low: Lowering, node: ir.Node, name: str) -> Any:
    """Reshape -> reshape; the shape must be constant, and with dynamic sizes it may contain one -1."""
    x, shape = low.var(node, 0), constant(need(node, 1))
    if shape is None:
        raise refuse(node, "its shape depends on the input size: export it for one size")
    if not _is_fixed(x) and -1 not in shape:
        raise refuse(node, f"the shape {shape.tolist()} fits one input size only: export it for that size")
    whole = [x.shape[i] if n == 0 else n for i, n in enumerate(shape.astype(np.int32).tolist())]
    return low.mb.reshape(x=x, shape=whole, name=name)


def _is_fixed(x: Any) -> bool:
    return all(isinstance(n, int) for n in x.shape)


def squeeze(low: Lowering, node: ir.Node, name: str) -> Any:
    """Squeeze -> squeeze of the given axes, by default all axes of size 1."""
    x, named = low.var(node, 0), constant(operand(node, 1))
    axes = [i for i, n in enumerate(x.shape) if n == 1] if named is None else [int(n) for n in named]
    return low.mb.squeeze(x=x, axes=axes, name=name)


def unsqueeze(low: Lowering, node: ir.Node, name: str) -> Any:
    """Unsqueeze -> expand_dims."""
    return low.mb.expand_dims(x=low.var(node, 0), axes=[int(n) for n in need_constant(node, 1)], name=name)


def expand(low: Lowering, node: ir.Node, name: str) -> Any:
    """Expand -> tile of the axes of size one."""
    x, shape = low.var(node, 0), constant(need(node, 1))
    if shape is None:
        raise refuse(node, "its shape depends on the input size: export it for one size")
    wanted = [1] * (x.rank - shape.size) + [int(n) for n in shape]
    if len(wanted) > x.rank:
        x = low.mb.expand_dims(x=x, axes=list(range(len(wanted) - x.rank)), name=f"{name}_ranked")
    repeats = [n if x.shape[axis] == 1 else 1 for axis, n in enumerate(wanted)]
    return low.mb.tile(x=x, reps=repeats, name=name)


def tile(low: Lowering, node: ir.Node, name: str) -> Any:
    """Tile -> tile."""
    return low.mb.tile(x=low.var(node, 0), reps=need_constant(node, 1).astype(np.int32), name=name)


def shape_of(low: Lowering, node: ir.Node, name: str) -> Any:
    """Shape of the axes ``start`` to ``end`` -> shape and a slice; integers, consumed only by Concat and Resize."""
    x = low.var(node, 0)
    first, stop = (_axis(attr_int(node, key, default), x.rank) for key, default in (("start", 0), ("end", x.rank)))
    whole = low.mb.shape(x=x, name=f"{name}_whole")
    return low.mb.slice_by_index(x=whole, begin=[first], end=[stop], name=name)


def _axis(number: int, rank: int) -> int:
    return min(max(number + rank if number < 0 else number, 0), rank)
