"""Float graph and photos -> quantized graph and its scale table: the whole of post-training quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport import graphs
from clearport.base import Graph, QuantizedGraph, ScaleTable
from clearport.quantize import calibrate, fold, legalise, scheme, weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array, QParams
    from clearport.images import Image8


@dataclass(frozen=True)
class QuantizeOptions:
    """How to quantize."""

    progress: calibrate.Progress | None = None


def quantize(graph: Graph, images: Sequence[Image8], options: QuantizeOptions | None = None) -> QuantizedGraph:
    """Calibrate ``graph`` on ``images`` (uint8 RGB (H, W, 3), any sizes) and quantize it.

    Raises:
        BadInput: there are no images, or they are not pictures.
    """
    options = options or QuantizeOptions()
    folded = fold.run(graph)
    free, inputs = calibrate.prepare(graph, images)
    names = list(dict.fromkeys(folded.observed.values()))
    seen = calibrate.observe(free, inputs, names, options.progress)
    entries = legalise.activations(folded, calibrate.min_max(seen.items()))
    return assemble(folded.graph, entries, {"calibrator": "min-max", "images": len(images)})


def assemble(graph: Graph, entries: dict[str, QParams], calibration: dict[str, object]) -> QuantizedGraph:
    """Round weights, biases and constants to the nearest level of their grids."""
    table = dict(entries)
    arrays: dict[str, Array] = {}
    for node in weights.convolutions(graph):
        weight, bias = graphs.need(node, 1), graphs.need(node, 2)
        pair = weights.params(node, entries[graphs.name_of(graphs.need(node, 0))])
        for index, (value, params) in enumerate(zip((weight, bias), pair, strict=True), start=1):
            name = graphs.name_of(value)
            table[name], arrays[name] = params, scheme.snapped(graphs.need_constant(node, index), params)
    for value, array in weights.constants(graph):
        name = graphs.name_of(value)
        table[name] = scheme.symmetric(abs(array).max(), None)
        arrays[name] = scheme.snapped(array, table[name])
    return QuantizedGraph(weights.replaced(graph, arrays), ScaleTable(table, calibration))
