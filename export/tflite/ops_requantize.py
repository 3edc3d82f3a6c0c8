"""TFLite rule of the node that the quantizer writes where int8 begins, or changes its scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export.tflite.lower import Lowering
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir


def identity(low: Lowering, node: ir.Node) -> None:
    """Identity -> QUANTIZE where it writes int8; else nothing."""
    given, order = low.written(graphs.need(node, 0))
    if low.quant(node) is None or low.quant(node) == given.quant:
        low.bind(node, low.stored(node)[0], order)
    else:
        low.write(node, "QUANTIZE", [given], given.dims, order)
