"""Replace operators that have equivalents by the form for which targets have rules.

Given: Split, Gemm, Squeeze, Unsqueeze, Flatten, Reciprocal, HardSigmoid, BatchNormalization, ReduceL2, Tile, Dropout,
reductions that drop their axes or name axes of one place, integer powers, divisions by constants, minima and maxima
with a scalar. Result: Slice;
MatMul and Add; Reshape; Div; Clip between Add and Mul; a depthwise 1x1 Conv; Sqrt of ReduceSum; Expand; reductions that
keep their axes (over height and width: GlobalAveragePool, GlobalMaxPool); Mul; Clip. Operators without an equivalent,
or whose equivalent needs sizes that are dynamic, stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.base import Graph
from clearport.errors import BadInput
from clearport.export.passes import powers
from clearport.export.passes.rewriting import (
    constant,
    conv_1x1,
    fixed,
    holds_data,
    insert,
    nonnegative,
    rank,
    sizes,
    substitute,
)
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    pass

_GLOBAL = {"ReduceMean": "GlobalAveragePool", "ReduceMax": "GlobalMaxPool"}
_REDUCING = {"keepdims": 1, "noop_with_empty_axes": 0}


def run(graph: Graph) -> Graph:
    """Given and result: see the module.

    Raises:
        BadInput: dropout or batch normalization is in training mode.
    """
    result = graphs.clone(graph)
    waiting = list(result.model.graph)
    while waiting:
        node = waiting.pop(0)
        rule = _RULES.get(node.op_type)
        data = holds_data(node.outputs[0])
        value = None if rule is None or node.graph is None or not data else rule(node)
        if value is not None:
            substitute(node, value)
    return result


def _split(node: ir.Node) -> None:
    """Split -> Slices, which XNNPACK and int8 NPUs support even where they reject a SPLIT with many outputs."""
    source = graphs.need(node, 0)
    axis = graphs.attr_int(node, "axis", 0) % rank(source)
    written = [(sizes(value) or ())[axis : axis + 1] for value in node.outputs]
    lengths = [length for found in written for length in found if isinstance(length, int)]
    parts = graphs.constant(graphs.operand(node, 1))
    if parts is not None:
        lengths = [int(n) for n in parts]
    if len(lengths) != len(node.outputs):
        return
    begin = 0
    for index, (value, length) in enumerate(zip(tuple(node.outputs), lengths, strict=True)):
        if value.uses() or value.is_graph_output():
            bounds = [constant(node, "cut", [number]) for number in (begin, begin + length, axis, 1)]
            substitute(node, insert(node, "Slice", [source, *bounds], sizes(value)), index)
        begin += length


def _reshape(node: ir.Node) -> ir.Value | None:
    shape = fixed(node.outputs[0])
    if shape is None:
        return None
    return insert(node, "Reshape", [graphs.need(node, 0), constant(node, "shape", list(shape))], shape)


def _gemm(node: ir.Node) -> ir.Value | None:
    weight, bias = graphs.constant(graphs.need(node, 1)), graphs.constant(graphs.operand(node, 2))
    if weight is None or (bias is None and graphs.operand(node, 2) is not None):
        return None
    if graphs.attr_int(node, "transA", 0):
        return None
    kernel = (weight.T if graphs.attr_int(node, "transB", 0) else weight) * graphs.attr_float(node, "alpha", 1.0)
    shape = sizes(node.outputs[0])
    result = insert(node, "MatMul", [graphs.need(node, 0), constant(node, "weight", kernel)], shape)
    if bias is None:
        return result
    offset = constant(node, "bias", bias * graphs.attr_float(node, "beta", 1.0))
    return insert(node, "Add", [result, offset], shape)


def _reduction(node: ir.Node) -> ir.Value | None:
    """Reductions with constant nonnegative axes and keepdims; over height and width, global pooling."""
    source = graphs.need(node, 0)
    given = graphs.constant(graphs.operand(node, 1))
    count = rank(source)
    if given is None and graphs.operand(node, 1) is not None:
        return None
    if (given is None or not given.size) and graphs.attr_int(node, "noop_with_empty_axes", 0):
        return source
    axes = nonnegative([int(n) for n in given], count) if given is not None and given.size else list(range(count))
    axes = [axis for axis in axes if (sizes(source) or {axis: 0})[axis] != 1] or axes  # such as the batch's
    kept = graphs.attr_int(node, "keepdims", 1)
    pooled = node.op_type in _GLOBAL and count == 4 and axes == [2, 3]
    if kept and not pooled and given is not None and given.tolist() == axes:
        return None
    before = sizes(source)
    shape = None if before is None else tuple(1 if axis in axes else n for axis, n in enumerate(before))
    if not kept and fixed(node.outputs[0]) is None:
        return None
    if pooled:
        reduced = insert(node, _GLOBAL[node.op_type], [source], shape)
    else:
        reduced = insert(node, node.op_type, [source, constant(node, "axes", axes)], shape, {"keepdims": 1})
    if kept:
        return reduced
    return insert(node, "Reshape", [reduced, constant(node, "shape", list(fixed(node.outputs[0]) or ()))])


def _norm(node: ir.Node) -> ir.Value:
    """The root of the sum of squares."""
    source, shape = graphs.need(node, 0), sizes(node.outputs[0])
    squared = insert(node, "Mul", [source, source], sizes(source))
    kept = {name: graphs.attr_int(node, name, default) for name, default in _REDUCING.items()}
    total = insert(node, "ReduceSum", [squared, *node.inputs[1:]], shape, kept)
    total.name = f"{node.outputs[0].name}.sum"
    made = total.producer()
    assert made is not None
    root = insert(node, "Sqrt", [total], shape)
    reduced = _reduction(made)
    if reduced is not None:
        substitute(made, reduced)
    return root


_LEFT_OUT = 1e30
"""Replaces infinity: the softmax of its negative is 0 beside any realistic float32 value."""
_RESHAPES = frozenset(["Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"])
_MOST_COPIES = 64
"""Maximum inputs of one Concat."""


def _hard_sigmoid(node: ir.Node) -> ir.Value | None:
    """HardSigmoid with the clamp right after the addition, where it is free in int8: a * clip(x + b/a, 0, 1/a)."""
    slope, offset = graphs.attr_float(node, "alpha", 0.2), graphs.attr_float(node, "beta", 0.5)
    if slope <= 0:
        return None
    shape, source = sizes(node.outputs[0]), graphs.need(node, 0)
    summed = insert(node, "Add", [source, constant(node, "offset", np.full(1, offset / slope))], shape)
    ends = [constant(node, role, np.array(number)) for role, number in (("min", 0.0), ("max", 1 / slope))]
    cut = insert(node, "Clip", [summed, *ends], shape)
    return insert(node, "Mul", [cut, constant(node, "factor", np.full(1, slope))], shape)


def _batch_normalization(node: ir.Node) -> ir.Value | None:
    """BatchNormalization without a preceding convolution -> depthwise 1x1 convolution."""
    source = graphs.need(node, 0)
    if graphs.attr_int(node, "training_mode", 0):
        raise BadInput(f"BatchNormalization {node.name!r} is in training mode: call .eval() on the network")
    arrays = [graphs.constant(graphs.need(node, index)) for index in range(1, 5)]
    if rank(source) != 4 or any(array is None for array in arrays):
        return None
    gain, offset, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    factor = gain / np.sqrt(variance + graphs.attr_float(node, "epsilon", 1e-5))
    return conv_1x1(node, source, factor[:, None], offset - mean * factor, len(factor))


def _extreme(node: ir.Node) -> ir.Value | None:
    """Min, Max -> Clip if one operand is a scalar; else a chain of binary operators."""
    inputs = [value for value in node.inputs if value is not None]
    if len(inputs) == 1:
        return inputs[0]
    if not powers.is_real(node):
        return None
    shape = sizes(node.outputs[0])
    if len(inputs) > 2:
        head = inputs[0]
        for value in inputs[1:]:
            head = insert(node, node.op_type, [head, value])
        return head
    for source, other in (inputs, inputs[::-1]):
        bound = graphs.scalar(other)
        if bound is not None and graphs.constant(source) is None and sizes(source) == shape and math.isfinite(bound):
            limit = constant(node, "bound", np.array(bound))
            return insert(node, "Clip", [source, limit] if node.op_type == "Max" else [source, None, limit], shape)
    return None


def _tile(node: ir.Node) -> ir.Value | None:
    source, shape = graphs.need(node, 0), fixed(node.outputs[0])
    before = fixed(source)
    if shape is None or before is None:
        return None
    if shape == before:
        return source
    if any(n not in {1, m} for n, m in zip(before, shape, strict=True)):
        return _copied(node, source, before, shape)
    return insert(node, "Expand", [source, constant(node, "shape", list(shape))], shape)


def _copied(node: ir.Node, source: ir.Value, before: Sequence[int], shape: Sequence[int]) -> ir.Value | None:
    """Tile -> Concat of copies, one axis at a time."""
    now = list(before)
    for axis, (given, wanted) in enumerate(zip(before, shape, strict=True)):
        copies = wanted // given
        if copies > _MOST_COPIES:
            return None
        now[axis] = wanted
        source = source if copies == 1 else insert(node, "Concat", [source] * copies, tuple(now), {"axis": axis})
    return source


def _dropout(node: ir.Node) -> ir.Value:
    given = graphs.operand(node, 2)
    if given is not None and graphs.scalar(given) != 0:
        raise BadInput(f"Dropout {node.name!r} is in training mode: call .eval() on the network")
    return graphs.need(node, 0)


def _masked(node: ir.Node) -> ir.Value | None:
    """Where, Add: make -inf masks of a Softmax finite: 0 * inf is NaN in targets that select by products, and formats
    of half precision hold no infinity.
    """
    held = [graphs.constant(value) if value is not None else None for value in node.inputs]
    endless = [array is not None and array.dtype.kind == "f" and np.isneginf(array).any() for array in held]
    if not any(endless) or not _is_exponent(node.outputs[0]):
        return None
    given = [
        constant(node, "least", np.maximum(array, -_LEFT_OUT)) if array is not None and found else value
        for value, array, found in zip(node.inputs, held, endless, strict=True)
    ]
    chosen = insert(node, node.op_type, given, sizes(node.outputs[0]))
    chosen.type = ir.TensorType(ir.DataType.FLOAT)
    return chosen


def _is_exponent(value: ir.Value) -> bool:
    """Whether only Softmax reads it, perhaps reshaped."""
    readers = [use.node for use in value.uses()]
    return (
        bool(readers)
        and not value.is_graph_output()
        and all(
            node.op_type == "Softmax" or (node.op_type in _RESHAPES and _is_exponent(node.outputs[0]))
            for node in readers
        )
    )


def _first_input(node: ir.Node) -> ir.Value:
    return graphs.need(node, 0)


_RULES: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    "Split": _split,
    "Flatten": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Gemm": _gemm,
    "ReduceMean": _reduction,
    "ReduceMax": _reduction,
    "ReduceMin": _reduction,
    "ReduceSum": _reduction,
    "ReduceL2": _norm,
    "Pow": powers.power,
    "Reciprocal": powers.reciprocal,
    "Div": powers.division,
    "HardSigmoid": _hard_sigmoid,
    "BatchNormalization": _batch_normalization,
    "Max": _extreme,
    "Min": _extreme,
    "Tile": _tile,
    "Dropout": _dropout,
    "Where": _masked,
    "Add": _masked,
    "Identity": _first_input,
}
