"""Depth to space in the channel order that every runtime supports.

PyTorch's PixelShuffle is ONNX's ``CRD`` (channel ``c*b*b + s`` holds sub-pixel s of color c). TFLite, NNAPI and most
NPUs support ``DCR`` only (channel ``s*C + c``).

Given: ``DepthToSpace(mode=CRD)``.
Result: ``DepthToSpace(mode=DCR)``, with the same output. The channels are permuted where they
are computed: in the filters and biases of the preceding convolutions, of all branches through elementwise operators. If
that is impossible (a branch has another consumer, or an operator that cannot be permuted), a 1x1 convolution permutes
them, and the graph's history has the reason.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.base import Graph
from clearport.export.channel_order import CannotPermuteError, copied, permuted_before
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    result = graphs.clone(graph)
    notes: list[str] = []
    for node in [n for n in result.model.graph if _is_crd(n)]:
        source = graphs.need(node, 0)
        order = channel_order(graphs.channels(source), graphs.attr_int(node, "blocksize", 1))
        try:
            permuted_before(source, node, order)
        except CannotPermuteError as reason:
            node.replace_input_with(0, copied(node, source, order))
            notes.append(f"depth_to_space: 1x1 convolution before {node.name}, because {reason}")
        node.attributes["mode"] = ir.AttrString("mode", "DCR")
    return replace(result, history=(*result.history, *notes))


def _is_crd(node: ir.Node) -> bool:
    return node.op_type == "DepthToSpace" and graphs.attr_str(node, "mode", "DCR") == "CRD"


def channel_order(channels: int, block: int) -> Array:
    """``order`` such that DCR of ``x[:, order]`` equals CRD of ``x``; int64 of length ``channels``."""
    colors = channels // (block * block)
    return np.arange(channels).reshape(colors, block * block).T.reshape(-1)
