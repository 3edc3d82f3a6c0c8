"""Decompose rare functions into operators that every target supports.

Given: Softplus, Mish, Elu with a factor, Celu, Selu, Softsign, Shrink, ThresholdedRelu, LogSoftmax, ReduceL1,
ReduceSumSquare, ReduceLogSum, ReduceLogSumExp, LpNormalization, Sum, Mean, CumSum, normalization over several axes,
PRelu with slopes other than per channel, Clip with computed bounds. Result: exponentials, logarithms, clamps, sums and
products, none of which overflows where the function does not; Elu with alpha 1; CumSum as a product with a triangular
matrix of ones; InstanceNormalization followed by scales.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, each_float, fixed, insert, rank, reshaped, sizes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Graph

_SELU = (1.67326319217681884765625, 1.05070102214813232421875)
"""Defaults of Selu's alpha and gamma."""


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, _RULES)


def called(node: ir.Node, op: str, *inputs: ir.Value | float, **attributes: object) -> ir.Value:
    """Insert one operator with the output shape of its first computed operand; numbers become constants."""
    values = [constant(node, "number", np.array(v)) if isinstance(v, (int, float)) else v for v in inputs]
    like = next(v for v in values if graphs.constant(v) is None)
    return insert(node, op, values, sizes(like), attributes)


def clipped(node: ir.Node, source: ir.Value, low: float | None, high: float | None) -> ir.Value:
    """A clamp; either bound is optional."""
    bounds = [None if end is None else constant(node, "bound", np.array(end)) for end in (low, high)]
    return insert(node, "Clip", [source, *bounds], sizes(source))


def truth(value: ir.Value) -> ir.Value:
    """A Boolean value."""
    value.type = ir.TensorType(ir.DataType.BOOL)
    return value


def _softplus(node: ir.Node, source: ir.Value | None = None) -> ir.Value:
    """relu(x) + log(1 + exp(-|x|))."""
    x = source or graphs.need(node, 0)
    small = called(node, "Exp", called(node, "Neg", called(node, "Abs", x)))
    return called(node, "Add", called(node, "Relu", x), called(node, "Log", called(node, "Add", small, 1.0)))


def _mish(node: ir.Node) -> ir.Value:
    x = graphs.need(node, 0)
    return called(node, "Mul", x, called(node, "Tanh", _softplus(node, x)))


def _scaled_elu(node: ir.Node, x: ir.Value, alpha: float) -> ir.Value:
    """relu(x) + alpha * elu(min(x, 0))."""
    if alpha == 1:
        return called(node, "Elu", x, alpha=1.0)
    low = called(node, "Mul", called(node, "Elu", clipped(node, x, None, 0.0), alpha=1.0), alpha)
    return called(node, "Add", called(node, "Relu", x), low)


def _elu(node: ir.Node) -> ir.Value | None:
    alpha = graphs.attr_float(node, "alpha", 1.0)
    return None if alpha == 1 else _scaled_elu(node, graphs.need(node, 0), alpha)


def _celu(node: ir.Node) -> ir.Value:
    """alpha * elu(x / alpha)."""
    alpha, x = graphs.attr_float(node, "alpha", 1.0), graphs.need(node, 0)
    if alpha == 1:
        return called(node, "Elu", x, alpha=1.0)
    return called(node, "Mul", called(node, "Elu", called(node, "Mul", x, 1 / alpha), alpha=1.0), alpha)


def _selu(node: ir.Node) -> ir.Value:
    alpha, gamma = (graphs.attr_float(node, *pair) for pair in zip(("alpha", "gamma"), _SELU, strict=True))
    return called(node, "Mul", _scaled_elu(node, graphs.need(node, 0), alpha), gamma)


def _softsign(node: ir.Node) -> ir.Value:
    x = graphs.need(node, 0)
    return called(node, "Div", x, called(node, "Add", called(node, "Abs", x), 1.0))


def _shrink(node: ir.Node) -> ir.Value | None:
    """Soft shrinkage: only the form of torch's softshrink."""
    bound, bias, x = graphs.attr_float(node, "lambd", 0.5), graphs.attr_float(node, "bias", 0.0), graphs.need(node, 0)
    if bound == bias:
        return called(node, "Sub", x, clipped(node, x, -bound, bound))
    over = _over(node, called(node, "Abs", x), bound)
    kept = _chosen(node, over, x, 0.0)
    return (
        kept
        if bias == 0
        else called(node, "Sub", kept, _chosen(node, over, called(node, "Mul", called(node, "Sign", x), bias), 0.0))
    )


def _over(node: ir.Node, x: ir.Value, bound: float) -> ir.Value:
    return truth(called(node, "Greater", x, bound))


