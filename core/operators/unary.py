"""Functions of one value, without int8 forms."""

from __future__ import annotations

from clearport.operators.record import Operator, in_torch, mil, ncnn, tflite

ABS = Operator(
    "Abs",
    "unary",
    tflite=tflite("unary:function", op="ABS"),
    mil=mil("elementwise:unary", op="abs"),
    ncnn=ncnn("elementwise:unary", code=0),
    torch=in_torch("plain", of="torch:abs"),
)
CEIL = Operator("Ceil", "unary", ncnn=ncnn("elementwise:unary", code=3))
ERF = Operator(
    "Erf",
    "unary",
    mil=mil("elementwise:unary", op="erf"),
    ncnn=ncnn("elementwise:plain_layer", kind="Erf"),
    torch=in_torch("plain", of="torch:erf"),
)
EXP = Operator(
    "Exp",
    "unary",
    tflite=tflite("unary:function", op="EXP"),
    mil=mil("elementwise:unary", op="exp"),
    ncnn=ncnn("elementwise:unary", code=7),
    torch=in_torch("plain", of="torch:exp"),
)
FLOOR = Operator("Floor", "unary", ncnn=ncnn("elementwise:unary", code=2))
GELU = Operator(
    "Gelu",
    "unary",
    tflite=tflite("unary:gelu"),
    mil=mil("elementwise:gelu"),
    ncnn=ncnn("elementwise:gelu"),
    torch=in_torch("gelu"),
)
HARD_SWISH = Operator(
    "HardSwish",
    "unary",
    tflite=tflite("unary:function", op="HARD_SWISH"),
    mil=mil("elementwise:hard_swish"),
    ncnn=ncnn("elementwise:hard_swish"),
    torch=in_torch("plain", of="torch.nn.functional:hardswish"),
)
LOG = Operator(
    "Log",
    "unary",
    tflite=tflite("unary:function", op="LOG"),
    mil=mil("elementwise:log"),
    ncnn=ncnn("elementwise:unary", code=8),
    torch=in_torch("plain", of="torch:log"),
)
NEG = Operator(
    "Neg",
    "unary",
    tflite=tflite("unary:function", op="NEG"),
    mil=mil("elementwise:neg"),
    ncnn=ncnn("elementwise:unary", code=1),
    torch=in_torch("plain", of="torch:neg"),
)
RECIPROCAL = Operator(
    "Reciprocal", "unary", ncnn=ncnn("elementwise:unary", code=15), torch=in_torch("plain", of="torch:reciprocal")
)
SQRT = Operator(
    "Sqrt",
    "unary",
    tflite=tflite("unary:function", op="SQRT"),
    mil=mil("elementwise:unary", op="sqrt"),
    ncnn=ncnn("elementwise:unary", code=5),
    torch=in_torch("plain", of="torch:sqrt"),
)

OPERATORS = (ABS, CEIL, ERF, EXP, FLOOR, GELU, HARD_SWISH, LOG, NEG, RECIPROCAL, SQRT)
