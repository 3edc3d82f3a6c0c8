"""Which graph a file of a precision holds: what the file takes and gives is that graph's contract, and no other's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearport.base import Graph, Precision, QuantizedGraph, ScaleTable


def written(graph: Graph, quantized: QuantizedGraph | None, precision: Precision) -> tuple[Graph, ScaleTable | None]:
    """The graph to write, and how its values are quantized.

    An int8 graph may count from another black than the float one does (``quantize.ends``), so that targets must take
    the contract of their file from here.

    Raises:
        ValueError: the precision needs the quantized graph, and there is none.
    """
    if precision in {"fp32", "fp16"}:
        return graph, None
    if quantized is None:
        raise ValueError(f"{precision} needs the quantized graph: an {precision} file holds that")
    return quantized.graph, quantized.table
