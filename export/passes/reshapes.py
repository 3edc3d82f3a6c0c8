"""Remove redundant reshapes, transposes, expansions and slices.

Given: Reshape after Reshape, Transpose after Transpose, no-ops; a matrix product on the flattened output of global
pooling, reshaped back afterwards; Expand before an operator that broadcasts anyway; slices of one axis after another;
no-op Concat and Slice. Result: at most one of each in a row, with explicit sizes where known; the product is a 1x1
convolution of the pooled (1, C, 1, 1) without reshapes; Expand of one channel is a 1x1 convolution with ones; one Slice
for all axes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.base import Graph
from clearport.export.passes.rewriting import constant, conv_1x1, fixed, holds_data, insert, rank, sizes, substitute
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array

_UNARY = frozenset(
    {"Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "Gelu", "Exp", "Log", "Sqrt", "Abs", "Neg"}
)
_BROADCASTING = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"})


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    result = graphs.clone(graph)
    while _step(result.model.graph):
        pass
    return result


def _step(body: ir.Graph) -> bool:
    changed = False
    for node in tuple(body):
        rule = _RULES.get(node.op_type) or (_behind_reshape if node.op_type in _UNARY else None)
        data = node.graph is not None and holds_data(node.outputs[0])
        value = rule(node) if rule is not None and data else None
        if value is not None:
            substitute(node, value)
            changed = True
    for node in reversed(tuple(body)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            body.remove(node, safe=True)
    return changed


def _reshape(node: ir.Node) -> ir.Value | None:
    source, shape = graphs.need(node, 0), fixed(node.outputs[0])
    if shape is None:
        return None
    if fixed(source) == shape and _may_go(node, source):
        return source
    before = graphs.producer(source)
    given = graphs.constant(graphs.need(node, 1))
    written = given is not None and tuple(given.tolist()) == shape and "allowzero" not in node.attributes
    merged = before is not None and before.op_type == "Reshape"
    if written and not merged:
        return None
    origin = graphs.need(before, 0) if before is not None and merged else source
    return insert(node, "Reshape", [origin, constant(node, "shape", list(shape))], shape)


def _may_go(node: ir.Node, source: ir.Value) -> bool:
    """Whether the node's output can be its input: an output of the graph needs an operator that writes it."""
    return not node.outputs[0].is_graph_output() or (source.producer() is not None and not source.is_graph_output())


def _transpose(node: ir.Node) -> ir.Value | None:
    source = graphs.need(node, 0)
    order = graphs.attr_ints(node, "perm", tuple(reversed(range(rank(source)))))
    if order == tuple(range(len(order))) and _may_go(node, source):
        return source
    before = graphs.producer(source)
    if before is not None and before.op_type == "Transpose":
        first = graphs.attr_ints(before, "perm", tuple(reversed(range(len(order)))))
        both = {"perm": [first[axis] for axis in order]}
        return insert(node, "Transpose", [graphs.need(before, 0)], sizes(node.outputs[0]), both)
    if "perm" not in node.attributes:
        return insert(node, "Transpose", [source], sizes(node.outputs[0]), {"perm": list(order)})
    return None


def _pooled(value: ir.Value) -> ir.Value | None:
    """The (1, C, 1, 1) that a (1, C) was reshaped from."""
    node = graphs.producer(value)
    if node is None or node.op_type != "Reshape" or fixed(value) is None:
        return None
    origin, flat = graphs.need(node, 0), fixed(value)
    before = fixed(origin)
    return origin if flat is not None and len(flat) == 2 and before == (*flat, 1, 1) else None


def _product(node: ir.Node) -> ir.Value | None:
    """A matrix product of pooled features: a 1x1 convolution, and a Reshape that is merged later."""
    origin, weight = _pooled(graphs.need(node, 0)), graphs.constant(graphs.need(node, 1))
    if origin is None or weight is None or weight.ndim != 2:
        return None
    result = conv_1x1(node, origin, weight.T, np.zeros(weight.shape[1]))
    return insert(node, "Reshape", [result, constant(node, "shape", list(fixed(node.outputs[0]) or ()))])


def _sum(node: ir.Node) -> ir.Value | None:
    """Fold an added bias into such a convolution."""
    for source, other in ((0, 1), (1, 0)):
        bias = graphs.constant(graphs.need(node, other))
        flat = graphs.need(node, source)
        origin = _pooled(flat)
        conv = None if origin is None else graphs.producer(origin)
        if bias is None or origin is None or conv is None or conv.op_type != "Conv" or fixed(node.outputs[0]) is None:
            continue
        if graphs.only_consumer(flat) is not node or graphs.only_consumer(origin) is None:
            continue
        if bias.size not in {1, *bias.shape[-1:]} or fixed(node.outputs[0]) != fixed(flat):
            continue
        _add_to_bias(node, conv, bias.reshape(-1))
        return flat
    return _broadcast(node)


