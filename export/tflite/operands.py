"""Operands of elementwise operators, aligned to one axis order so that TFLite broadcasts them like ONNX."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array
    from clearport.export.tflite.lower import Lowering
    from clearport.export.tflite.order import Order
    from clearport.export.tflite.tensors import Tensor


def aligned(low: Lowering, node: ir.Node) -> tuple[list[Tensor], Order]:
    """All operands in the order of the largest, and that order; constants without leading axes of size 1."""
    values = [graphs.need(node, index) for index in range(len(node.inputs))]
    rank = max(_rank(value) for value in values)
    order: Order = tuple(range(rank))
    largest = 0
    for index, value in enumerate(values):
        if graphs.constant(value) is None and _rank(value) == rank:
            image, has = low.stored(node, index)
            if math.prod(image.dims) > largest:
                largest, order = math.prod(image.dims), has
    return [_operand(low, node, index, order) for index in range(len(values))], order


def laid_out(array: Array, order: Order) -> Array:
    """A constant, its axes counted from the right, for broadcasting over a value stored in ``order``."""
    whole = array.reshape((1,) * (len(order) - array.ndim) + array.shape).transpose(order)
    kept = next((axis for axis, n in enumerate(whole.shape) if n > 1), len(order) - 1)
    return whole.reshape(whole.shape[kept:])


def _rank(value: ir.Value) -> int:
    if value.shape is None:
        raise graphs.MalformedGraph(f"the rank of {value.name!r} is unknown")
    return len(value.shape)


def _operand(low: Lowering, node: ir.Node, index: int, order: Order) -> Tensor:
    value = graphs.need(node, index)
    if graphs.constant(value) is not None:
        return low.constant(node, index, lambda array: laid_out(array, order))
    missing = len(order) - _rank(value)
    if not missing:
        return low.tensor(node, index, order)
    plain = low.tensor(node, index, tuple(range(_rank(value))))
    padded = (*(1,) * missing, *plain.dims)
    long = [axis for axis in order if padded[axis] > 1]
    if long != sorted(long) or any(plain.free):
        raise low.refuse(node, f"operands of {_rank(value)} and {len(order)} axes")
    dims = [padded[axis] for axis in order]
    result = low.between(node, f"operand{index}", plain, dims)
    low.file.operator("RESHAPE", [plain, low.integers("shape", dims)], result, newShape=dims)
    return result


def clamp_behind(node: ir.Node) -> tuple[ir.Node, tuple[float, float]] | None:
    """The Relu or Clip that is the only consumer of the node's output, and its bounds."""
    follower = graphs.only_consumer(node.outputs[0])
    clamp = None if follower is None else graphs.clamp_of(follower)
    return None if follower is None or clamp is None else (follower, (clamp.lo, clamp.hi))
