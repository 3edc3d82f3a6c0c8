"""Products of matrices."""

from __future__ import annotations

from clearport.operators.record import Operator, in_torch, mil, ncnn, tflite

GEMM = Operator("Gemm", "matrix", torch=in_torch("gemm"))
MATMUL = Operator(
    "MatMul",
    "matrix",
    tflite=tflite("matrix:matmul"),
    mil=mil("matrix:matmul"),
    ncnn=ncnn("conv:matmul"),
    openvino=("MatMul",),
    torch=in_torch("plain", of="torch:matmul"),
)

OPERATORS = (GEMM, MATMUL)