def _thresholded(node: ir.Node) -> ir.Value:
    x = graphs.need(node, 0)
    return _chosen(node, _over(node, x, graphs.attr_float(node, "alpha", 1.0)), x, 0.0)


def _chosen(node: ir.Node, over: ir.Value, yes: ir.Value, no: float) -> ir.Value:
    chosen = called(node, "Where", over, yes, no)
    chosen.type = ir.TensorType(ir.DataType.FLOAT)
    return chosen


def _reduced(node: ir.Node, op: str, source: ir.Value, axis: int) -> ir.Value:
    shape = list(sizes(source) or ())
    shape[axis] = 1
    return insert(node, op, [source, constant(node, "axes", [axis])], shape, {"keepdims": 1})


def _log_softmax(node: ir.Node) -> ir.Value:
    x = graphs.need(node, 0)
    axis = graphs.attr_int(node, "axis", -1) % rank(x)
    moved = called(node, "Sub", x, _reduced(node, "ReduceMax", x, axis))
    return called(
        node, "Sub", moved, called(node, "Log", _reduced(node, "ReduceSum", called(node, "Exp", moved), axis))
    )


def _reduction_of(before: str | None, after: str | None) -> Callable[[ir.Node], ir.Value]:
    """ReduceSum with a function before and a function after it."""

    def rule(node: ir.Node) -> ir.Value:
        x = graphs.need(node, 0)
        if before is not None:
            x = called(node, before, x, x) if before == "Mul" else called(node, before, x)
        attributes = {
            name: graphs.attr_int(node, name, default)
            for name, default in (("keepdims", 1), ("noop_with_empty_axes", 0))
        }
        total = insert(node, "ReduceSum", [x, *node.inputs[1:]], sizes(node.outputs[0]), attributes)
        return total if after is None else insert(node, after, [total], sizes(node.outputs[0]))

    return rule


def _log_sum_exp(node: ir.Node) -> ir.Value | None:
    """The maximum is subtracted first, so that no exponential overflows."""
    x, axes = graphs.need(node, 0), graphs.constant(graphs.operand(node, 1))
    shape = sizes(x)
    if axes is None or axes.size != 1 or shape is None:
        return None
    axis = int(axes.reshape(-1)[0]) % len(shape)
    most = _reduced(node, "ReduceMax", x, axis)
    total = _reduced(node, "ReduceSum", called(node, "Exp", called(node, "Sub", x, most)), axis)
    result = called(node, "Add", most, called(node, "Log", total))
    after = fixed(node.outputs[0])
    if graphs.attr_int(node, "keepdims", 1):
        return result
    return None if after is None else reshaped(node, result, after)


def _lp_normalization(node: ir.Node) -> ir.Value | None:
    x, p = graphs.need(node, 0), graphs.attr_int(node, "p", 2)
    axis = graphs.attr_int(node, "axis", -1) % rank(x)
    if p == 1:
        return called(node, "Div", x, _reduced(node, "ReduceSum", called(node, "Abs", x), axis))
    return called(node, "Div", x, called(node, "Sqrt", _reduced(node, "ReduceSum", called(node, "Mul", x, x), axis)))


def _sum(node: ir.Node) -> ir.Value | None:
    values = [value for value in node.inputs if value is not None]
    total = values[0]
    for value in values[1:]:
        total = insert(node, "Add", [total, value])
    if node.op_type == "Mean" and len(values) > 1:
        total = insert(node, "Mul", [total, constant(node, "share", np.full(1, 1 / len(values)))])
    return total if len(values) > 1 else None


def _cumulative(node: ir.Node) -> ir.Value | None:
    x, axis = graphs.need(node, 0), graphs.scalar(graphs.operand(node, 1))
    shape = fixed(x)
    if axis is None or shape is None:
        return None
    place, length = int(axis) % len(shape), shape[int(axis) % len(shape)]
    ones = np.tri(length, length, -1 if graphs.attr_int(node, "exclusive", 0) else 0, np.float32)
    ones = ones.T if graphs.attr_int(node, "reverse", 0) else ones
    lines = reshaped(node, x, (math.prod(shape[:place]), length, math.prod(shape[place + 1 :])))
    if math.prod(shape[place + 1 :]) == 1:
        rows = reshaped(node, lines, (math.prod(shape[:place]), length))
        return reshaped(node, insert(node, "MatMul", [rows, constant(node, "ones", ones.T)], fixed(rows)), shape)
    return reshaped(node, insert(node, "MatMul", [constant(node, "ones", ones[None]), lines], fixed(lines)), shape)


