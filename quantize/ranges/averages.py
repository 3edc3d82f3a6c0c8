"""Averages with runtime-independent rounding: depthwise convolutions in place of pools.

An AveragePool's output has its input's int8 scale, so averages of an even number of levels are often exact ties (one in
four for 2x2 pixels, one in sixteen for 4x4). TFLite rounds ties away from the zero level and others to even, which
biases all later layers by 1/8 or 1/32 of a level: half a level of IAGC's picture. A convolution has its own output
scale, with hardly any ties, and its equal weights are exact.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from clearport.base import Graph
from clearport.graph import nodes as graphs
from clearport.operators.convolution import CONV
from clearport.operators.pools import AVERAGE_POOL

MOST = 64
"""The largest window, in pixels: ties are rarer in larger ones, where pools are faster than convolutions."""


def as_convolutions(graph: Graph) -> Graph:
    """The network with averages of an even number of pixels as depthwise convolutions; unchanged if it has none."""
    if not any(map(_has_halves, graph.model.graph)):
        return graph
    result = graphs.clone(graph)
    body = result.model.graph
    for node in tuple(filter(_has_halves, body)):
        _replace(body, node)
    return graphs.check(result)


def _has_halves(node: ir.Node) -> bool:
    """Whether a node is an average that a convolution can compute, of few enough pixels that ties are frequent."""
    if node.op_type != AVERAGE_POOL.name or graphs.attr_int(node, "ceil_mode", 0):
        return False
    window = graphs.attr_ints(node, "kernel_shape", ())
    counted = graphs.attr_int(node, "count_include_pad", 0) or not any(graphs.attr_ints(node, "pads", ()))
    dense = set(graphs.attr_ints(node, "dilations", ())) <= {1}
    return bool(counted) and dense and math.prod(window) % 2 == 0 and math.prod(window) <= MOST


def _replace(body: ir.Graph, node: ir.Node) -> None:
    source, pooled = graphs.need(node, 0), node.outputs[0]
    channels, window = graphs.channels(source), graphs.attr_ints(node, "kernel_shape", ())
    weight = np.full((channels, 1, *window), 1 / math.prod(window), np.float32)
    arrays = {"weight": weight, "bias": np.zeros(channels, np.float32)}
    name = graphs.name_of(pooled)
    inputs = [source, *(graphs.new_constant(body, f"{name}.{what}", array) for what, array in arrays.items())]
    made = ir.node(CONV.name, inputs, name=node.name)
    kept = {name: node.attributes[name] for name in ("kernel_shape", "pads", "strides") if name in node.attributes}
    made.attributes.update(kept | {"group": ir.AttrInt64("group", channels)})
    ir.convenience.replace_nodes_and_values(body, node, [node], [made], [pooled], made.outputs)
