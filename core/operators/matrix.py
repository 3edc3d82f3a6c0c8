"""Matrix products."""

from __future__ import annotations

from clearport.operators.case import after_conv, i64, one, weight, wrote
from clearport.operators.record import Operator, coreai, in_torch, listed, mil, ncnn, tflite

GEMM = Operator("Gemm", "matrix", elsewhere=listed("htp", "webgpu", "webnn"), torch=in_torch("gemm"))
MATMUL = Operator(
    "MatMul",
    "matrix",
    tflite=tflite("matrix:matmul"),
    mil=mil("matrix:matmul"),
    coreai=coreai("matrix:matmul"),
    ncnn=ncnn("conv:matmul"),
    openvino=("MatMul",),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:matmul"),
    cases=(
        after_conv(
            "linear layer of tokens",
            ("Reshape", "x n", "f", {}),
            ("Transpose", "f", "t", {"perm": [0, 2, 1]}),
            ("MatMul", "t w", "u", {}),
            ("Transpose", "u", "v", {"perm": [0, 2, 1]}),
            one("Reshape", "v m"),
            constants={"n": i64(1, 8, 120), "m": i64(1, 8, 10, 12), "w": weight(8, 8)},
            tflite=wrote("CONV_2D RESHAPE FULLY_CONNECTED RESHAPE", float_only=True),
            one_size=("coreml", "ncnn", "tflite"),
        ),
        after_conv(
            "attention of two heads",
            ("Reshape", "x n", "f", {}),
            ("Transpose", "f", "t", {"perm": [0, 2, 1]}),
            ("Reshape", "t h", "s", {}),
            ("Transpose", "s", "q", {"perm": [0, 2, 1, 3]}),
            ("Transpose", "s", "k", {"perm": [0, 2, 3, 1]}),
            ("MatMul", "q k", "z", {}),
            ("Softmax", "z", "a", {"axis": 3}),
            ("MatMul", "a q", "o", {}),
            ("Transpose", "o", "r", {"perm": [0, 2, 1, 3]}),
            ("Reshape", "r l", "u", {}),
            ("Transpose", "u", "v", {"perm": [0, 2, 1]}),
            one("Reshape", "v m"),
            constants={"n": i64(1, 8, 120), "m": i64(1, 8, 10, 12), "h": i64(1, 120, 2, 4), "l": i64(1, 120, 8)},
            tflite=wrote(
                "CONV_2D RESHAPE RESHAPE TRANSPOSE TRANSPOSE BATCH_MATMUL SOFTMAX BATCH_MATMUL "
                "TRANSPOSE RESHAPE RESHAPE",
                nnapi=None,
                float_only=True,
            ),
            one_size=("coreml", "ncnn", "tflite"),
        ),
        after_conv(
            "attention between channels",
            ("Reshape", "x n", "f", {}),
            ("Transpose", "f", "t", {"perm": [0, 2, 1]}),
            ("MatMul", "f t", "z", {}),
            ("Softmax", "z", "a", {"axis": 2}),
            ("MatMul", "a f", "o", {}),
            one("Reshape", "o m"),
            constants={"n": i64(1, 8, 120), "m": i64(1, 8, 10, 12)},
            tflite=wrote(
                "CONV_2D RESHAPE TRANSPOSE BATCH_MATMUL SOFTMAX BATCH_MATMUL RESHAPE TRANSPOSE",
                nnapi=None,
                float_only=True,
            ),
            one_size=("coreml", "ncnn", "tflite"),
        ),
        after_conv(
            "a picture times matrices of fewer axes",
            ("MatMul", "y w", "q", {}),
            ("Reshape", "q h", "k", {}),
            one("MatMul", "x k"),
            constants={"w": weight(12, 12), "h": i64(8, 12, 10)},
            tflite=wrote(
                "CONV_2D CONV_2D TRANSPOSE FULLY_CONNECTED RESHAPE TRANSPOSE RESHAPE BATCH_MATMUL TRANSPOSE",
                nnapi=None,
                float_only=True,
            ),
            one_size=("coreml", "ncnn", "tflite"),
        ),
        after_conv(
            "mat mul, with its transpose",
            ("Transpose", "x", "turned", {"perm": [0, 1, 3, 2]}),
            one("MatMul", "x turned"),
            sides=(12, 16),
        ),
        after_conv("mat mul", one("MatMul", "x w"), constants={"w": weight(16, 5)}, sides=(12, 16), one_size=("ncnn",)),
    ),
)

OPERATORS = (GEMM, MATMUL)
