"""Channel equalization: let every channel of an activation use more of the shared int8 range.

Between two convolutions with a ReLU-like operator in between, channel c can be multiplied by any s_c > 0 in the first
and divided by it in the second: the network computes the same (cross-layer equalization, arXiv 1906.04721). Channels
with small magnitudes on photos, which would be rounded coarsely, are scaled up; error-compensated rounding handles the
weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.quantize.placement import floats as placement
from clearport.quantize.weights import arrays as weights_

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx_ir as ir

    from clearport.base import Array, Graph
    from clearport.graph.feeds import Feed

TOLERANCE = 1e-4
"""The largest accepted deviation of the equalized graph from the original, relative to the largest output: that of
float32 sums, as between PyTorch and the exported graph. One level of a picture is 40 times as much."""

_LARGEST = 64.0
"""The largest factor of a channel: one that is nearly dead on the calibration photos may be active on others."""


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
        for node in weights_.convolutions(graph)
        for value in node.inputs[1:]
        if value is not None and (name := graphs.name_of(value))
    }
    for node, _, readers, factor in _scaled(graph, peaks, strength):
        kernel, bias = (graphs.name_of(graphs.need(node, index)) for index in (1, 2))
        arrays[kernel] = weights_.by_output(node, arrays[kernel], factor)
        arrays[bias] = arrays[bias] * factor
        for reader in readers:
            name = graphs.name_of(graphs.need(reader, 1))
            arrays[name] = weights_.by_input(reader, arrays[name], 1 / factor)
    return weights_.replaced(graph, arrays)


def foretold(graph: Graph, peaks: Mapping[str, Array], strength: float, weights: Mapping[str, Array]) -> float:
    """Predicted cost of rounding the scaled values, by the error weights (``sensitivity``), to compare strengths."""
    total = 0.0
    for _, values, _, factor in _scaled(graph, peaks, strength):
        if values[-1] in weights:
            total += float((factor * peaks[values[-1]]).max() ** 2 * (weights[values[-1]] / factor**2).sum())
    return total


def weights(graph: Graph, peaks: Mapping[str, Array], strength: float, plain: Mapping[str, Array]) -> dict[str, Array]:
    """The error weights (``sensitivity``) of the equalized graph, from those of the original."""
    found = dict(plain)
    for _, values, _, factor in _scaled(graph, peaks, strength):
        found.update((name, plain[name] / factor**2) for name in values if name in plain)
    return found


def _scaled(
    graph: Graph, peaks: Mapping[str, Array], strength: float
) -> Iterator[tuple[ir.Node, list[str], list[ir.Node], Array]]:
    """The scaled convolutions, the scaled values, the convolutions that undo the scaling, and the factors."""
    for node in weights_.convolutions(graph):
        values, readers = _reach(node)
        if readers:
            names = [graphs.name_of(value) for value in values]
            yield node, names, readers, _factors(peaks[names[-1]], strength)


def same(graph: Graph, equal: Graph, inputs: Sequence[Feed]) -> bool:
    """Whether both have equal outputs for each feed, to ``TOLERANCE``, in ONNX Runtime."""
    first, second = (graphs.session(each.model) for each in (graph, equal))
    for feed in inputs:
        for given, wanted in zip(second.run(None, feed), first.run(None, feed), strict=True):
            if not np.abs(given - wanted).max(initial=0.0) <= TOLERANCE * np.abs(wanted).max(initial=0.0):
                return False
    return True


def _reach(node: ir.Node) -> tuple[list[ir.Value], list[ir.Node]]:
    """The values in which the channels of ``node`` can be scaled, and the later convolutions that can undo it."""
    value = node.outputs[0]
    values = [value]
    follower = graphs.only_consumer(value)
    while follower is not None and table.of(follower).homogeneous and follower.inputs[0] is value:
        value = follower.outputs[0]
        values.append(value)
        follower = graphs.only_consumer(value)
    readers = graphs.consumers(value)
    if value.is_graph_output() or not all(_can_undo(reader, value) for reader in readers):
        return values, []
    return values, list(readers)


def _can_undo(reader: ir.Node, value: ir.Value) -> bool:
    return placement.is_convolution(reader) and [v is value for v in reader.inputs] == [True, False, False]


def _factors(peaks: Array, strength: float) -> Array:
    largest = peaks.max()
    if not 0 < largest < np.inf:
        return np.ones(len(peaks))
    ratio = np.where(peaks > 0, largest / np.maximum(peaks, largest / _LARGEST), 1.0)
    return np.asarray(ratio.astype(np.float64) ** strength)
