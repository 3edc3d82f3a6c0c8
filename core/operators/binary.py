"""Arithmetic on several values, which are broadcast."""

from __future__ import annotations

from clearport.operators.record import Int8, Operator, mil, ncnn, tflite

ADD = Operator(
    "Add",
    "binary",
    Int8(rounds_constants=True),
    combines="sum",
    tflite=tflite("elementwise:arithmetic", op="ADD"),
    mil=mil("elementwise:binary", op="add"),
    ncnn=ncnn("elementwise:binary", code=0),
)
DIV = Operator(
    "Div",
    "binary",
    tflite=tflite("elementwise:arithmetic", op="DIV"),
    mil=mil("elementwise:binary", op="real_div"),
    ncnn=ncnn("elementwise:binary", code=3, turned=8),
)
MAX = Operator(
    "Max",
    "binary",
    tflite=tflite("elementwise:binary", op="MAXIMUM"),
    mil=mil("elementwise:binary", op="maximum"),
    ncnn=ncnn("elementwise:binary", code=4),
)
MIN = Operator(
    "Min",
    "binary",
    tflite=tflite("elementwise:binary", op="MINIMUM"),
    mil=mil("elementwise:binary", op="minimum"),
    ncnn=ncnn("elementwise:binary", code=5),
)
MUL = Operator(
    "Mul",
    "binary",
    Int8(rounds_constants=True),
    combines="product",
    tflite=tflite("elementwise:arithmetic", op="MUL"),
    mil=mil("elementwise:binary", op="mul"),
    ncnn=ncnn("elementwise:binary", code=2),
)
POW = Operator(
    "Pow",
    "binary",
    tflite=tflite("elementwise:binary", op="POW"),
    mil=mil("elementwise:binary", op="pow"),
    ncnn=ncnn("elementwise:binary", code=6, turned=9),
)
PRELU = Operator(
    "PRelu",
    "binary",
    Int8(constants=(1,), rounds_constants=True),
    homogeneous=True,
    tflite=tflite("elementwise:prelu"),
    mil=mil("elementwise:prelu"),
    ncnn=ncnn("elementwise:prelu"),
)
SUB = Operator(
    "Sub",
    "binary",
    Int8(rounds_constants=True),
    combines="sum",
    tflite=tflite("elementwise:arithmetic", op="SUB"),
    mil=mil("elementwise:binary", op="sub"),
    ncnn=ncnn("elementwise:binary", code=1, turned=7),
)

OPERATORS = (ADD, DIV, MAX, MIN, MUL, POW, PRELU, SUB)
