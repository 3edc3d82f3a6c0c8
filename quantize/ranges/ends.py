"""Pictures whose black is not zero.

An int8 grid contains zero. If black is, say, -1 and white 1, zero lies between two pixel values, and no grid represents
pixels exactly. The quantized network then has inputs that start at black (0..2), and adds the -1 itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from clearport.base import Graph, TensorSpec
from clearport.graph import nodes as graphs
from clearport.operators.activations import CLIP
from clearport.operators.binary import ADD, SUB


def from_zero(graph: Graph) -> Graph:
    """The network with input and output pictures that start at zero; unchanged if they already do."""
    if not any(map(_shifted, (*graph.inputs, *graph.outputs))):
        return graph
    result = graphs.clone(graph)
    body = result.model.graph
    for index, spec in enumerate(graph.inputs):
        if _shifted(spec):
            _add_black(body, index, spec)
    for index, spec in enumerate(graph.outputs):
        if _shifted(spec):
            _take_black(body, index, spec)
    inputs, outputs = (tuple(map(_counted, specs)) for specs in (graph.inputs, graph.outputs))
    return graphs.check(replace(result, inputs=inputs, outputs=outputs))


def _shifted(spec: TensorSpec) -> bool:
    return spec.is_picture and spec.span[0] != 0


def _counted(spec: TensorSpec) -> TensorSpec:
    return replace(spec, value_range=_from_zero(spec)) if _shifted(spec) else spec


def _from_zero(spec: TensorSpec) -> tuple[float, float]:
    return 0.0, spec.span[1] - spec.span[0]


def _add_black(body: ir.Graph, index: int, spec: TensorSpec) -> None:
    source = body.inputs[index]
    black = graphs.new_constant(body, f"{spec.name}.black", np.full((1, 1, 1, 1), spec.span[0], np.float32))
    node = ir.node(ADD.name, [source, black], name=f"{spec.name}.from_black")
    _describe(node, f"{spec.name}.in_range", source)
    for use in tuple(source.uses()):
        if use.node is not node:
            use.node.replace_input_with(use.idx, node.outputs[0])
    body.insert_before(body[0], node)


def _take_black(body: ir.Graph, index: int, spec: TensorSpec) -> None:
    """Add a clamp, too, so that the int8 range is that of the picture."""
    inner = body.outputs[index]
    name, inner.name = inner.name, f"{spec.name}.in_range_out"
    black = graphs.new_constant(body, f"{spec.name}.black_out", np.full((1, 1, 1, 1), spec.span[0], np.float32))
    bounds = [
        graphs.new_constant(body, f"{spec.name}.{what}", np.float32(bound))
        for what, bound in zip(("least", "most"), _from_zero(spec), strict=True)
    ]
    less = ir.node(SUB.name, [inner, black], name=f"{spec.name}.to_black")
    _describe(less, f"{spec.name}.counted", inner)
    clamp = ir.node(CLIP.name, [less.outputs[0], *bounds], name=f"{spec.name}.clamp")
    _describe(clamp, name or spec.name, inner)
    body.extend([less, clamp])
    body.outputs[index] = clamp.outputs[0]


def _describe(node: ir.Node, name: str, like: ir.Value) -> None:
    written = node.outputs[0]
    written.name, written.type, written.shape = name, like.type, like.shape
