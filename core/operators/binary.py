"""Elementwise arithmetic with broadcasting."""

from __future__ import annotations

from clearport.operators.case import after_conv, f32, number, one, weight, wrote
from clearport.operators.record import Int8, Operator, coreai, in_torch, listed, mil, ncnn, tflite

ADD = Operator(
    "Add",
    "binary",
    Int8(rounds_constants=True),
    combines="sum",
    tflite=tflite("elementwise:arithmetic", op="ADD"),
    mil=mil("elementwise:binary", op="add"),
    coreai=coreai("elementwise:binary", op="add"),
    ncnn=ncnn("elementwise:binary", code=0),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:add"),
    cases=(
        after_conv("add", one("Add", "x y"), tflite=wrote("CONV_2D CONV_2D ADD")),
        after_conv("add a value per channel", ("GlobalAveragePool", "x", "g", {}), one("Add", "x g")),
        after_conv("add per channel", one("Add", "x k"), constants={"k": weight(8, 1, 1)}, tflite=wrote("CONV_2D ADD")),
    ),
)
DIV = Operator(
    "Div",
    "binary",
    tflite=tflite("elementwise:arithmetic", op="DIV"),
    mil=mil("elementwise:binary", op="real_div"),
    coreai=coreai("elementwise:binary", op="divide"),
    ncnn=ncnn("elementwise:binary", code=3, turned=8),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:div"),
    cases=(
        after_conv(
            "quotient",
            ("Sigmoid", "x", "p", {}),
            one("Div", "x p"),
            tflite=wrote("CONV_2D LOGISTIC DIV", float_only=True),
        ),
        after_conv(
            "one over x",
            ("Sigmoid", "x", "p", {}),
            one("Div", "k p"),
            constants={"k": f32(1)},
            tflite=wrote("CONV_2D LOGISTIC DIV", float_only=True),
        ),
        after_conv(
            "div, of positive values",
            ("Clip", "x least", "bright", {}),
            one("Div", "x bright"),
            constants={"least": number(0.1)},
            sides=(12, 16),
        ),
        after_conv("div, by 7", one("Div", "x by"), constants={"by": number(7)}, sides=(12, 16)),
    ),
)
MAX = Operator(
    "Max",
    "binary",
    tflite=tflite("elementwise:binary", op="MAXIMUM"),
    mil=mil("elementwise:binary", op="maximum"),
    coreai=coreai("elementwise:binary", op="maximum"),
    ncnn=ncnn("elementwise:binary", code=4),
    elsewhere=listed("htp", "webnn"),
    torch=in_torch("plain", of="torch:maximum"),
    cases=(after_conv("larger", one("Max", "x y"), tflite=wrote("CONV_2D CONV_2D MAXIMUM", float_only=True)),),
)
MIN = Operator(
    "Min",
    "binary",
    tflite=tflite("elementwise:binary", op="MINIMUM"),
    mil=mil("elementwise:binary", op="minimum"),
    coreai=coreai("elementwise:binary", op="minimum"),
    ncnn=ncnn("elementwise:binary", code=5),
    elsewhere=listed("htp", "webnn"),
    torch=in_torch("plain", of="torch:minimum"),
    cases=(
        after_conv(
            "smaller, per channel",
            one("Min", "x k"),
            constants={"k": weight(8, 1, 1)},
            tflite=wrote("CONV_2D MINIMUM", float_only=True),
        ),
        after_conv("min, of two", one("Min", "x y"), sides=(12, 16)),
    ),
)
MUL = Operator(
    "Mul",
    "binary",
    Int8(rounds_constants=True),
    combines="product",
    tflite=tflite("elementwise:arithmetic", op="MUL"),
    mil=mil("elementwise:binary", op="mul"),
    coreai=coreai("elementwise:binary", op="mul"),
    ncnn=ncnn("elementwise:binary", code=2),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:mul"),
    cases=(
        after_conv("mul", one("Mul", "x y"), tflite=wrote("CONV_2D CONV_2D MUL")),
        after_conv("mul by a value per channel", ("GlobalAveragePool", "x", "g", {}), one("Mul", "x g")),
        after_conv("mul by a number", one("Mul", "x k"), constants={"k": f32(0.2)}, tflite=wrote("CONV_2D MUL")),
    ),
)
POW = Operator(
    "Pow",
    "binary",
    tflite=tflite("elementwise:power"),
    mil=mil("elementwise:binary", op="pow"),
    coreai=coreai("elementwise:binary", op="pow"),
    ncnn=ncnn("elementwise:power"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:pow"),
    cases=(
        after_conv("power of what may be zero", ("Relu", "x", "p", {}), one("Pow", "p k"), constants={"k": f32(2.2)}),
        after_conv(
            "power",
            ("Sigmoid", "x", "p", {}),
            one("Pow", "p x"),
            tflite=wrote("CONV_2D LOGISTIC POW", outside="POW", float_only=True),
        ),
        after_conv(
            "power of a number",
            ("Sigmoid", "x", "p", {}),
            one("Pow", "p k"),
            constants={"k": f32(1.7)},
            tflite=wrote("CONV_2D LOGISTIC LOG MUL EXP", float_only=True),
        ),
        after_conv(
            "small power of what may be zero",
            ("Relu", "x", "p", {}),
            one("Pow", "p k"),
            constants={"k": f32(0.1)},
            tflite=wrote("CONV_2D POW", outside="POW", float_only=True),
        ),
        after_conv("power of a number before", one("Pow", "k x"), constants={"k": f32(1.3)}),
        after_conv(
            "pow, of positive values, power 0.45",
            ("Clip", "x least", "bright", {}),
            one("Pow", "bright power"),
            constants={"power": number(0.45), "least": number(0.1)},
            sides=(12, 16),
        ),
        after_conv(
            "pow, of positive values",
            ("Clip", "x least", "bright", {}),
            one("Pow", "bright x"),
            constants={"least": number(0.1)},
            sides=(12, 16),
        ),
    ),
)
PRELU = Operator(
    "PRelu",
    "binary",
    Int8(constants=(1,), rounds_constants=True),
    homogeneous=True,
    tflite=tflite("elementwise:prelu"),
    mil=mil("elementwise:prelu"),
    coreai=coreai("elementwise:prelu"),
    ncnn=ncnn("elementwise:prelu"),
    elsewhere=listed("htp", "webnn"),
    torch=in_torch("prelu"),
    cases=(
        after_conv(
            "prelu",
            one("PRelu", "x k"),
            constants={"k": weight(8, 1, 1, gain=0.25, positive=True)},
            tflite=wrote("CONV_2D PRELU", outside_int8="PRELU"),
        ),
        after_conv(
            "prelu, one slope",
            one("PRelu", "x k"),
            constants={"k": f32(0.25)},
            tflite=wrote("CONV_2D PRELU", outside_int8="PRELU"),
        ),
    ),
)
SUB = Operator(
    "Sub",
    "binary",
    Int8(rounds_constants=True),
    combines="sum",
    tflite=tflite("elementwise:arithmetic", op="SUB"),
    mil=mil("elementwise:binary", op="sub"),
    coreai=coreai("elementwise:binary", op="sub"),
    ncnn=ncnn("elementwise:binary", code=1, turned=7),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:sub"),
    cases=(
        after_conv("sub", one("Sub", "x y"), tflite=wrote("CONV_2D CONV_2D SUB")),
        after_conv("sub a value per channel", ("GlobalAveragePool", "x", "g", {}), one("Sub", "y g")),
        after_conv("number before", one("Sub", "k x"), constants={"k": f32(0.3)}),
    ),
)

OPERATORS = (ADD, DIV, MAX, MIN, MUL, POW, PRELU, SUB)
