"""Equalise channels: let every channel of an activation use more of the one scale that it shares with the others.

Between two convolutions with a ReLU-like operator in between, channel c can be multiplied by any s_c > 0 in the first
and divided by it in the second: the network computes the same (cross-layer equalisation, arXiv 1906.04721). A channel
that is small on photos, and so would be rounded coarsely, is made larger; error-compensated rounding takes care of the
weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.quantize.placement import floats as placement
from clearport.quantize.weights import arrays as weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from clearport.base import Array, Graph
    from clearport.graph.feeds import Feed

TOLERANCE = 1e-4
"""The largest deviation of the equalised graph from the one before it, as a share of the largest output: that of
float32 sums, as between PyTorch and the exported graph. One level of a picture is 40 times as much."""

_LARGEST = 64.0
"""A channel is never multiplied by more than this: one that is nearly dead on the photos may wake up on others."""


def run(graph: Graph, peaks: Mapping[str, Array], strength: float) -> Graph:
    """The same network with channels scaled by ``(largest peak / peak) ** strength``.

    Args:
        peaks: value name -> largest magnitude of each channel on photos.
        strength: 0 leaves the graph as it is, 1 gives all channels the same peak.
    """
    if strength == 0:
        return graph
    arrays = {
        name: np.asarray(graphs.constant(value), np.float64)
        for node in weights.convolutions(graph)
        for value in node.inputs[1:]
        if value is not None and (name := graphs.name_of(value))
    }
    for node in weights.convolutions(graph):
        last, readers = _reach(node)
        if not readers:
            continue
        factor = _factors(peaks[graphs.name_of(last)], strength)
        kernel, bias = (graphs.name_of(graphs.need(node, index)) for index in (1, 2))
        arrays[kernel] = weights.by_output(node, arrays[kernel], factor)
        arrays[bias] = arrays[bias] * factor
        for reader in readers:
            name = graphs.name_of(graphs.need(reader, 1))
            arrays[name] = weights.by_input(reader, arrays[name], 1 / factor)
    return weights.replaced(graph, arrays)


def same(graph: Graph, equal: Graph, inputs: Sequence[Feed]) -> bool:
    """Whether both compute the same of each feed, to ``TOLERANCE``, in ONNX Runtime."""
    first, second = (graphs.session(each.model) for each in (graph, equal))
    for feed in inputs:
        for given, wanted in zip(second.run(None, feed), first.run(None, feed), strict=True):
            if not np.abs(given - wanted).max(initial=0.0) <= TOLERANCE * np.abs(wanted).max(initial=0.0):
                return False
    return True


def _reach(node: ir.Node) -> tuple[ir.Value, list[ir.Node]]:
    """The last value in which the channels of ``node`` can be scaled, and the convolutions that can undo it there."""
    value = node.outputs[0]
    follower = graphs.only_consumer(value)
    while follower is not None and table.of(follower).homogeneous and follower.inputs[0] is value:
        value = follower.outputs[0]
        follower = graphs.only_consumer(value)
    readers = graphs.consumers(value)
    if value.is_graph_output() or not all(_can_undo(reader, value) for reader in readers):
        return value, []
    return value, list(readers)


def _can_undo(reader: ir.Node, value: ir.Value) -> bool:
    return placement.is_convolution(reader) and [v is value for v in reader.inputs] == [True, False, False]


def _factors(peaks: Array, strength: float) -> Array:
    largest = peaks.max()
    if not 0 < largest < np.inf:
        return np.ones(len(peaks))
    ratio = np.where(peaks > 0, largest / np.maximum(peaks, largest / _LARGEST), 1.0)
    return np.asarray(ratio.astype(np.float64) ** strength)
