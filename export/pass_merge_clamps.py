"""Merge clamps that follow one another.

Given: ``Clip(Relu(x))``, ``Relu(Clip(x))``, ``Clip(Clip(x))``, ``Relu(Relu(x))``, also where hoisting
brought them together.
Result: one Clip or Relu; a Clip to 0..infinity is a Relu. The merging is done by onnxscript's rules.
"""

from __future__ import annotations

import math

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import rewriter
from onnxscript.rewriter.rules import common as rules

from clearport import graphs
from clearport.base import Graph

_RULES = (
    rules.successive_relu_rule,
    rules.successive_clip_rule,
    rules.successive_clip_relu_rule,
    rules.successive_relu_clip_rule,
)


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    result = graphs.clone(graph)
    while rewriter.RewritePass(_RULES)(result.model).modified:
        pass
    for node in result.model.graph:
        clamp = graphs.clamp_of(node)
        if node.op_type == "Clip" and clamp is not None and (clamp.lo, clamp.hi) == (0.0, math.inf):
            _as_relu(result.model.graph, node)
    common.RemoveUnusedNodesPass()(result.model)
    return result


def _as_relu(body: ir.Graph, clip: ir.Node) -> None:
    relu = ir.node("Relu", [clip.inputs[0]], name=clip.name)
    old, new = clip.outputs[0], relu.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    ir.convenience.replace_nodes_and_values(body, clip, [clip], [relu], [old], [new])
