"""Depth to space in the one channel order that every runtime has.

PyTorch's PixelShuffle is ONNX's ``CRD`` (channel ``c*b*b + s`` holds sub-pixel s of colour c). TFLite, NNAPI and most
NPUs know ``DCR`` only (channel ``s*C + c``).

Given: ``DepthToSpace(mode=CRD)``.
Result: ``DepthToSpace(mode=DCR)``, with the same numbers. The order of the channels is changed where they are
computed: the filters and biases of the convolutions that feed it are permuted, and through element-wise operators
those of all branches. Where they cannot be (a branch is read elsewhere, or comes from an operator that cannot be
permuted) a 1x1 convolution does it, and the graph's history says so with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport import graphs
from clearport.base import Graph

if TYPE_CHECKING:
    from clearport.base import Array

_ELEMENTWISE = frozenset({"Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "Tanh", "Add", "Sub", "Mul", "Div"})
_PER_CHANNEL = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "Pad"})


class _CannotPermuteError(Exception):
    """Why the channels of a value cannot be reordered where they are computed."""


@dataclass
class _Plan:
    """Edits to make once all branches are known to allow them; keyed by (node, input index)."""

    order: Array
    edits: dict[tuple[ir.Node, int], Array] = field(default_factory=dict)
    seen: set[ir.Node] = field(default_factory=set)


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    result = graphs.clone(graph)
    body = result.model.graph
    notes: list[str] = []
    for node in [n for n in body if n.op_type == "DepthToSpace" and graphs.attr_str(n, "mode", "DCR") == "CRD"]:
        source = graphs.need(node, 0)
        block = graphs.attr_int(node, "blocksize", 1)
        order = channel_order(graphs.channels(source), block)
        try:
            plan = _Plan(order)
            _visit(source, node, plan)
            _apply(body, plan)
        except _CannotPermuteError as reason:
            _insert_permutation(body, node, order)
            notes.append(f"depth_to_space: 1x1 convolution before {node.name}, because {reason}")
        node.attributes["mode"] = ir.AttrString("mode", "DCR")
    return replace(result, history=(*result.history, *notes))


def channel_order(channels: int, block: int) -> Array:
    """``order`` such that ``x[:, order]`` in DCR is what ``x`` is in CRD; int64 of length ``channels``."""
    colours = channels // (block * block)
    return np.arange(channels).reshape(colours, block * block).T.reshape(-1)


def _visit(value: ir.Value, reader: ir.Node, plan: _Plan) -> None:
    """Plan the reordering of the channels of ``value``, which only ``reader`` may read."""
    node = graphs.producer(value)
    if node is None:
        raise _CannotPermuteError(f"{value.name} is the graph's input")
    if value.is_graph_output() or any(use is not reader for use in graphs.consumers(value)):
        raise _CannotPermuteError(f"{value.name} is also read elsewhere")
    if node in plan.seen:
        return
    plan.seen.add(node)
    if node.op_type in {"Conv", "ConvTranspose"}:
        _visit_convolution(node, plan)
    elif node.op_type in _ELEMENTWISE:
        _visit_operands(node, len(node.inputs), plan)
    elif node.op_type in _PER_CHANNEL and _spatial_only(node):
        _visit_operands(node, 1, plan)
    else:
        raise _CannotPermuteError(f"{node.op_type} {node.name} cannot be permuted")


def _visit_convolution(node: ir.Node, plan: _Plan) -> None:
    weight = graphs.need_constant(node, 1)
    group = graphs.attr_int(node, "group", 1)
    if group == 1:
        axis = 0 if node.op_type == "Conv" else 1
    elif group == len(plan.order) and weight.shape[:2] == (group, 1):
        axis = 0
        _visit(graphs.need(node, 0), node, plan)
    else:
        raise _CannotPermuteError(f"{node.op_type} {node.name} has {group} groups")
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
    if value.shape is not None and value.shape[1] == 1:
        return  # one channel for all: nothing to reorder
    _visit(value, node, plan)


def _spatial_only(node: ir.Node) -> bool:
    """Whether the operator leaves the channel axis alone."""
    if node.op_type == "Pad":
        pads = graphs.need_constant(node, 1).tolist()
        return graphs.operand(node, 3) is None and pads[1] == 0 and pads[len(pads) // 2 + 1] == 0
    return True


def _apply(body: ir.Graph, plan: _Plan) -> None:
    for (node, index), array in plan.edits.items():
        old = graphs.need(node, index)
        new = graphs.new_constant(body, f"{old.name}.dcr", array)
        node.replace_input_with(index, new)
        if not old.uses():
            del body.initializers[graphs.name_of(old)]


def _insert_permutation(body: ir.Graph, node: ir.Node, order: Array) -> None:
    source = graphs.need(node, 0)
    kernel = np.eye(len(order), dtype=np.float32)[order][:, :, None, None]
    weight = graphs.new_constant(body, f"{source.name}.order", kernel)
    bias = graphs.new_constant(body, f"{source.name}.order.bias", np.zeros(len(order), np.float32))
    attributes: dict[str, int | Sequence[int]] = {
        "kernel_shape": [1, 1],
        "strides": [1, 1],
        "pads": [0] * 4,
        "dilations": [1, 1],
        "group": 1,
    }
    convolution = ir.node("Conv", [source, weight, bias], attributes, name=f"{node.name}.order")
    ordered = convolution.outputs[0]
    ordered.name, ordered.type, ordered.shape = f"{source.name}.ordered", source.type, source.shape
    body.insert_before(node, convolution)
    node.replace_input_with(0, ordered)