def _add_to_bias(node: ir.Node, conv: ir.Node, offset: Array) -> None:
    own = graphs.constant(graphs.operand(conv, 2))
    filters = graphs.channels(conv.outputs[0])
    conv.resize_inputs(3)
    conv.replace_input_with(2, constant(node, "bias", np.zeros(filters) + (0 if own is None else own) + offset))


def _behind_reshape(node: ir.Node) -> ir.Value | None:
    """Move an activation of pooled features before the Reshape."""
    origin = _pooled(graphs.need(node, 0))
    if origin is None:
        return None
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    result = insert(node, node.op_type, [origin, *node.inputs[1:]], sizes(origin), attributes)
    return insert(node, "Reshape", [result, constant(node, "shape", list(fixed(node.outputs[0]) or ()))])


def _broadcast(node: ir.Node) -> ir.Value | None:
    """Remove an Expand before an operator that broadcasts by itself."""
    shape = fixed(node.outputs[0])
    moved = _number_behind_reshape(node)
    if moved is not None:
        return moved
    for index, value in enumerate(node.inputs[:2]):
        expand = None if value is None else graphs.producer(value)
        if expand is None or expand.op_type != "Expand" or shape is None:
            continue
        origin, other = graphs.need(expand, 0), graphs.need(node, 1 - index)
        before, beside = fixed(origin), fixed(other)
        if before is not None and beside is not None and np.broadcast_shapes(before, beside) == shape:
            node.replace_input_with(index, origin)
    return None


def _number_behind_reshape(node: ir.Node) -> ir.Value | None:
    """Move an operator with a scalar operand on pooled features before the Reshape."""
    for index in (0, 1):
        origin, number = _pooled(graphs.need(node, index)), graphs.scalar(graphs.need(node, 1 - index))
        if origin is None or number is None or fixed(node.outputs[0]) != fixed(graphs.need(node, index)):
            continue
        operands = [origin, constant(node, "number", np.array(number))]
        result = insert(node, node.op_type, operands if index == 0 else operands[::-1], sizes(origin))
        return insert(node, "Reshape", [result, constant(node, "shape", list(fixed(node.outputs[0]) or ()))])
    return None


def _expand(node: ir.Node) -> ir.Value | None:
    source, shape = graphs.need(node, 0), fixed(node.outputs[0])
    before = fixed(source)
    if shape is None or before is None:
        return None
    if before == shape and _may_go(node, source):
        return source
    for reader in graphs.consumers(node.outputs[0]):
        if reader.op_type in _BROADCASTING:
            _broadcast(reader)
    if (
        len(shape) == len(before) == 4
        and source.dtype == ir.DataType.FLOAT
        and node.outputs[0].uses()
        and before[1] == 1
        and (1, *before[2:]) == (shape[0], *shape[2:])
    ):
        return conv_1x1(node, source, np.ones((shape[1], 1)), np.zeros(shape[1]))
    given = graphs.constant(graphs.need(node, 1))
    if given is None or tuple(given.tolist()) != shape:
        return insert(node, "Expand", [source, constant(node, "shape", list(shape))], shape)
    return None


def _concat(node: ir.Node) -> ir.Value | None:
    return graphs.need(node, 0) if len(node.inputs) == 1 else None


def _slice(node: ir.Node) -> ir.Value | None:
    """Merge two Slices of different axes; remove a no-op Slice."""
    source = graphs.need(node, 0)
    same = fixed(source) is not None and fixed(source) == fixed(node.outputs[0])
    if same and _forwards(node) and _may_go(node, source):
        return source
    before = graphs.producer(source)
    if before is None or before.op_type != "Slice" or graphs.only_consumer(source) is not node:
        return None
    cuts = [_cuts(one) for one in (before, node)]
    first, second = cuts
    if first is None or second is None or set(first[2]) & set(second[2]):
        return None
    joined = [constant(node, "cut", [*a, *b]) for a, b in zip(first, second, strict=True)]
    return insert(node, "Slice", [graphs.need(before, 0), *joined], sizes(node.outputs[0]))


def _forwards(node: ir.Node) -> bool:
    """Whether all steps are positive: a backward Slice has the same sizes but other values."""
    given = graphs.operand(node, 4)
    steps = graphs.constant(given)
    return given is None or (steps is not None and bool((steps > 0).all()))


def _cuts(node: ir.Node) -> list[list[int]] | None:
    """Starts, ends, axes (nonnegative) and steps of a Slice with all of them explicit."""
    arrays = [graphs.constant(graphs.operand(node, index)) for index in range(1, 5)]
    if any(array is None for array in arrays):
        return None
    starts, ends, axes, steps = (np.ravel(array).tolist() for array in arrays if array is not None)
    return [starts, ends, [axis % rank(graphs.need(node, 0)) for axis in axes], steps]


_RULES: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    "Reshape": _reshape,
    "Transpose": _transpose,
    "MatMul": _product,
    "Add": _sum,
    "Expand": _expand,
    "Concat": _concat,
    "Slice": _slice,
    **dict.fromkeys(sorted(_BROADCASTING - {"Add"}), _broadcast),
}
