"""The refusal of an operator that a target has no rule for; every target says it in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import UnsupportedOperator

if TYPE_CHECKING:
    import onnx_ir as ir


def unknown(target: str, node: ir.Node, layer: str) -> UnsupportedOperator:
    """The error that ``target`` has no rule for ``node``, of ``layer``.

    Whole numbers are sizes: a network exported for pictures of any size computes with them, and for one size does not.
    """
    if node.outputs and all(value.dtype is not None and value.dtype.is_integer() for value in node.outputs):
        why = "there is no rule for it, which computes a size that the picture decides: give --size HEIGHTxWIDTH"
        return UnsupportedOperator(target, node.op_type, layer, why)
    return UnsupportedOperator(target, node.op_type, layer)
