"""8-bit weights with 16-bit activations (``int8a16``), for chips that have both, such as Qualcomm's HTP.

Weights are rounded as for float activations (``weight_only``), and layers that must stay in float there stay so here.
Activations are uint16 over twice the range on photos, which removes the error of 8-bit activations, most of the loss of
deep networks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clearport.graph import nodes as graphs
from clearport.quantize import flow, weight_only
from clearport.quantize.placement.floats import name_of
from clearport.quantize.weights import arrays as weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Graph
    from clearport.graph.feeds import Sample
    from clearport.pictures.images import Image8
    from clearport.quantized import QuantizedGraph


def quantize(
    graph: Graph, images: Sequence[Image8 | Sample], options: flow.QuantizeOptions | None = None
) -> QuantizedGraph:
    """Calibrate ``graph`` on ``images`` (uint8 RGB (H, W, 3), any sizes, or samples); activations are uint16.

    Operators without an integer form stay in float.

    Raises:
        BadInput: there are no images, or they are not pictures.
    """
    options = options or flow.QuantizeOptions()
    rounded = weight_only.quantize(graph, images, options.progress)
    left = [
        name_of(node)
        for node in weights.convolutions(graph)
        if graphs.name_of(graphs.need(node, 1)) not in rounded.table
        and graphs.constant(graphs.need(node, 1)) is not None
    ]
    return flow.quantize(rounded.graph, images, replace(options, wide=True, floats=(*options.floats, *left)))
