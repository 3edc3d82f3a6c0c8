"""Reductions and normalizations."""

from __future__ import annotations

from clearport.operators.case import after_conv, i64, one, weight, wrote
from clearport.operators.record import Operator, coreai, in_torch, listed, mil, ncnn, reaching, tflite

INSTANCE_NORMALIZATION = Operator(
    "InstanceNormalization",
    "normalization",
    tflite=tflite("reduce:instance_normalization"),
    mil=mil("matrix:instance_norm"),
    coreai=coreai("matrix:instance_norm"),
    ncnn=ncnn("conv:instance_norm"),
    reference={"instance_norm": "clearport.runtime.coreml_reference.choices:instance_norm"},
    elsewhere=listed("htp", "webgpu", "webnn"),
)
LAYER_NORMALIZATION = Operator(
    "LayerNormalization",
    "normalization",
    reach=reaching("normalization"),
    tflite=tflite("reduce:layer_normalization"),
    mil=mil("matrix:layer_norm"),
    coreai=coreai("matrix:layer_norm"),
    ncnn=ncnn("conv:layer_norm"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("layer_norm"),
    cases=(
        after_conv(
            "layer normalization of channels",
            ("Transpose", "x", "t", {"perm": [0, 2, 3, 1]}),
            ("LayerNormalization", "t k b", "n", {"axis": 3}),
            one("Transpose", "n", perm=[0, 3, 1, 2]),
            constants={"k": weight(8), "b": weight(8, seed=3)},
            tflite=wrote("CONV_2D MEAN SUB MUL MEAN ADD RSQRT MUL MUL ADD", float_only=True),
        ),
        after_conv(
            "layer normalization of tokens",
            ("Reshape", "x n", "f", {}),
            ("Transpose", "f", "t", {"perm": [0, 2, 1]}),
            ("LayerNormalization", "t k", "u", {"axis": 2}),
            ("Transpose", "u", "v", {"perm": [0, 2, 1]}),
            one("Reshape", "v m"),
            constants={"n": i64(1, 8, 120), "m": i64(1, 8, 10, 12), "k": weight(8)},
            tflite=wrote("CONV_2D RESHAPE MEAN SUB MUL MEAN ADD RSQRT MUL MUL RESHAPE", float_only=True),
            one_size=("coreml", "ncnn", "tflite"),
        ),
        after_conv(
            "layer normalization, axis 3, epsilon 0.5",
            one("LayerNormalization", "x scale bias", axis=3, epsilon=0.5),
            constants={"scale": weight(16), "bias": weight(16)},
            sides=(12, 16),
            one_size=("coreml", "ncnn"),
        ),
        after_conv(
            "layer normalization, axis 2",
            one("LayerNormalization", "x scale", axis=2),
            constants={"scale": weight(12, 16)},
            sides=(12, 16),
            refused={"ncnn": "normalize the last axis alone", "tflite": "only over the last axis"},
            one_size=("coreml",),
        ),
    ),
)
REDUCE_MAX = Operator(
    "ReduceMax",
    "reduction",
    moves_data=True,
    reach=reaching("reduction"),
    tflite=tflite("reduce:reduce", op="REDUCE_MAX"),
    mil=mil("matrix:reduction", op="reduce_max"),
    coreai=coreai("matrix:reduction", op="reduce_max"),
    ncnn=ncnn("spatial:reduce", code=4),
    elsewhere=listed("htp", "webgpu", "webnn"),
    cases=(
        after_conv(
            "largest and smallest of channels",
            ("ReduceMax", "x a", "m", {}),
            ("ReduceMin", "x b", "n", {}),
            one("Concat", "m n", axis=1),
            constants={"a": i64(1), "b": i64(1)},
            tflite=wrote("CONV_2D REDUCE_MAX REDUCE_MIN CONCATENATION", float_only=True),
        ),
        after_conv("reduce max, axes 1", one("ReduceMax", "x axes"), constants={"axes": i64(1)}, sides=(12, 16)),
    ),
)
REDUCE_MEAN = Operator(
    "ReduceMean",
    "reduction",
    reach=reaching("reduction"),
    tflite=tflite("reduce:reduce", op="MEAN"),
    mil=mil("matrix:reduction", op="reduce_mean"),
    coreai=coreai("matrix:reduction", op="reduce_mean"),
    ncnn=ncnn("spatial:reduce", code=3),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("reduce", of="torch:mean"),
    cases=(
        after_conv(
            "mean of channels",
            ("ReduceMean", "x a", "m", {}),
            one("Sub", "x m"),
            constants={"a": i64(1)},
            tflite=wrote("CONV_2D MEAN SUB", float_only=True),
        ),
        after_conv(
            "axes dropped",
            ("ReduceMean", "x a", "m", {"keepdims": 0}),
            one("Unsqueeze", "m b"),
            constants={"a": i64(1), "b": i64(1)},
            refused={"tflite": "Unsqueeze"},
            one_size=("ncnn",),
        ),
        after_conv("reduce mean, axes 1", one("ReduceMean", "x axes"), constants={"axes": i64(1)}, sides=(12, 16)),
        after_conv("reduce mean, axes 2 3", one("ReduceMean", "x axes"), constants={"axes": i64(2, 3)}, sides=(12, 16)),
    ),
)
REDUCE_MIN = Operator(
    "ReduceMin",
    "reduction",
    moves_data=True,
    reach=reaching("reduction"),
    tflite=tflite("reduce:reduce", op="REDUCE_MIN"),
    mil=mil("matrix:reduction", op="reduce_min"),
    coreai=coreai("matrix:reduction", op="reduce_min"),
    ncnn=ncnn("spatial:reduce", code=5),
    elsewhere=listed("htp", "webgpu", "webnn"),
    cases=(after_conv("reduce min, axes 3", one("ReduceMin", "x axes"), constants={"axes": i64(3)}, sides=(12, 16)),),
)
REDUCE_SUM = Operator(
    "ReduceSum",
    "reduction",
    reach=reaching("reduction"),
    tflite=tflite("reduce:reduce", op="SUM"),
    mil=mil("matrix:reduction", op="reduce_sum"),
    coreai=coreai("matrix:reduction", op="reduce_sum"),
    ncnn=ncnn("spatial:reduce", code=0),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("reduce", of="torch:sum"),
    cases=(
        after_conv(
            "sum of rows",
            ("ReduceSum", "x a", "m", {}),
            one("Mul", "x m"),
            constants={"a": i64(2)},
            tflite=wrote("CONV_2D SUM MUL", float_only=True),
        ),
        after_conv("sums", ("ReduceSum", "x a", "s", {"keepdims": 1}), one("Mul", "x s"), constants={"a": i64(2, 3)}),
        after_conv(
            "reduce sum, keepdims 0, axes 1 2",
            ("ReduceSum", "x axes", "t", {"keepdims": 0}),
            one("Reshape", "t after"),
            constants={"axes": i64(1, 2), "after": i64(1, 1, 1, 16)},
            sides=(12, 16),
            refused={"tflite": "it drops axes"},
            one_size=("coreml", "ncnn"),
        ),
    ),
)
SOFTMAX = Operator(
    "Softmax",
    "normalization",
    reach=reaching("softmax"),
    tflite=tflite("reduce:softmax"),
    mil=mil("matrix:softmax"),
    coreai=coreai("matrix:softmax"),
    ncnn=ncnn("conv:softmax"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("softmax"),
    cases=(
        after_conv("softmax of channels", one("Softmax", axis=1), tflite=wrote("CONV_2D SOFTMAX", float_only=True)),
        after_conv(
            "softmax of columns",
            one("Softmax", axis=3),
            tflite=wrote("CONV_2D TRANSPOSE SOFTMAX TRANSPOSE", float_only=True),
        ),
    ),
)

OPERATORS = (INSTANCE_NORMALIZATION, LAYER_NORMALIZATION, REDUCE_MAX, REDUCE_MEAN, REDUCE_MIN, REDUCE_SUM, SOFTMAX)
