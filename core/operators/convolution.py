"""Convolutions."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from clearport.graph.nodes import attr_ints
from clearport.operators.record import Int8, Operator, in_torch, mil, ncnn, tflite

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir


def coarser(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    """The stride behind a window that moves by several cells."""
    del sizes
    return step * attr_ints(node, "strides", (1, 1))[axis]


def _finer(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    del sizes
    return step / attr_ints(node, "strides", (1, 1))[axis]


CONV = Operator(
    "Conv",
    "convolution",
    Int8(constants=(1, 2)),
    stride=coarser,
    tflite=tflite("conv:conv"),
    mil=mil("conv:conv"),
    ncnn=ncnn("conv:convolution"),
    openvino=("Convolution", "GroupConvolution"),
    torch=in_torch("conv"),
)
CONV_TRANSPOSE = Operator(
    "ConvTranspose",
    "convolution",
    Int8(constants=(1, 2)),
    transposed=True,
    stride=_finer,
    tflite=tflite("conv:conv_transpose"),
    mil=mil("conv:conv_transpose"),
    ncnn=ncnn("conv:transposed"),
    openvino=("ConvolutionBackpropData", "GroupConvolutionBackpropData"),
    torch=in_torch("conv_transpose"),
)

OPERATORS = (CONV, CONV_TRANSPOSE)