def group_normalization(node: ir.Node) -> ir.Value | None:
    """InstanceNormalization of (N, groups, the rest), and scales, which are one per group (opset 20) or channel."""
    x, count = graphs.need(node, 0), graphs.attr_int(node, "num_groups", 1)
    shape = fixed(x)
    arrays = [graphs.constant(graphs.need(node, index)) for index in (1, 2)]
    if shape is None or arrays[0] is None or arrays[1] is None:
        return None
    groups = reshaped(node, x, (shape[0], count, math.prod(shape[1:]) // count))
    ends = [constant(node, role, np.full(count, n, np.float32)) for role, n in (("scale", 1.0), ("bias", 0.0))]
    unit = insert(
        node,
        "InstanceNormalization",
        [groups, *ends],
        fixed(groups),
        {"epsilon": graphs.attr_float(node, "epsilon", 1e-5)},
    )
    gain, offset = (
        np.repeat(array, shape[1] // array.size).reshape(-1, *[1] * (len(shape) - 2))
        for array in arrays
        if array is not None
    )
    scaled = insert(node, "Mul", [reshaped(node, unit, shape), constant(node, "gain", gain)], shape)
    return insert(node, "Add", [scaled, constant(node, "offset", offset)], shape)


def _layer_normalization(node: ir.Node) -> ir.Value | None:
    """Several axes are merged into one."""
    x, gain, offset = (
        graphs.need(node, 0),
        graphs.constant(graphs.need(node, 1)),
        graphs.constant(graphs.operand(node, 2)),
    )
    shape = fixed(x)
    if (
        shape is None
        or gain is None
        or len(node.outputs) > 1
        or (offset is None and graphs.operand(node, 2) is not None)
    ):
        return None
    axis = graphs.attr_int(node, "axis", -1) % len(shape)
    if axis == len(shape) - 1 and gain.shape == shape[-1:]:
        return None
    flat = reshaped(node, x, (*shape[:axis], math.prod(shape[axis:])))
    arrays = [np.broadcast_to(array, shape[axis:]).reshape(-1) for array in (gain, offset) if array is not None]
    ends = [constant(node, role, array) for role, array in zip(("scale", "bias"), arrays, strict=False)]
    attributes = {"axis": axis, "epsilon": graphs.attr_float(node, "epsilon", 1e-5)}
    return reshaped(node, insert(node, "LayerNormalization", [flat, *ends], fixed(flat), attributes), shape)


def _batch_normalization(node: ir.Node) -> ir.Value | None:
    """For ranks other than 4: a product and a sum."""
    x, arrays = graphs.need(node, 0), [graphs.constant(graphs.need(node, index)) for index in range(1, 5)]
    if rank(x) == 4 or any(array is None for array in arrays) or graphs.attr_int(node, "training_mode", 0):
        return None
    gain, offset, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    factor = gain / np.sqrt(variance + graphs.attr_float(node, "epsilon", 1e-5))
    ends = [array.reshape(-1, *[1] * (rank(x) - 2)) for array in (factor, offset - mean * factor)]
    scaled = called(node, "Mul", x, constant(node, "gain", ends[0]))
    return called(node, "Add", scaled, constant(node, "offset", ends[1]))


def _prelu(node: ir.Node) -> ir.Value | None:
    """relu(x) + slope * min(x, 0), unless slopes are per channel of a picture."""
    x, slope = graphs.need(node, 0), graphs.constant(graphs.need(node, 1))
    shape = fixed(x)
    if slope is None or shape is None:
        return None
    per_channel = slope.ndim < 3 or slope.shape[-3] == slope.size
    if len(shape) == 4 and (slope.size == 1 or (slope.size == shape[1] and per_channel and slope.ndim >= 3)):
        return None
    low = called(node, "Mul", clipped(node, x, None, 0.0), constant(node, "slope", slope))
    return called(node, "Add", called(node, "Relu", x), low)


def _computed_clip(node: ir.Node) -> ir.Value | None:
    if graphs.clamp_of(node) is not None:
        return None
    x = graphs.need(node, 0)
    for op, index in (("Max", 1), ("Min", 2)):
        bound = graphs.operand(node, index)
        x = x if bound is None else insert(node, op, [x, bound], sizes(x))
    return x


_RULES: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    "BatchNormalization": _batch_normalization,
    "Celu": _celu,
    "Clip": _computed_clip,
    "CumSum": _cumulative,
    "Elu": _elu,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _log_softmax,
    "LpNormalization": _lp_normalization,
    "Mean": _sum,
    "Mish": _mish,
    "PRelu": _prelu,
    "ReduceL1": _reduction_of("Abs", None),
    "ReduceLogSum": _reduction_of(None, "Log"),
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceSumSquare": _reduction_of("Mul", None),
    "Selu": _selu,
    "Shrink": _shrink,
    "Softplus": _softplus,
    "Softsign": _softsign,
    "Sum": _sum,
    "ThresholdedRelu": _thresholded,
}
