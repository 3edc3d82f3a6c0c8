"""Cases of TFLite's rules: what computes in float in every file, and values of other ranks and orders of axes."""

from __future__ import annotations

from .harness import Case, after_conv, f32, i64, one, weight

POSITIVE = ("Sigmoid", "x", "p", {})
"""Behind it values are over 0, so that roots and logarithms are defined."""

UNARY = {
    name: after_conv(POSITIVE, one(op, "p", **attributes), ops=("CONV_2D", "LOGISTIC", kind), nnapi=nnapi)
    for name, op, attributes, kind, nnapi in (
        ("exp", "Exp", {}, "EXP", 29),
        ("log", "Log", {}, "LOG", 29),
        ("square root", "Sqrt", {}, "SQRT", 29),
        ("negative", "Neg", {}, "NEG", 29),
        ("hard swish", "HardSwish", {}, "HARD_SWISH", 29),
        ("gelu", "Gelu", {}, "GELU", None),
        ("gelu by tanh", "Gelu", {"approximate": "tanh"}, "GELU", None),
    )
}

MATH = {
    "absolute": after_conv(one("Abs"), ops=("CONV_2D", "ABS")),
    "quotient": after_conv(POSITIVE, one("Div", "x p"), ops=("CONV_2D", "LOGISTIC", "DIV")),
    "one over x": after_conv(POSITIVE, one("Div", "k p"), constants={"k": f32(1)}, ops=("CONV_2D", "LOGISTIC", "DIV")),
    "power": after_conv(POSITIVE, one("Pow", "p x"), ops=("CONV_2D", "LOGISTIC", "POW"), outside=("POW",)),
    "power of a number": after_conv(
        POSITIVE, one("Pow", "p k"), constants={"k": f32(1.7)}, ops=("CONV_2D", "LOGISTIC", "POW"), outside=("POW",)
    ),
    "larger": after_conv(one("Max", "x y"), ops=("CONV_2D", "CONV_2D", "MAXIMUM")),
    "smaller, per channel": after_conv(one("Min", "x k"), constants={"k": weight(8, 1, 1)}, ops=("CONV_2D", "MINIMUM")),
    "grouped convolution": after_conv(
        one("Conv", "x w b", group=2, pads=[1, 1, 1, 1]),
        constants={"w": weight(6, 4, 3, 3), "b": weight(6)},
        ops=("CONV_2D", "CONV_2D"),
        nnapi=None,  # version 6
    ),
    "edges, one pixel": after_conv(
        one("Pad", "x p", mode="edge"),
        constants={"p": i64(0, 0, 1, 1, 0, 0, 1, 1)},
        ops=("CONV_2D", "MIRROR_PAD"),
        outside=("MIRROR_PAD",),
        nnapi=None,
    ),
    "edges, unevenly": after_conv(
        one("Pad", "x p", mode="edge"),
        constants={"p": i64(0, 0, 2, 0, 0, 0, 1, 3)},
        ops=("CONV_2D", "MIRROR_PAD", "MIRROR_PAD", "MIRROR_PAD"),
        outside=("MIRROR_PAD",),
        nnapi=None,
    ),
    "reflection": after_conv(
        one("Pad", "x p", mode="reflect"),
        constants={"p": i64(0, 0, 1, 2, 0, 0, 3, 0)},
        ops=("CONV_2D", "MIRROR_PAD"),
        outside=("MIRROR_PAD",),
        nnapi=None,
    ),
}

REDUCE = {
    "largest of all pixels": after_conv(
        ("GlobalMaxPool", "x", "g", {}), one("Mul", "x g"), ops=("CONV_2D", "REDUCE_MAX", "MUL")
    ),
    "mean of channels": after_conv(
        ("ReduceMean", "x a", "m", {}), one("Sub", "x m"), constants={"a": i64(1)}, ops=("CONV_2D", "MEAN", "SUB")
    ),
    "largest and smallest of channels": after_conv(
        ("ReduceMax", "x a", "m", {}),
        ("ReduceMin", "x b", "n", {}),
        one("Concat", "m n", axis=1),
        constants={"a": i64(1), "b": i64(1)},
        ops=("CONV_2D", "REDUCE_MAX", "REDUCE_MIN", "CONCATENATION"),
    ),
    "sum of rows": after_conv(
        ("ReduceSum", "x a", "m", {}),
        one("Mul", "x m"),
        constants={"a": i64(2)},
        ops=("CONV_2D", "SUM", "MUL"),
    ),
    "softmax of channels": after_conv(one("Softmax", axis=1), ops=("CONV_2D", "SOFTMAX")),
    "softmax of columns": after_conv(
        one("Softmax", axis=3),
        ops=("CONV_2D", "TRANSPOSE", "SOFTMAX", "TRANSPOSE"),
    ),
    "layer normalisation of channels": after_conv(
        ("Transpose", "x", "t", {"perm": [0, 2, 3, 1]}),
        ("LayerNormalization", "t k b", "n", {"axis": 3}),
        one("Transpose", "n", perm=[0, 3, 1, 2]),
        constants={"k": weight(8), "b": weight(8, seed=3)},
        ops=("CONV_2D", "MEAN", "SUB", "MUL", "MEAN", "ADD", "RSQRT", "MUL", "MUL", "ADD"),
    ),
}

