"""TFLite rules: functions of one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export.tflite.lower import Lowering
from clearport.export.tflite.rules import rule
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

_OPERATORS = {"Exp": "EXP", "Log": "LOG", "Sqrt": "SQRT", "Abs": "ABS", "Neg": "NEG", "HardSwish": "HARD_SWISH"}


@rule(*_OPERATORS)
def function(low: Lowering, node: ir.Node) -> None:
    """Exp, Log, Sqrt, Abs, Neg, HardSwish -> the operator of that name."""
    image, order = low.stored(node)
    low.write(node, _OPERATORS[node.op_type], [image], image.dims, order)


@rule("Gelu")
def gelu(low: Lowering, node: ir.Node) -> None:
    """Gelu -> GELU, exact or by tanh as ONNX says."""
    image, order = low.stored(node)
    by_tanh = graphs.attr_str(node, "approximate", "none") == "tanh"
    low.write(node, "GELU", [image], image.dims, order, approximate=by_tanh)
