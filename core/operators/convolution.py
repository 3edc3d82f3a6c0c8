"""Convolutions."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from clearport.graph.nodes import attr_ints
from clearport.operators.case import after_conv, conv, f32, on_image, one, weight, wrote
from clearport.operators.record import Int8, Operator, coreai, in_torch, listed, mil, ncnn, reaching, tflite

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir


def coarser(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    """The stride after a strided window."""
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
    reach=reaching("windows"),
    tflite=tflite("conv:conv"),
    mil=mil("conv:conv"),
    coreai=coreai("conv:conv"),
    ncnn=ncnn("conv:convolution"),
    openvino=("Convolution", "GroupConvolution"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("conv"),
    cases=(
        conv("conv same", (8, 3, 3, 3), pads=[1, 1, 1, 1]),
        conv("conv valid", (8, 3, 3, 3)),
        conv("conv 5x3", (4, 3, 5, 3), pads=[2, 1, 2, 1]),
        conv("conv dilated", (4, 3, 3, 3), pads=[2, 2, 2, 2], dilations=[2, 2]),
        conv("conv stride 2, pads of PyTorch", (4, 3, 3, 3), "PAD CONV_2D", pads=[1, 1, 1, 1], strides=[2, 2]),
        conv("conv stride 2, pads of SAME", (4, 3, 3, 3), pads=[0, 0, 1, 1], strides=[2, 2]),
        conv("conv 1x1 stride 2", (4, 3, 1, 1), strides=[2, 2]),
        conv("conv odd pads", (4, 3, 3, 3), "PAD CONV_2D", pads=[2, 0, 0, 1]),
        conv("depthwise", (3, 1, 3, 3), "DEPTHWISE_CONV_2D", group=3, pads=[1, 1, 1, 1]),
        conv("depthwise, 2 each", (6, 1, 3, 3), "DEPTHWISE_CONV_2D", group=3, pads=[1, 1, 1, 1]),
        conv("depthwise dilated", (3, 1, 3, 3), "DEPTHWISE_CONV_2D", group=3, pads=[2, 2, 2, 2], dilations=[2, 2]),
        after_conv(
            "grouped convolution",
            one("Conv", "x w b", group=2, pads=[1, 1, 1, 1]),
            constants={"w": weight(6, 4, 3, 3), "b": weight(6)},
            tflite=wrote("CONV_2D CONV_2D", nnapi=None, float_only=True),
        ),
        after_conv(
            "conv, pads 1 1 1 1",
            one("Conv", "x w b", pads=[1, 1, 1, 1]),
            constants={"w": weight(4, 8, 3, 3), "b": f32(-0.06517912, -0.01747173, 0.1663724, 0.06591477)},
            sides=(12, 16),
        ),
        after_conv(
            "conv, group 8, pads 0 1 2 1, by 2 1",
            one("Conv", "x w b", group=8, pads=[0, 1, 2, 1], strides=[2, 1]),
            constants={"w": weight(8, 1, 3, 3), "b": weight(8)},
            sides=(12, 16),
        ),
        after_conv(
            "conv, dilations 2 2, pads 2 2 2 2",
            one("Conv", "x w b", dilations=[2, 2], pads=[2, 2, 2, 2]),
            constants={"w": weight(5, 8, 3, 3), "b": weight(5)},
            sides=(12, 16),
        ),
    ),
)
CONV_TRANSPOSE = Operator(
    "ConvTranspose",
    "convolution",
    Int8(constants=(1, 2)),
    transposed=True,
    stride=_finer,
    reach=reaching("windows"),
    tflite=tflite("conv:conv_transpose"),
    mil=mil("conv:conv_transpose"),
    coreai=coreai("conv:conv_transpose"),
    ncnn=ncnn("conv:transposed"),
    openvino=("ConvolutionBackpropData", "GroupConvolutionBackpropData"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("conv_transpose"),
    cases=(
        on_image(
            "conv transpose 4 by 2",
            one("ConvTranspose", "image w b", strides=[2, 2], pads=[1, 1, 1, 1]),
            constants={"w": weight(3, 4, 4, 4), "b": weight(4)},
            tflite=wrote("TRANSPOSE_CONV"),
            one_size=("tflite",),
        ),
        on_image(
            "conv transpose 2 by 2",
            one("ConvTranspose", "image w b", strides=[2, 2]),
            constants={"w": weight(3, 4, 2, 2), "b": weight(4)},
            tflite=wrote("TRANSPOSE_CONV"),
            one_size=("tflite",),
        ),
        on_image(
            "conv transpose, cut unevenly",
            one("ConvTranspose", "image w b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
            constants={"w": weight(3, 4, 3, 3), "b": weight(4)},
            tflite=wrote("TRANSPOSE_CONV SLICE"),
            one_size=("tflite",),
        ),
        after_conv(
            "transposed in groups",
            one("ConvTranspose", "x w b", strides=[2, 2], pads=[1, 0, 1, 1], group=2),
            constants={"w": weight(8, 3, 3, 3), "b": weight(6)},
            refused={"tflite": "grouped transposed"},
            one_size=("coreai",),
        ),
        after_conv(
            "conv transpose, by 2 2, pads 1 1 1 1, output_padding 1 1",
            one("ConvTranspose", "x w b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
            constants={"w": weight(8, 4, 3, 3), "b": f32(-0.06517912, -0.01747173, 0.1663724, 0.06591477)},
            sides=(12, 16),
            one_size=("tflite",),
        ),
    ),
)

OPERATORS = (CONV, CONV_TRANSPOSE)
