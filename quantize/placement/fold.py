"""Fold clamps into the operators before them.

In int8 a clamp is free: an operator saturates at its output's range, so a clamp to 0..hi is the scale hi/255 with zero
point -128.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir
from onnx_ir.passes import common

from clearport.base import Graph
from clearport.graph import nodes as graphs
from clearport.graph.nodes import Activation
from clearport.operators import table
from clearport.quantize.placement import floats as placement
from clearport.quantized import QParams


@dataclass(frozen=True)
class Folded:
    """A graph without the clamps that could be folded.

    Attributes:
        graph: the graph that will be quantized.
        clamps: value of that graph -> the clamp that its int8 range must implement.
        observed: value of that graph -> the equal value of the original graph (after the clamp).
        floats: the values that stay in float.
        fixed: value -> its parameters, if its meaning determines them (``float_regions``).
    """

    graph: Graph
    clamps: Mapping[str, Activation]
    observed: Mapping[str, str]
    floats: frozenset[str] = frozenset()
    fixed: Mapping[str, QParams] = field(default_factory=dict)

    def is_int8(self, node: ir.Node) -> bool:
        """Whether a node computes in int8."""
        return graphs.name_of(node.outputs[0]) not in self.floats


def saturates(node: ir.Node) -> bool:
    """Whether the operator's int8 output has its own scale, so that it can saturate in place of a following clamp."""
    form = table.of(node).int8
    return form is not None and form.saturates


def run(graph: Graph, floats: Collection[str] = ()) -> Folded:
    """Remove every Relu and Clip whose producer is an int8 operator that can saturate in its place.

    ``floats`` are the names of the float nodes. A clamp stays if its input has other consumers, if a data-movement
    operator precedes it, or if zero is outside its bounds (a quantized range always contains zero: it then implements
    the other bound, and the remaining clamp has the same scale).
    """
    result = graphs.clone(graph)
    body = result.model.graph
    clamps: dict[str, Activation] = {}
    observed: dict[str, str] = {}
    for node in list(body):
        clamp = graphs.fused_activation(node)
        if placement.name_of(node) in floats or clamp is None or not saturates(node):
            continue
        if not clamp.lo <= 0.0 <= clamp.hi:
            clamps[graphs.name_of(node.outputs[0])] = Activation("clip", min(clamp.lo, 0.0), max(clamp.hi, 0.0))
            continue
        follower = graphs.only_consumer(node.outputs[0])
        assert follower is not None
        kept, after = node.outputs[0], follower.outputs[0]
        observed_name = graphs.name_of(after)
        _bypass(body, kept, follower)
        clamps[graphs.name_of(node.outputs[0])] = clamp
        observed[graphs.name_of(node.outputs[0])] = observed_name
    common.RemoveUnusedNodesPass()(result.model)
    for value in graphs.values(result):
        observed.setdefault(graphs.name_of(value), graphs.name_of(value))
    real = {graphs.name_of(v) for n in body if placement.name_of(n) in floats for v in n.outputs}
    real |= placement.float_inputs(result, floats)
    return Folded(result, clamps, observed, frozenset(real))


def _bypass(body: ir.Graph, kept: ir.Value, clamp: ir.Node) -> None:
    """Let the readers of ``clamp`` read ``kept``; if the clamp wrote the graph's output, ``kept`` takes its name."""
    after = clamp.outputs[0]
    name, leaves = after.name, after.is_graph_output()
    ir.convenience.replace_all_uses_with(after, kept, replace_graph_outputs=True)
    body.remove(clamp, safe=True)
    if leaves:
        after.name = None
        kept.name = name


def left(folded: Folded) -> tuple[str, ...]:
    """The names of the clamps that could not be folded."""
    return tuple(n.name or "" for n in folded.graph.model.graph if graphs.clamp_of(n) is not None)
