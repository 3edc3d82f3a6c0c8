"""Products of matrices."""

from __future__ import annotations

from clearport.operators.record import Operator, mil, ncnn, tflite

GEMM = Operator("Gemm", "matrix")
MATMUL = Operator(
    "MatMul",
    "matrix",
    tflite=tflite("matrix:matmul"),
    mil=mil("matrix:matmul"),
    ncnn=ncnn("conv:matmul"),
    openvino=("MatMul",),
)

OPERATORS = (GEMM, MATMUL)
