"""Constant folding beyond onnxscript's: any operators on constants, and known shapes.

Given: masks, positions, tables and pads that a network computes from constants only (ConstantOfShape, Where, ScatterND,
shape arithmetic); a Shape of a tensor with known sizes. Result: initializers, all computed in one ONNX Runtime run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from clearport.export.passes.rewriting import fixed, sizes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clearport.base import Array

_DRAWN = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_MOST = 1 << 24
"""Larger results are not folded, so that they do not increase the file size."""


def run(model: ir.Model) -> bool:
    """Edit a model in place; returns whether anything was folded."""
    body = model.graph
    shapes = list(_shapes(body))
    for value, array in shapes:
        _replace(body, value, array)
    held: set[int] = set()
    nodes = [node for node in body if _is_constant(node, held)]
    wanted = [value for node in nodes for value in node.outputs if _leaves(value, nodes)]
    for value, array in zip(wanted, _computed(nodes, wanted), strict=True):
        _replace(body, value, array)
    common.RemoveUnusedNodesPass()(model)
    return bool(shapes or wanted)


def _shapes(body: ir.Graph) -> Iterable[tuple[ir.Value, Array]]:
    """The output of Shape or Size, if known."""
    for node in body:
        if node.op_type == "Shape":
            given = sizes(graphs.need(node, 0))
            rank = 0 if given is None else len(given)
            part = (given or ())[graphs.attr_int(node, "start", 0) : graphs.attr_int(node, "end", rank)]
            if given is not None and all(isinstance(n, int) for n in part):
                yield node.outputs[0], np.array(part, np.int64)
        elif node.op_type == "Size" and fixed(graphs.need(node, 0)) is not None:
            yield node.outputs[0], np.array(np.prod(fixed(graphs.need(node, 0)) or (1,)), np.int64)


def _is_constant(node: ir.Node, held: set[int]) -> bool:
    """Whether a node reads only constants; its outputs are then added to ``held``."""
    if node.op_type in _DRAWN | {"Constant", "Shape", "Size"} or node.domain not in {"", "ai.onnx"}:
        return False
    if any(
        attribute.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS} for attribute in node.attributes.values()
    ):
        return False
    if not all(v is None or id(v) in held or graphs.constant(v) is not None for v in node.inputs):
        return False
    if any(np.prod(fixed(value) or (1,), dtype=float) > _MOST for value in node.outputs):
        return False
    held.update(map(id, node.outputs))
    return True


def _leaves(value: ir.Value, nodes: list[ir.Node]) -> bool:
    """Whether a value has a consumer besides the constant nodes."""
    own = set(map(id, nodes))
    return any(id(reader) not in own for reader in value.consumers()) and not value.is_graph_output()


def _computed(nodes: list[ir.Node], wanted: list[ir.Value]) -> list[Array]:
    """The arrays of ``wanted``, by ONNX Runtime."""
    if not wanted:
        return []
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    body = ir.Graph([], [], nodes=[], opset_imports={"": graphs.OPSET}, name="constants")
    values: dict[int, ir.Value] = {}
    for index, node in enumerate(nodes):
        inputs = [None if v is None else values.get(id(v)) or _held(body, values, v) for v in node.inputs]
        made = ir.Node("", node.op_type, inputs, list(node.attributes.values()), num_outputs=len(node.outputs))
        for place, (old, new) in enumerate(zip(node.outputs, made.outputs, strict=True)):
            new.name = f"v{index}_{place}"
            values[id(old)] = new
        body.append(made)
    for value in wanted:
        body.outputs.append(values[id(value)])
    model = graphs.to_bytes(ir.Model(body, ir_version=10))
    opened = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found: list[Array] = opened.run(None, {})
    return found


def _held(body: ir.Graph, values: dict[int, ir.Value], value: ir.Value) -> ir.Value:
    array = graphs.constant(value)
    assert array is not None
    values[id(value)] = graphs.new_constant(body, f"c{len(values)}", array)
    return values[id(value)]


def _replace(body: ir.Graph, value: ir.Value, array: Array) -> None:
    ir.convenience.replace_all_uses_with(value, graphs.new_constant(body, f"{graphs.name_of(value)}.folded", array))
