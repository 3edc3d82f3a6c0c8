"""Activations with an int8 form: clamps, leaky ReLUs and the functions whose range is fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.graph.nodes import clamp_of
from clearport.operators.case import after_conv, f32, number, one, wrote
from clearport.operators.record import Int8, Operator, coreai, in_torch, listed, mil, ncnn, tflite
from clearport.quantized import QParams

if TYPE_CHECKING:
    import onnx_ir as ir


def _has_constant_bounds(node: ir.Node) -> bool:
    return clamp_of(node) is not None


CLIP = Operator(
    "Clip",
    "unary",
    Int8("clamp", when=_has_constant_bounds),
    tflite=tflite("elementwise:clamp"),
    mil=mil("elementwise:clip"),
    coreai=coreai("elementwise:clip"),
    ncnn=ncnn("elementwise:clamp", fused="elementwise:fused_clamp"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("clip"),
    cases=(
        after_conv(
            "relu6 fused", one("Clip", "x lo hi"), constants={"lo": f32(0), "hi": f32(6)}, tflite=wrote("CONV_2D")
        ),
        after_conv(
            "clip -1..1 fused", one("Clip", "x lo hi"), constants={"lo": f32(-1), "hi": f32(1)}, tflite=wrote("CONV_2D")
        ),
        after_conv(
            "clip 0..0.5",
            one("Clip", "x lo hi"),
            constants={"lo": f32(0), "hi": f32(0.5)},
            tflite=wrote("CONV_2D MINIMUM", "CONV_2D"),
        ),
        after_conv(
            "clip -0.5..0.2",
            one("Clip", "x lo hi"),
            constants={"lo": f32(-0.5), "hi": f32(0.2)},
            tflite=wrote("CONV_2D MAXIMUM MINIMUM", "CONV_2D"),
        ),
        after_conv(
            "clip with another reader before it",
            ("Clip", "x lo hi", "r", {}),
            one("Add", "x r"),
            constants={"lo": f32(0), "hi": f32(0.5)},
            tflite=wrote("CONV_2D RELU MINIMUM ADD", "CONV_2D RELU ADD", outside_int8="RELU"),
        ),
        after_conv(
            "clip around 0 with another reader before it",
            ("Clip", "x lo hi", "r", {}),
            one("Add", "x r"),
            constants={"lo": f32(-0.3), "hi": f32(0.5)},
            tflite=wrote("CONV_2D MAXIMUM MINIMUM ADD", "CONV_2D QUANTIZE ADD", nnapi=30),
        ),
        after_conv(
            "clip off 0",
            ("Clip", "x lo hi", "r", {}),
            one("Add", "x r"),
            constants={"lo": f32(0.2), "hi": f32(0.5)},
            tflite=wrote("CONV_2D MAXIMUM MINIMUM ADD", "CONV_2D RELU MAXIMUM ADD", outside_int8="MAXIMUM RELU"),
        ),
        after_conv(
            "clip, from -10, to 60",
            one("Clip", "x lo hi"),
            constants={"lo": number(-10), "hi": number(60)},
            sides=(12, 16),
        ),
        after_conv("clip, to 40", one("Clip", "x  hi"), constants={"hi": number(40)}, sides=(12, 16)),
        after_conv("clip, from -5", one("Clip", "x lo"), constants={"lo": number(-5)}, sides=(12, 16)),
    ),
)
LEAKY_RELU = Operator(
    "LeakyRelu",
    "unary",
    Int8(),
    homogeneous=True,
    tflite=tflite("elementwise:leaky_relu"),
    mil=mil("elementwise:leaky_relu"),
    coreai=coreai("elementwise:leaky_relu"),
    ncnn=ncnn("elementwise:leaky_relu", fused="elementwise:fused_leaky_relu"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("leaky_relu"),
    cases=(
        after_conv("leaky relu", one("LeakyRelu", alpha=0.05), tflite=wrote("CONV_2D LEAKY_RELU")),
        after_conv("leaky relu fused", ("LeakyRelu", "x", "l", {"alpha": 0.2}), one("Add", "l l")),
        after_conv("leaky relu, alpha 0.1", one("LeakyRelu", alpha=0.1), sides=(12, 16)),
    ),
)
RELU = Operator(
    "Relu",
    "unary",
    Int8("clamp"),
    homogeneous=True,
    tflite=tflite("elementwise:clamp"),
    mil=mil("elementwise:unary", op="relu"),
    coreai=coreai("elementwise:unary", op="relu"),
    ncnn=ncnn("elementwise:clamp", fused="elementwise:fused_clamp"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:relu"),
    cases=(
        after_conv("relu fused", one("Relu"), tflite=wrote("CONV_2D")),
        after_conv("add and relu", ("Add", "x y", "z", {}), one("Relu", "z"), tflite=wrote("CONV_2D CONV_2D ADD")),
        after_conv(
            "relu with another reader before it",
            ("Relu", "x", "r", {}),
            one("Add", "x r"),
            tflite=wrote("CONV_2D RELU ADD", outside_int8="RELU"),
        ),
        after_conv("output that is read", ("Relu", "x", "r", {}), one("Add", "r x")),
    ),
)
SIGMOID = Operator(
    "Sigmoid",
    "unary",
    Int8(grid=QParams((1 / 256,), -128)),
    tflite=tflite("elementwise:squash", op="LOGISTIC"),
    mil=mil("elementwise:unary", op="sigmoid"),
    coreai=coreai("elementwise:unary", op="sigmoid"),
    ncnn=ncnn("elementwise:plain_layer", fused="elementwise:fused_sigmoid", kind="Sigmoid"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:sigmoid"),
    cases=(
        after_conv("sigmoid", one("Sigmoid"), tflite=wrote("CONV_2D LOGISTIC")),
        after_conv("sigmoid fused", one("Sigmoid")),
    ),
)
TANH = Operator(
    "Tanh",
    "unary",
    Int8(grid=QParams((1 / 128,), 0)),
    tflite=tflite("elementwise:squash", op="TANH"),
    mil=mil("elementwise:unary", op="tanh"),
    coreai=coreai("elementwise:unary", op="tanh"),
    ncnn=ncnn("elementwise:plain_layer", kind="TanH"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:tanh"),
    cases=(after_conv("tanh", one("Tanh"), tflite=wrote("CONV_2D TANH")),),
)

OPERATORS = (CLIP, LEAKY_RELU, RELU, SIGMOID, TANH)
