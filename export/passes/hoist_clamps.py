"""Move clamps in front of operators that only move data.

Given: ``Clip(DepthToSpace(x))``, or Relu for Clip, if the intermediate tensor has no other consumer. Result:
``DepthToSpace(Clip(x))``, with the same output; the clamp now follows a computing operator, whose int8 output saturates
for free (the clamp is folded into its scale).
"""

from __future__ import annotations

import onnx_ir as ir

from clearport.base import Graph
from clearport.graph import nodes as graphs

_MOVERS = frozenset({"DepthToSpace", "Transpose", "Reshape", "Slice", "MaxPool"})
"""Operators of one input whose every output element is one of its input elements: a clamp commutes with them."""


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    result = graphs.clone(graph)
    while _step(result.model.graph):
        pass
    return result


def _step(body: ir.Graph) -> bool:
    for clamp in body:
        mover = graphs.producer(graphs.need(clamp, 0)) if graphs.clamp_of(clamp) else None
        if mover is None or mover.op_type not in _MOVERS:
            continue
        if graphs.only_consumer(mover.outputs[0]) is clamp and graphs.only_consumer(graphs.need(mover, 0)) is mover:
            _swap(body, mover, clamp)
            return True
    return False


def _swap(body: ir.Graph, mover: ir.Node, clamp: ir.Node) -> None:
    """x -> mover -> a -> clamp -> b becomes x -> clamp' -> c -> mover' -> b; b keeps its name."""
    source, result = graphs.need(mover, 0), clamp.outputs[0]
    moved = ir.node(clamp.op_type, [source, *clamp.inputs[1:]], _attributes(clamp), name=clamp.name)
    cut = moved.outputs[0]
    cut.name, cut.type, cut.shape = f"{source.name}.cut", source.type, source.shape
    again = ir.node(mover.op_type, [cut, *mover.inputs[1:]], _attributes(mover), name=mover.name)
    moved.meta.update(clamp.meta)
    again.meta.update(mover.meta)
    again.outputs[0].type, again.outputs[0].shape = result.type, result.shape
    body.insert_before(mover, [moved, again])
    ir.convenience.replace_nodes_and_values(body, clamp, [mover, clamp], [], [result], [again.outputs[0]])


def _attributes(node: ir.Node) -> dict[str, ir.Attr]:
    return {name: attribute for name, attribute in node.attributes.items() if isinstance(attribute, ir.Attr)}
