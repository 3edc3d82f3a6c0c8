"""Arithmetic on several values, which are broadcast."""

from __future__ import annotations

from clearport.operators.record import Int8, Operator, in_torch, mil, ncnn, tflite

ADD = Operator(
    "Add",
    "binary",
    Int8(rounds_constants=True),
    combines="sum",
    tflite=tflite("elementwise:arithmetic", op="ADD"),
    mil=mil("elementwise:binary", op="add"),
    ncnn=ncnn("elementwise:binary", code=0),
    torch=in_torch("plain", of="torch:add"),
)
DIV = Operator(
    "Div",
    "binary",
    tflite=tflite("elementwise:arithmetic", op="DIV"),
    mil=mil("elementwise:binary", op="real_div"),
    ncnn=ncnn("elementwise:binary", code=3, turned=8),
    torch=in_torch("plain", of="torch:div"),
)
MAX = Operator(
    "Max",
    "binary",
    tflite=tflite("elementwise:binary", op="MAXIMUM"),
    mil=mil("elementwise:binary", op="maximum"),
    ncnn=ncnn("elementwise:binary", code=4),
    torch=in_torch("plain", of="torch:maximum"),
)
MIN = Operator(
    "Min",
    "binary",
    tflite=tflite("elementwise:binary", op="MINIMUM"),
    mil=mil("elementwise:binary", op="minimum"),
    ncnn=ncnn("elementwise:binary", code=5),
    torch=in_torch("plain", of="torch:minimum"),
)
MUL = Operator(
    "Mul",
    "binary",
    Int8(rounds_constants=True),
    combines="product",
    tflite=tflite("elementwise:arithmetic", op="MUL"),
    mil=mil("elementwise:binary", op="mul"),
    ncnn=ncnn("elementwise:binary", code=2),
    torch=in_torch("plain", of="torch:mul"),
)
POW = Operator(
    "Pow",
    "binary",
    tflite=tflite("elementwise:binary", op="POW"),
    mil=mil("elementwise:binary", op="pow"),
    ncnn=ncnn("elementwise:binary", code=6, turned=9),
    torch=in_torch("plain", of="torch:pow"),
)
PRELU = Operator(
    "PRelu",
    "binary",
    Int8(constants=(1,), rounds_constants=True),
    homogeneous=True,
    tflite=tflite("elementwise:prelu"),
    mil=mil("elementwise:prelu"),
    ncnn=ncnn("elementwise:prelu"),
    torch=in_torch("prelu"),
)
SUB = Operator(
    "Sub",
    "binary",
    Int8(rounds_constants=True),
    combines="sum",
    tflite=tflite("elementwise:arithmetic", op="SUB"),
    mil=mil("elementwise:binary", op="sub"),
    ncnn=ncnn("elementwise:binary", code=1, turned=7),
    torch=in_torch("plain", of="torch:sub"),
)

OPERATORS = (ADD, DIV, MAX, MIN, MUL, POW, PRELU, SUB)
