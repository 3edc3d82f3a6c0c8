"""Merge consecutive clamps.

Given: ``Clip(Relu(x))``, ``Relu(Clip(x))``, ``Clip(Clip(x))``, ``Relu(Relu(x))``, also where hoisting
brought them together.
Result: one Clip or Relu; a Clip to 0..infinity is a Relu. The merged bounds are the first clamp's bounds clamped by the
second, which is also right for disjoint ranges (onnxscript 0.7.2 takes the larger minimum and the smaller maximum,
which is wrong there).
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from clearport.base import Graph
from clearport.export.passes.rewriting import constant, insert, sizes, substitute
from clearport.graph import nodes as graphs
from clearport.graph.nodes import Activation


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    result = graphs.clone(graph)
    for node in result.model.graph:  # in order, so that merged clamps merge again
        _merge(node)
    common.RemoveUnusedNodesPass()(result.model)
    return result


def _merge(node: ir.Node) -> None:
    clamp = _ends(node)
    if clamp is None:
        return
    source = graphs.need(node, 0)
    before = graphs.producer(source)
    first = _ends(before) if before is not None and graphs.only_consumer(source) is node else None
    if first is not None and before is not None:
        clamp = (_cut(first[0], clamp), _cut(first[1], clamp))
        source = graphs.need(before, 0)
    as_relu = clamp == (0.0, math.inf)
    if first is not None or (as_relu and node.op_type != "Relu"):
        bounds = [] if as_relu else [_bound(node, *end) for end in zip(("min", "max"), clamp, strict=True)]
        substitute(node, insert(node, "Relu" if as_relu else "Clip", [source, *bounds], sizes(node.outputs[0])))


def _ends(node: ir.Node) -> tuple[float, float] | None:
    """The bounds of a clamp; if min > max, ONNX returns max everywhere."""
    clamp: Activation | None = graphs.clamp_of(node)
    return None if clamp is None else (min(clamp.lo, clamp.hi), clamp.hi)


def _cut(number: float, clamp: tuple[float, float]) -> float:
    return min(max(number, clamp[0]), clamp[1])


def _bound(node: ir.Node, role: str, number: float) -> ir.Value | None:
    return constant(node, role, np.array(number)) if math.isfinite(number) else None
