"""Readable names that depend only on the graph.

Given: names that the exporter and the passes made up.
Result: nodes are ``conv1, relu1, add1 ...`` in order, their outputs ``conv1.out``, constants ``conv1.weight``,
``conv1.bias``, ``clip1.min`` ...; the graph's inputs and outputs keep their names. Initializers are in order of use.
"""

from __future__ import annotations

import re
from collections import Counter

import onnx_ir as ir

from clearport.base import Graph
from clearport.graph import nodes as graphs

_ROLES = {
    "Conv": ("", "weight", "bias"),
    "ConvTranspose": ("", "weight", "bias"),
    "Clip": ("", "min", "max"),
    "PRelu": ("", "slope"),
    "Slice": ("", "starts", "ends", "axes", "steps"),
    "Pad": ("", "pads", "value", "axes"),
    "Resize": ("", "roi", "scales", "sizes"),
    "Reshape": ("", "shape"),
}


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    result = graphs.clone(graph)
    body = result.model.graph
    _unshare(body)
    counts: Counter[str] = Counter()
    ordered: dict[str, ir.Value] = {}
    for node in body:
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.op_type).lower()
        counts[kind] += 1
        node.name = f"{kind}{counts[kind]}"
        _name_outputs(node)
        for index, value in enumerate(node.inputs):
            if value is not None and value.is_initializer():
                ordered[_constant_name(node, index)] = value
    _reregister(body, ordered)
    return result


def _unshare(body: ir.Graph) -> None:
    """Give every use of a constant its own initializer, so that each can be named (and quantized) for its node."""
    taken: set[ir.Value] = set()
    for node in body:
        for index, value in enumerate(node.inputs):
            if value is None or not value.is_initializer():
                continue
            if value in taken:
                array = graphs.need_constant(node, index)
                node.replace_input_with(index, graphs.new_constant(body, f"{value.name}.copy", array))
            taken.add(value)


def _name_outputs(node: ir.Node) -> None:
    for index, value in enumerate(node.outputs):
        if not value.is_graph_output():
            value.name = f"{node.name}.out{index or ''}"


def _constant_name(node: ir.Node, index: int) -> str:
    roles = _ROLES.get(node.op_type, ())
    return f"{node.name}.{roles[index] if index < len(roles) else f'constant{index}'}"


def _reregister(body: ir.Graph, ordered: dict[str, ir.Value]) -> None:
    body.initializers.clear()
    for name, value in ordered.items():
        array = graphs.constant(value)
        assert array is not None
        value.name = name
        value.const_value = ir.tensor(array, name=name)
        body.register_initializer(value)
