"""Resizing."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from clearport.graph.nodes import channels, constant, name_of, need, operand
from clearport.operators.record import Int8, Operator, in_torch, mil, ncnn, tflite

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

_PARTS = 64
"""Scales are taken for fractions of at most so many parts: 0.7 is 7/10, though as a float32 number it is a bit less."""


def _stride(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    """By the scale that the node has; where it has sizes, those are taken for rounded ones."""
    scales, target = constant(operand(node, 2)), operand(node, 3)
    if scales is not None:
        return step / Fraction(float(scales[2 + axis])).limit_denominator(_PARTS)
    if target is not None and name_of(target) in sizes:
        return sizes[name_of(target)]
    ends = (need(node, 0), node.outputs[0])
    given, made = (v.shape[2 + axis] if v.shape is not None else None for v in ends)
    if not isinstance(given, int) or not isinstance(made, int):
        return step
    return Fraction(max(1, round(step * Fraction(given, made))))


def _to_a_size(node: ir.Node) -> bool:
    return operand(node, 3) is not None


def _keeps_channels(node: ir.Node) -> bool:
    return channels(need(node, 0)) == channels(node.outputs[0])


RESIZE = Operator(
    "Resize",
    "resize",
    Int8("shared"),
    per_channel=_keeps_channels,
    not_data=(1, 2, 3),
    stride=_stride,
    fits_one_size=_to_a_size,
    tflite=tflite("spatial:resize"),
    mil=mil("resize:resize", since="resize:first_ios"),
    ncnn=ncnn("resize:resize"),
    torch=in_torch("resize"),
)

OPERATORS = (RESIZE,)
