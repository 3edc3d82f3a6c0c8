"""Rules of indexing operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreai import beta
from clearport.export.coreai.lowering import Lowering, refuse, sides_of
from clearport.graph.nodes import attr_int, constant, need

if TYPE_CHECKING:
    import onnx_ir as ir


def gather(low: Lowering, node: ir.Node) -> Any:
    """Gather -> gather_nd along the first axis, to which ``axis`` is transposed; negative indices are made positive."""
    ops, x = low.ops, low.var(node, 0)
    rank = len(x.type.shape)
    axis = attr_int(node, "axis", 0) % rank
    size = sides_of(x)[axis]
    places, shape = _places(low, node, size)
    front = (axis, *(i for i in range(rank) if i != axis))
    turned = ops.transpose(x, np.array(front, np.uint32)) if axis else x
    found = ops.gather_nd(turned, places)
    if not axis:
        return found
    back = (*range(shape, shape + axis), *range(shape), *range(shape + axis, shape + rank - 1))
    return ops.transpose(found, np.array(back, np.uint32))


def _places(low: Lowering, node: ir.Node, size: int | None) -> tuple[Any, int]:
    """The indices with a trailing axis, and their rank in ONNX."""
    held = constant(need(node, 1))
    if held is not None:
        if size is None and (held < 0).any():
            raise refuse(node, "it indexes a dynamic axis from the end: export it for one size")
        counted = np.where(held < 0, held + (size or 0), held).astype(np.int32)
        return beta.constant(counted[..., None]), held.ndim
    given = low.ops.cast(low.var(node, 1), np.int32)
    rank = len(given.type.shape)
    if size is None:
        raise refuse(node, "it looks up computed places of a dynamic axis: export it for one size")
    behind = low.ops.broadcasting_greater(np.int32(0), given)
    counted = low.ops.broadcasting_add(given, low.ops.broadcasting_mul(low.ops.cast(behind, np.int32), np.int32(size)))
    return low.ops.expand_dims(counted, np.array([rank], np.int32)), rank


def shape(low: Lowering, node: ir.Node) -> Any:
    """Shape -> get_shape, sliced to the given axes."""
    x = low.var(node, 0)
    rank = len(x.type.shape)
    first, last = (max(0, n + rank if n < 0 else n) for n in (attr_int(node, "start", 0), attr_int(node, "end", rank)))
    whole = low.ops.cast(low.ops.get_shape(x), np.int32)
    if (first, min(last, rank)) == (0, rank):
        return whole
    return low.ops.slice_(whole, *(np.array([n], np.int32) for n in (first, min(last, rank), 1)))