TOKENS = (("Reshape", "x n", "f", {}), ("Transpose", "f", "t", {"perm": [0, 2, 1]}))
"""(1, 8, 10, 12) as 120 tokens of 8: no pixel moves, since that is how TFLite has it."""
PIXELS = (("Transpose", "u", "v", {"perm": [0, 2, 1]}), one("Reshape", "v m"))
SHAPES = {"n": i64(1, 8, 120), "m": i64(1, 8, 10, 12)}

MATRIX = {
    "linear layer of tokens": after_conv(
        *TOKENS,
        ("MatMul", "t w", "u", {}),
        *PIXELS,
        constants=SHAPES | {"w": weight(8, 8)},
        ops=("CONV_2D", "RESHAPE", "FULLY_CONNECTED", "RESHAPE"),
    ),
    "layer normalisation of tokens": after_conv(
        *TOKENS,
        ("LayerNormalization", "t k", "u", {"axis": 2}),
        *PIXELS,
        constants=SHAPES | {"k": weight(8)},
        ops=("CONV_2D", "RESHAPE", "MEAN", "SUB", "MUL", "MEAN", "ADD", "RSQRT", "MUL", "MUL", "RESHAPE"),
    ),
    "attention of two heads": after_conv(
        *TOKENS,
        ("Reshape", "t h", "s", {}),
        ("Transpose", "s", "q", {"perm": [0, 2, 1, 3]}),
        ("Transpose", "s", "k", {"perm": [0, 2, 3, 1]}),
        ("MatMul", "q k", "z", {}),
        ("Softmax", "z", "a", {"axis": 3}),
        ("MatMul", "a q", "o", {}),
        ("Transpose", "o", "r", {"perm": [0, 2, 1, 3]}),
        ("Reshape", "r l", "u", {}),
        *PIXELS,
        constants=SHAPES | {"h": i64(1, 120, 2, 4), "l": i64(1, 120, 8)},
        ops=(
            *("CONV_2D", "RESHAPE", "RESHAPE", "TRANSPOSE", "TRANSPOSE", "BATCH_MATMUL", "SOFTMAX", "BATCH_MATMUL"),
            *("TRANSPOSE", "RESHAPE", "RESHAPE"),
        ),
        nnapi=None,
    ),
    "attention between channels": after_conv(
        ("Reshape", "x n", "f", {}),
        ("Transpose", "f", "t", {"perm": [0, 2, 1]}),
        ("MatMul", "f t", "z", {}),
        ("Softmax", "z", "a", {"axis": 2}),
        ("MatMul", "a f", "o", {}),
        one("Reshape", "o m"),
        constants=SHAPES,
        ops=("CONV_2D", "RESHAPE", "TRANSPOSE", "BATCH_MATMUL", "SOFTMAX", "BATCH_MATMUL", "RESHAPE", "TRANSPOSE"),
        nnapi=None,
    ),
    "a picture times matrices of fewer axes": after_conv(
        ("MatMul", "y w", "q", {}),
        ("Reshape", "q h", "k", {}),
        one("MatMul", "x k"),
        constants={"w": weight(12, 12), "h": i64(8, 12, 10)},
        ops=(
            *("CONV_2D", "CONV_2D", "TRANSPOSE", "FULLY_CONNECTED", "RESHAPE", "TRANSPOSE", "RESHAPE"),
            *("BATCH_MATMUL", "TRANSPOSE"),
        ),
        nnapi=None,
    ),
    "a channel over all": after_conv(
        ("ReduceMean", "x a", "p", {}),
        ("Expand", "p n", "q", {}),
        one("Concat", "x q", axis=1),
        constants={"a": i64(1), "n": i64(1, 2, 10, 12)},
        ops=("CONV_2D", "MEAN", "BROADCAST_TO", "CONCATENATION"),
        outside=("BROADCAST_TO",),
        nnapi=None,
    ),
    "transposed picture": after_conv(one("Transpose", perm=[0, 1, 3, 2]), ops=("CONV_2D", "TRANSPOSE")),
    "rows in groups of two": after_conv(
        one("Reshape", "x n"), constants={"n": i64(1, 8, 5, 24)}, ops=("CONV_2D", "RESHAPE")
    ),
    "channels among the rows": after_conv(
        one("Reshape", "x n"),
        constants={"n": i64(1, 4, 20, 12)},
        ops=("CONV_2D", "TRANSPOSE", "RESHAPE", "TRANSPOSE"),
    ),
    "a value of fewer axes": after_conv(
        ("GlobalAveragePool", "x", "g", {}),
        ("Reshape", "g n", "v", {}),
        one("Add", "x v"),
        constants={"n": i64(8, 1, 1)},
        ops=("CONV_2D", "MEAN", "RESHAPE", "RESHAPE", "ADD"),
    ),
}

FLOAT: dict[str, Case] = UNARY | MATH | REDUCE | MATRIX
