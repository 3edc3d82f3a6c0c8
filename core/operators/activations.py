"""Activations with an int8 form: clamps, leaky ReLUs and the functions whose range is fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import QParams
from clearport.graph.nodes import clamp_of
from clearport.operators.record import Int8, Operator, in_torch, mil, ncnn, tflite

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
    ncnn=ncnn("elementwise:clamp", fused="elementwise:fused_clamp"),
    torch=in_torch("clip"),
)
LEAKY_RELU = Operator(
    "LeakyRelu",
    "unary",
    Int8(),
    homogeneous=True,
    tflite=tflite("elementwise:leaky_relu"),
    mil=mil("elementwise:leaky_relu"),
    ncnn=ncnn("elementwise:leaky_relu", fused="elementwise:fused_leaky_relu"),
    torch=in_torch("leaky_relu"),
)
RELU = Operator(
    "Relu",
    "unary",
    Int8("clamp"),
    homogeneous=True,
    tflite=tflite("elementwise:clamp"),
    mil=mil("elementwise:unary", op="relu"),
    ncnn=ncnn("elementwise:clamp", fused="elementwise:fused_clamp"),
    torch=in_torch("plain", of="torch:relu"),
)
SIGMOID = Operator(
    "Sigmoid",
    "unary",
    Int8(grid=QParams((1 / 256,), -128)),
    tflite=tflite("elementwise:squash", op="LOGISTIC"),
    mil=mil("elementwise:unary", op="sigmoid"),
    ncnn=ncnn("elementwise:plain_layer", fused="elementwise:fused_sigmoid", kind="Sigmoid"),
    torch=in_torch("plain", of="torch:sigmoid"),
)
TANH = Operator(
    "Tanh",
    "unary",
    Int8(grid=QParams((1 / 128,), 0)),
    tflite=tflite("elementwise:squash", op="TANH"),
    mil=mil("elementwise:unary", op="tanh"),
    ncnn=ncnn("elementwise:plain_layer", kind="TanH"),
    torch=in_torch("plain", of="torch:tanh"),
)

OPERATORS = (CLIP, LEAKY_RELU, RELU, SIGMOID, TANH)
