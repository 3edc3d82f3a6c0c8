"""Rare elementwise functions: trigonometric, rounding, and ELU-like."""

from __future__ import annotations

from clearport.operators.record import Kernel, Operator, coreai, in_torch, listed, mil, ncnn, tflite

_EVALUATED = "clearport.runtime.coreml_reference.choices"

COS = Operator(
    "Cos",
    "unary",
    tflite=tflite("unary:function", op="COS"),
    mil=mil("elementwise:unary", op="cos"),
    coreai=coreai("elementwise:unary", op="cos"),
    ncnn=ncnn("elementwise:unary", code=10),
    kernels=(Kernel("COS", ("1.14.0",)),),
    reference={"cos": f"{_EVALUATED}:cos"},
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:cos"),
)
ELU = Operator(
    "Elu",
    "unary",
    tflite=tflite("unary:function", op="ELU"),
    mil=mil("elementwise:elu"),
    coreai=coreai("elementwise:elu"),
    ncnn=ncnn("elementwise:elu"),
    kernels=(Kernel("ELU", ("1.14.0", "2.3.0"), float32=30),),
    reference={"elu": f"{_EVALUATED}:elu"},
    elsewhere=listed("htp", "webgpu", "webnn"),
)
ROUND = Operator(
    "Round",
    "unary",
    jumps=True,
    tflite=tflite("unary:function", op="ROUND"),
    mil=mil("elementwise:unary", op="round"),
    coreai=coreai("elementwise:unary", op="round_"),
    ncnn=ncnn("elementwise:unary", code=18),
    kernels=(Kernel("ROUND", ("1.14.0",)),),
    reference={"round": f"{_EVALUATED}:rounded"},
    elsewhere=listed("htp"),
)
SIGN = Operator(
    "Sign",
    "unary",
    jumps=True,
    tflite=tflite("unary:function", op="SIGN"),
    mil=mil("elementwise:unary", op="sign"),
    coreai=coreai("choices:sign"),
    ncnn=ncnn("choices:sign"),
    kernels=(Kernel("SIGN", ("2.12.0", "2.12.0")),),
    reference={"sign": f"{_EVALUATED}:sign"},
    elsewhere=listed("htp", "webnn"),
)
SIN = Operator(
    "Sin",
    "unary",
    tflite=tflite("unary:function", op="SIN"),
    mil=mil("elementwise:unary", op="sin"),
    coreai=coreai("elementwise:unary", op="sin"),
    ncnn=ncnn("elementwise:unary", code=9),
    kernels=(Kernel("SIN", ("1.9.0",), float32=29),),
    reference={"sin": f"{_EVALUATED}:sin"},
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:sin"),
)

OPERATORS = (COS, ELU, ROUND, SIGN, SIN)
