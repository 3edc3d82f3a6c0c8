"""Equalise channels: let every channel of an activation use more of the one scale that it shares with the others.

Between two convolutions with a ReLU-like operator in between, channel c can be multiplied by any s_c > 0 in the first
and divided by it in the second: the network computes the same (cross-layer equalisation, arXiv 1906.04721). A channel
that is small on photos, and so would be rounded coarsely, is made larger; error-compensated rounding takes care of the
weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport import graphs
from clearport.quantize import placement, weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from clearport.base import Array, Graph

_HOMOGENEOUS = frozenset({"Relu", "LeakyRelu", "PRelu", "MaxPool", "AveragePool"})
"""Per-channel operators with f(s x) = s f(x) for s > 0."""

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
        for index, axis in ((1, weights.output_axis(node)), (2, 0)):
            name = graphs.name_of(graphs.need(node, index))
            arrays[name] = arrays[name] * _along(factor, axis, arrays[name].ndim)
        for reader in readers:
            name = graphs.name_of(graphs.need(reader, 1))
            arrays[name] = arrays[name] / _along(factor, _input_axis(reader), arrays[name].ndim)
    return weights.replaced(graph, arrays)


def _reach(node: ir.Node) -> tuple[ir.Value, list[ir.Node]]:
    """The last value in which the channels of ``node`` can be scaled, and the convolutions that can undo it there."""
    value = node.outputs[0]
    follower = graphs.only_consumer(value)
    while follower is not None and follower.op_type in _HOMOGENEOUS:
        value = follower.outputs[0]
        follower = graphs.only_consumer(value)
    readers = graphs.consumers(value)
    if value.is_graph_output() or not all(_can_undo(reader, value) for reader in readers):
        return value, []
    return value, list(readers)


def _can_undo(reader: ir.Node, value: ir.Value) -> bool:
    if reader.op_type not in placement.CONVOLUTIONS or reader.inputs[0] is not value:
        return False
    return graphs.attr_int(reader, "group", 1) in {1, graphs.channels(value)}


def _input_axis(reader: ir.Node) -> int:
    return 1 if reader.op_type == "Conv" and graphs.attr_int(reader, "group", 1) == 1 else 0


def _factors(peaks: Array, strength: float) -> Array:
    largest = peaks.max()
    if not largest > 0:
        return np.ones(len(peaks))
    ratio = np.where(peaks > 0, largest / np.maximum(peaks, largest / _LARGEST), 1.0)
    return np.asarray(ratio.astype(np.float64) ** strength)


def _along(factor: Array, axis: int, rank: int) -> Array:
    shape = [1] * rank
    shape[axis] = len(factor)
    return factor.reshape(shape)
