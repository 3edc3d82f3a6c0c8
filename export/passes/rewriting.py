"""Helpers for passes: insert nodes, and replace values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph


_SIZES = 16
"""Maximum length of a shape tensor."""


def insert(
    before: ir.Node,
    op: str,
    inputs: Sequence[ir.Value | None],
    shape: Sequence[int | str] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> ir.Value:
    """A new operator in front of ``before``; its output has the type of its first input, and ``shape`` where known."""
    node = ir.node(op, list(inputs), dict(attributes or {}))
    result = node.outputs[0]
    first = inputs[0] if inputs else None
    result.type = ir.TensorType((first.dtype if first is not None else None) or ir.DataType.FLOAT)
    result.shape = None if shape is None else ir.Shape(shape)
    node.meta.update(before.meta)  # its origin
    body_of(before).insert_before(before, node)
    return result


def each_float(graph: Graph, rules: Mapping[str, Callable[[ir.Node], ir.Value | None]]) -> Graph:
    """Replace each operator that computes data and has a rule by the rule's value.

    Nodes created by a rule are not visited again; if a rule returns None, the operator stays.
    """
    found = [node for node in graph.model.graph if node.op_type in rules]
    if not found:
        return graph
    result = graphs.clone(graph)
    for node in tuple(result.model.graph):
        rule = rules.get(node.op_type)
        real = holds_data(node.outputs[0])
        read = bool(node.outputs[0].uses()) or node.outputs[0].is_graph_output()
        value = rule(node) if rule is not None and real and read and node.graph is not None else None
        if value is not None:
            substitute(node, value)
    return result


def holds_data(value: ir.Value) -> bool:
    """Whether a value is not a shape computed at run time (few integers, of rank 0 or 1)."""
    if value.dtype is None or value.dtype in {ir.DataType.FLOAT, ir.DataType.BOOL}:
        return True
    given = fixed(value)
    return value.shape is not None and (len(value.shape) > 1 or (given is not None and max(given, default=0) > _SIZES))


def reshaped(near: ir.Node, source: ir.Value, shape: Sequence[int]) -> ir.Value:
    """``source``, reshaped."""
    array = graphs.constant(source)
    if array is not None:
        return constant(near, "reshaped", array.reshape(shape))
    if fixed(source) == tuple(shape):
        return source
    return insert(near, "Reshape", [source, constant(near, "shape", [int(n) for n in shape])], shape)


def constant(near: ir.Node, role: str, array: Array | Sequence[int]) -> ir.Value:
    """An initializer named after ``near``'s output: float32, or int64 for a list of integers."""
    numbers = np.asarray(array, np.int64 if isinstance(array, (list, tuple)) else np.float32)
    return graphs.new_constant(body_of(near), f"{graphs.name_of(near.outputs[0])}.{role}", numbers)


def substitute(node: ir.Node, value: ir.Value, output: int = 0) -> None:
    """Replace ``node``'s output by ``value`` for all consumers, and remove the node.

    If it was a graph output, ``value`` becomes that output and takes its name.
    """
    old, body = node.outputs[output], body_of(node)
    if old.is_graph_output():
        if value.is_graph_output() or value.producer() is None:
            value = insert(node, "Identity", [value], sizes(value))
        value.shape, value.type = old.shape, old.type
        value.name, old.name = old.name, f"{old.name}.replaced"
    elif value.shape is None:
        value.shape = old.shape
    ir.convenience.replace_all_uses_with(old, value, replace_graph_outputs=True)
    if not any(written.uses() or written.is_graph_output() for written in node.outputs):
        body.remove(node, safe=True)


def conv_1x1(before: ir.Node, source: ir.Value, weight: Array, bias: Array, group: int = 1) -> ir.Value:
    """A 1x1 convolution of ``source`` in clearport's form; ``weight`` (O, I/group), ``bias`` (O,)."""
    given = sizes(source)
    shape = None if given is None else (given[0], len(weight), *given[2:])
    attributes = {"kernel_shape": [1, 1], "strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "group": group}
    body, name = body_of(before), graphs.name_of(before.outputs[0])
    kernel = graphs.new_constant(body, f"{name}.weight", weight[:, :, None, None].astype(np.float32))
    offset = graphs.new_constant(body, f"{name}.bias", bias.astype(np.float32))
    return insert(before, "Conv", [source, kernel, offset], shape, attributes)


def bias_behind(node: ir.Node, count: int) -> tuple[ir.Node, int] | None:
    """The Add of ``count`` constants, one per place of the last axis, that alone reads a node's output, and the index
    of its constant input.
    """
    follower = graphs.only_consumer(node.outputs[0])
    if follower is None or follower.op_type != "Add":
        return None
    place = 1 if follower.inputs[0] is node.outputs[0] else 0
    bias = graphs.constant(graphs.need(follower, place))
    if bias is None or bias.size != count or bias.shape[-1:] != (count,) or bias.ndim > rank(node.outputs[0]):
        return None
    return follower, place


def body_of(node: ir.Node) -> ir.Graph:
    """The graph that holds a node."""
    assert isinstance(node.graph, ir.Graph)
    return node.graph


def sizes(value: ir.Value) -> tuple[int | str, ...] | None:
    """The sizes of a value: integers, or symbols for dynamic axes; None if the rank is unknown."""
    if value.shape is None:
        return None
    return tuple(n if isinstance(n, int) else str(n.value) for n in value.shape)


def fixed(value: ir.Value) -> tuple[int, ...] | None:
    """The sizes of a value if all are static, else None."""
    given = sizes(value)
    if given is None or any(not isinstance(n, int) for n in given):
        return None
    return tuple(int(n) for n in given)


def named(value: ir.Value) -> tuple[int | str, ...] | None:
    """The sizes of a value if each is static or a named symbol (equal symbols are equal sizes); else None."""
    if value.shape is None or any(not isinstance(n, int) and n.value is None for n in value.shape):
        return None
    return sizes(value)


def nonnegative(axes: Sequence[int], rank: int) -> list[int]:
    """Nonnegative axes, sorted."""
    return sorted(axis % rank for axis in axes)


def rank(value: ir.Value) -> int:
    """The number of axes of a value."""
    if value.shape is None:
        raise graphs.MalformedGraph(f"the rank of {value.name!r} is unknown")
    return len(value.shape)
