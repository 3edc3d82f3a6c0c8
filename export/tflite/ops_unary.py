"""TFLite rules: unary elementwise functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export.tflite.lower import Lowering
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir


def function(low: Lowering, node: ir.Node, op: str) -> None:
    """Exp, Log, Sqrt, Abs, Neg, HardSwish -> the operator of that name."""
    image, order = low.stored(node)
    low.write(node, op, [image], image.dims, order)


def gelu(low: Lowering, node: ir.Node) -> None:
    """Gelu -> GELU, exact or with the tanh approximation."""
    image, order = low.stored(node)
    by_tanh = graphs.attr_str(node, "approximate", "none") == "tanh"
    low.write(node, "GELU", [image], image.dims, order, approximate=by_tanh)
