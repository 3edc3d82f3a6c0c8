"""Reductions over axes, and what normalizes by them."""

from __future__ import annotations

from clearport.operators.record import Operator, in_torch, mil, ncnn, tflite

LAYER_NORMALIZATION = Operator(
    "LayerNormalization",
    "normalization",
    tflite=tflite("reduce:layer_normalization"),
    mil=mil("matrix:layer_norm"),
    ncnn=ncnn("conv:layer_norm"),
    torch=in_torch("layer_norm"),
)
REDUCE_MAX = Operator(
    "ReduceMax",
    "reduction",
    moves_data=True,
    tflite=tflite("reduce:reduce", op="REDUCE_MAX"),
    mil=mil("matrix:reduction", op="reduce_max"),
    ncnn=ncnn("spatial:reduce", code=4),
)
REDUCE_MEAN = Operator(
    "ReduceMean",
    "reduction",
    tflite=tflite("reduce:reduce", op="MEAN"),
    mil=mil("matrix:reduction", op="reduce_mean"),
    ncnn=ncnn("spatial:reduce", code=3),
    torch=in_torch("reduce", of="torch:mean"),
)
REDUCE_MIN = Operator(
    "ReduceMin",
    "reduction",
    moves_data=True,
    tflite=tflite("reduce:reduce", op="REDUCE_MIN"),
    mil=mil("matrix:reduction", op="reduce_min"),
    ncnn=ncnn("spatial:reduce", code=5),
)
REDUCE_SUM = Operator(
    "ReduceSum",
    "reduction",
    tflite=tflite("reduce:reduce", op="SUM"),
    mil=mil("matrix:reduction", op="reduce_sum"),
    ncnn=ncnn("spatial:reduce", code=0),
    torch=in_torch("reduce", of="torch:sum"),
)
SOFTMAX = Operator(
    "Softmax",
    "normalization",
    tflite=tflite("reduce:softmax"),
    mil=mil("matrix:softmax"),
    ncnn=ncnn("conv:softmax"),
    torch=in_torch("softmax"),
)

OPERATORS = (LAYER_NORMALIZATION, REDUCE_MAX, REDUCE_MEAN, REDUCE_MIN, REDUCE_SUM, SOFTMAX)
