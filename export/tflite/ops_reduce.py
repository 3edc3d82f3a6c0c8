"""TFLite rules: reductions, softmax and normalizations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clearport.export.tflite.lower import NONE, Lowering
from clearport.export.tflite.operands import laid_out
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array
    from clearport.export.tflite.tensors import Tensor


def pool(low: Lowering, node: ir.Node, op: str) -> None:
    """GlobalAveragePool -> MEAN, GlobalMaxPool -> REDUCE_MAX over height and width."""
    image = low.pictures(node)
    low.write(node, op, [image, low.integers("axes", (1, 2))], (image.dims[0], 1, 1, image.dims[3]), keepDims=True)


def reduce(low: Lowering, node: ir.Node, op: str) -> None:
    """ReduceMean, ReduceSum, ReduceMax, ReduceMin with keepdims -> MEAN, SUM, REDUCE_MAX, REDUCE_MIN."""
    image, order = low.stored(node)
    axes = graphs.need_constant(node, 1).tolist()
    if not graphs.attr_int(node, "keepdims", 1):
        raise low.refuse(node, "it drops axes, which needs a fixed size (give --size HEIGHTxWIDTH)")
    places = sorted(order.index(axis % len(order)) for axis in axes)
    dims = [1 if place in places else n for place, n in enumerate(image.dims)]
    low.write(node, op, [image, low.integers("axes", places)], dims, order, keepDims=True)


def softmax(low: Lowering, node: ir.Node) -> None:
    """Softmax -> SOFTMAX over the last stored axis."""
    _, order = low.stored(node)
    axis = graphs.attr_int(node, "axis", -1) % len(order)
    last = (*(a for a in order if a != axis), axis)
    image = low.tensor(node, 0, last)
    low.write(node, "SOFTMAX", [image], image.dims, last, beta=1.0)


def layer_normalization(low: Lowering, node: ir.Node) -> None:
    """LayerNormalization over the last axis -> mean, difference, its mean square, RSQRT, products and a sum."""
    image, order = low.stored(node)
    axis = graphs.attr_int(node, "axis", -1) % len(order)
    if axis != len(order) - 1 or len(node.outputs) > 1:
        raise low.refuse(node, "only over the last axis, and without the statistics outputs")
    place = low.integers("axes", [order.index(axis)])
    few = [1 if axis == order[place_] else n for place_, n in enumerate(image.dims)]
    mean = _step(low, node, "mean", "MEAN", [image, place], few, keepDims=True)
    centerd = _step(low, node, "centerd", "SUB", [image, mean], image.dims, fusedActivationFunction=NONE)
    squared = _step(low, node, "squared", "MUL", [centerd, centerd], image.dims, fusedActivationFunction=NONE)
    variance = _step(low, node, "variance", "MEAN", [squared, place], few, keepDims=True)
    epsilon = low.number("epsilon", graphs.attr_float(node, "epsilon", 1e-5), variance)
    raised = _step(low, node, "raised", "ADD", [variance, epsilon], few, fusedActivationFunction=NONE)
    factor = _step(low, node, "factor", "RSQRT", [raised], few)
    unit = _step(low, node, "unit", "MUL", [centerd, factor], image.dims, fusedActivationFunction=NONE)
    gain = low.constant(node, 1, lambda array: laid_out(array, order))
    if graphs.operand(node, 2) is None:
        low.write(node, "MUL", [unit, gain], image.dims, order, fusedActivationFunction=low.activation(node))
        return
    scaled = _step(low, node, "scaled", "MUL", [unit, gain], image.dims, fusedActivationFunction=NONE)
    offset = low.constant(node, 2, lambda array: laid_out(array, order))
    low.write(node, "ADD", [scaled, offset], image.dims, order, fusedActivationFunction=low.activation(node))


def instance_normalization(low: Lowering, node: ir.Node) -> None:
    """InstanceNormalization -> mean, difference, its mean square, RSQRT, products and a sum, for each channel."""
    image, order = low.stored(node)
    places = low.integers("axes", [place for place, axis in enumerate(order) if axis > 1])
    few = [n if axis < 2 else 1 for axis, n in zip(order, image.dims, strict=True)]
    mean = _step(low, node, "mean", "MEAN", [image, places], few, keepDims=True)
    centerd = _step(low, node, "centerd", "SUB", [image, mean], image.dims, fusedActivationFunction=NONE)
    squared = _step(low, node, "squared", "MUL", [centerd, centerd], image.dims, fusedActivationFunction=NONE)
    variance = _step(low, node, "variance", "MEAN", [squared, places], few, keepDims=True)
    epsilon = low.number("epsilon", graphs.attr_float(node, "epsilon", 1e-5), variance)
    raised = _step(low, node, "raised", "ADD", [variance, epsilon], few, fusedActivationFunction=NONE)
    factor = _step(low, node, "factor", "RSQRT", [raised], few)

    def channels(array: Array) -> Array:
        return laid_out(array.reshape(1, -1, *[1] * (len(order) - 2)), order)

    gain, offset = (low.constant(node, index, channels) for index in (1, 2))
    scaled = _step(low, node, "scale", "MUL", [factor, gain], few, fusedActivationFunction=NONE)
    unit = _step(low, node, "unit", "MUL", [centerd, scaled], image.dims, fusedActivationFunction=NONE)
    low.write(node, "ADD", [unit, offset], image.dims, order, fusedActivationFunction=low.activation(node))


def _step(
    low: Lowering,
    node: ir.Node,
    what: str,
    op: str,
    inputs: list[Tensor],
    dims: tuple[int, ...] | list[int],
    **options: Any,
) -> Tensor:
    result = low.between(node, what, inputs[0], dims)
    low.file.operator(op, inputs, result, **options)
    return result
