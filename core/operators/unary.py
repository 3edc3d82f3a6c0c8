"""Elementwise functions without int8 forms."""

from __future__ import annotations

from clearport.operators.case import after_conv, number, one, wrote
from clearport.operators.record import Kernel, Operator, coreai, in_torch, listed, mil, ncnn, tflite

ABS = Operator(
    "Abs",
    "unary",
    tflite=tflite("unary:function", op="ABS"),
    mil=mil("elementwise:unary", op="abs"),
    coreai=coreai("elementwise:unary", op="abs_"),
    ncnn=ncnn("elementwise:unary", code=0),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:abs"),
    cases=(after_conv("absolute", one("Abs"), tflite=wrote("CONV_2D ABS", float_only=True)),),
)
CEIL = Operator(
    "Ceil",
    "unary",
    jumps=True,
    tflite=tflite("unary:function", op="CEIL"),
    mil=mil("elementwise:unary", op="ceil"),
    coreai=coreai("elementwise:ceil"),
    ncnn=ncnn("elementwise:unary", code=3),
    kernels=(Kernel("CEIL", ("1.14.0",)),),
    reference={"ceil": "clearport.runtime.coreml_reference.choices:ceil"},
    elsewhere=listed("htp", "webgpu", "webnn"),
    cases=(after_conv("rounded up", one("Ceil")),),
)
ERF = Operator(
    "Erf",
    "unary",
    mil=mil("elementwise:unary", op="erf"),
    coreai=coreai("elementwise:unary", op="erf"),
    ncnn=ncnn("elementwise:plain_layer", kind="Erf"),
    elsewhere=listed("webgpu", "webnn"),
    torch=in_torch("plain", of="torch:erf"),
    cases=(after_conv("error function", one("Erf")),),
)
EXP = Operator(
    "Exp",
    "unary",
    tflite=tflite("unary:function", op="EXP"),
    mil=mil("elementwise:unary", op="exp"),
    coreai=coreai("elementwise:unary", op="exp"),
    ncnn=ncnn("elementwise:unary", code=7),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:exp"),
    cases=(
        after_conv(
            "exp", ("Sigmoid", "x", "p", {}), one("Exp", "p"), tflite=wrote("CONV_2D LOGISTIC EXP", float_only=True)
        ),
    ),
)
FLOOR = Operator(
    "Floor",
    "unary",
    jumps=True,
    tflite=tflite("unary:function", op="FLOOR"),
    mil=mil("elementwise:unary", op="floor"),
    coreai=coreai("elementwise:floor"),
    ncnn=ncnn("elementwise:unary", code=2),
    kernels=(Kernel("FLOOR", ("1.9.0",), float32=27),),
    reference={"floor": "clearport.runtime.coreml_reference.choices:floor"},
    elsewhere=listed("htp", "webgpu", "webnn"),
    cases=(
        after_conv(
            "rounded down and up",
            ("Floor", "x", "f", {}),
            ("Ceil", "x", "c", {}),
            one("Add", "f c"),
        ),
    ),
)
GELU = Operator(
    "Gelu",
    "unary",
    tflite=tflite("unary:gelu"),
    mil=mil("elementwise:gelu"),
    coreai=coreai("elementwise:gelu"),
    ncnn=ncnn("elementwise:gelu"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("gelu"),
    cases=(
        after_conv(
            "gelu",
            ("Sigmoid", "x", "p", {}),
            one("Gelu", "p"),
            tflite=wrote("CONV_2D LOGISTIC GELU", nnapi=None, float_only=True),
        ),
        after_conv(
            "gelu by tanh",
            ("Sigmoid", "x", "p", {}),
            one("Gelu", "p", approximate="tanh"),
            tflite=wrote("CONV_2D LOGISTIC GELU", nnapi=None, float_only=True),
        ),
        after_conv("gelu, none", one("Gelu", approximate="none"), sides=(12, 16)),
        after_conv("gelu, tanh", one("Gelu", approximate="tanh"), sides=(12, 16)),
    ),
)
HARD_SWISH = Operator(
    "HardSwish",
    "unary",
    tflite=tflite("unary:function", op="HARD_SWISH"),
    mil=mil("elementwise:hard_swish"),
    coreai=coreai("elementwise:hard_swish"),
    ncnn=ncnn("elementwise:hard_swish"),
    elsewhere=listed("htp", "webnn"),
    torch=in_torch("plain", of="torch.nn.functional:hardswish"),
    cases=(
        after_conv(
            "hard swish",
            ("Sigmoid", "x", "p", {}),
            one("HardSwish", "p"),
            tflite=wrote("CONV_2D LOGISTIC HARD_SWISH", float_only=True),
        ),
    ),
)
LOG = Operator(
    "Log",
    "unary",
    tflite=tflite("unary:function", op="LOG"),
    mil=mil("elementwise:log"),
    coreai=coreai("elementwise:unary", op="log"),
    ncnn=ncnn("elementwise:logarithm"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:log"),
    cases=(
        after_conv(
            "log", ("Sigmoid", "x", "p", {}), one("Log", "p"), tflite=wrote("CONV_2D LOGISTIC LOG", float_only=True)
        ),
        after_conv(
            "log, of positive values",
            ("Clip", "x least", "bright", {}),
            one("Log", "bright"),
            constants={"least": number(0.1)},
            sides=(12, 16),
        ),
    ),
)
NEG = Operator(
    "Neg",
    "unary",
    tflite=tflite("unary:function", op="NEG"),
    mil=mil("elementwise:neg"),
    coreai=coreai("elementwise:neg"),
    ncnn=ncnn("elementwise:unary", code=1),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:neg"),
    cases=(
        after_conv(
            "negative",
            ("Sigmoid", "x", "p", {}),
            one("Neg", "p"),
            tflite=wrote("CONV_2D LOGISTIC NEG", float_only=True),
        ),
        after_conv("neg", one("Neg"), sides=(12, 16)),
    ),
)
RECIPROCAL = Operator(
    "Reciprocal",
    "unary",
    coreai=coreai("elementwise:reciprocal"),
    ncnn=ncnn("elementwise:unary", code=15),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:reciprocal"),
    cases=(
        after_conv(
            "one over",
            ("Sigmoid", "x", "p", {}),
            one("Reciprocal", "p"),
            refused={"coreml": "no conversion rule", "tflite": "no conversion rule"},
        ),
    ),
)
SQRT = Operator(
    "Sqrt",
    "unary",
    tflite=tflite("unary:function", op="SQRT"),
    mil=mil("elementwise:unary", op="sqrt"),
    coreai=coreai("elementwise:unary", op="sqrt"),
    ncnn=ncnn("elementwise:unary", code=5),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:sqrt"),
    cases=(
        after_conv(
            "square root",
            ("Sigmoid", "x", "p", {}),
            one("Sqrt", "p"),
            tflite=wrote("CONV_2D LOGISTIC SQRT", float_only=True),
        ),
        after_conv(
            "sqrt, of positive values",
            ("Clip", "x least", "bright", {}),
            one("Sqrt", "bright"),
            constants={"least": number(0.1)},
            sides=(12, 16),
        ),
    ),
)

OPERATORS = (ABS, CEIL, ERF, EXP, FLOOR, GELU, HARD_SWISH, LOG, NEG, RECIPROCAL, SQRT)
