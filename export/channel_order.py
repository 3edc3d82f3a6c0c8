"""Reordering channels where they are computed.

``permuted_before`` reorders the filters and biases of the convolutions that compute a tensor (in all branches, through
elementwise operators); ``permuted_after`` the filters of the convolutions that consume it. If neither is possible, a
1x1 convolution copies the channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import body_of, conv_1x1
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.quantize.placement.floats import is_plain_convolution

if TYPE_CHECKING:
    from clearport.base import Array


class CannotPermuteError(Exception):
    """The channels of a value cannot be reordered where they are computed; the message says why."""


@dataclass
class _Plan:
    """Edits to apply once all branches allow them; keyed by (node, input index)."""

    order: Array
    edits: dict[tuple[ir.Node, int], Array] = field(default_factory=dict)
    seen: set[ir.Node] = field(default_factory=set)


def permuted_before(value: ir.Value, reader: ir.Node, order: Array) -> None:
    """Change what computes ``value`` (B, C, H, W), which only ``reader`` may read, so that it is ``value[:, order]``.

    Raises:
        CannotPermuteError: it is read elsewhere, or an operator mixes channels in a way that cannot be reordered.
    """
    plan = _Plan(order)
    _visit(value, reader, plan)
    _apply(plan)


def permuted_after(value: ir.Value, order: Array) -> None:
    """Change the convolutions that read ``value`` so that their outputs are those for ``value[:, order]``.

    Raises:
        CannotPermuteError: something else reads it too.
    """
    readers = graphs.consumers(value)
    for node in readers:
        plain = is_plain_convolution(node) and graphs.attr_int(node, "group", 1) == 1 and graphs.need(node, 0) is value
        if not plain or graphs.constant(graphs.need(node, 1)) is None:
            raise CannotPermuteError(f"{node.op_type} {node.name} reads {value.name}")
    if value.is_graph_output() or not readers:
        raise CannotPermuteError(f"{value.name} is the graph's output")
    plan = _Plan(order)
    for node in readers:
        plan.edits[node, 1] = np.take(graphs.need_constant(node, 1), np.argsort(order), 1)
    _apply(plan)


def copied(before: ir.Node, value: ir.Value, order: Array) -> ir.Value:
    """``value[:, order]`` by a 1x1 convolution in front of ``before``, exact in int8 too (``constrain.is_copy``)."""
    return conv_1x1(before, value, np.eye(graphs.channels(value), dtype=np.float32)[order], np.zeros(len(order)))


def _visit(value: ir.Value, reader: ir.Node, plan: _Plan) -> None:
    """Plan the reordering of the channels of ``value``, which only ``reader`` may read."""
    node = graphs.producer(value)
    if node is None:
        raise CannotPermuteError(f"{value.name} is the graph's input")
    if value.is_graph_output() or any(use is not reader for use in graphs.consumers(value)):
        raise CannotPermuteError(f"{value.name} is also read elsewhere")
    if node in plan.seen:
        return
    plan.seen.add(node)
    record = table.of(node)
    if record.kind == "convolution":
        _visit_convolution(node, plan)
    elif record.elementwise:
        _visit_operands(node, len(node.inputs), plan)
    elif record.per_channel is not None and record.per_channel(node):
        _visit_operands(node, 1, plan)
    else:
        raise CannotPermuteError(f"{node.op_type} {node.name} cannot be permuted")


def _visit_convolution(node: ir.Node, plan: _Plan) -> None:
    weight = graphs.need_constant(node, 1)
    group = graphs.attr_int(node, "group", 1)
    if group == 1:
        axis = 1 if table.of(node).transposed else 0
    elif group == len(plan.order) and weight.shape[:2] == (group, 1):
        axis = 0
        _visit(graphs.need(node, 0), node, plan)
    else:
        raise CannotPermuteError(f"{node.op_type} {node.name} has {group} groups")
    plan.edits[node, 1] = np.take(weight, plan.order, axis)
    if graphs.operand(node, 2) is not None:
        plan.edits[node, 2] = graphs.need_constant(node, 2)[plan.order]


def _visit_operands(node: ir.Node, count: int, plan: _Plan) -> None:
    for index in range(count):
        value = graphs.operand(node, index)
        if value is None:
            continue
        array = graphs.constant(value)
        if array is None:
            _visit_branch(value, node, plan)
        elif array.ndim >= 3 and array.shape[-3] != 1:
            plan.edits[node, index] = np.take(array, plan.order, array.ndim - 3)


def _visit_branch(value: ir.Value, node: ir.Node, plan: _Plan) -> None:
    if value.shape is None or len(value.shape) != 4:
        raise CannotPermuteError(f"{value.name} has other axes than (B, C, H, W)")
    if value.shape[1] == 1:
        return  # one channel for all: nothing to reorder
    _visit(value, node, plan)


def _apply(plan: _Plan) -> None:
    for (node, index), array in plan.edits.items():
        old, body = graphs.need(node, index), body_of(node)
        new = graphs.new_constant(body, f"{old.name}.ordered", array)
        node.replace_input_with(index, new)
        if not old.uses():
            del body.initializers[graphs.name_of(old)]
