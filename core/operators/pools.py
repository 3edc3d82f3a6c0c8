"""Pools: of windows, and of the whole picture."""

from __future__ import annotations

from clearport.operators.convolution import coarser
from clearport.operators.record import Int8, Operator, always, in_torch, mil, ncnn, tflite

AVERAGE_POOL = Operator(
    "AveragePool",
    "pool",
    Int8("shared"),
    homogeneous=True,
    per_channel=always,
    stride=coarser,
    tflite=tflite("spatial:pool", op="AVERAGE_POOL_2D"),
    mil=mil("spatial:average_pool"),
    ncnn=ncnn("spatial:pool", code=1),
    torch=in_torch("average_pool"),
)
GLOBAL_AVERAGE_POOL = Operator(
    "GlobalAveragePool",
    "pool",
    Int8(),
    per_channel=always,
    tflite=tflite("reduce:pool", op="MEAN"),
    mil=mil("matrix:global_pool", op="reduce_mean"),
    ncnn=ncnn("spatial:global_pool", code=3),
    torch=in_torch("global_average_pool"),
)
GLOBAL_MAX_POOL = Operator(
    "GlobalMaxPool",
    "pool",
    moves_data=True,
    per_channel=always,
    tflite=tflite("reduce:pool", op="REDUCE_MAX"),
    mil=mil("matrix:global_pool", op="reduce_max"),
    ncnn=ncnn("spatial:global_pool", code=4),
)
MAX_POOL = Operator(
    "MaxPool",
    "pool",
    Int8("shared"),
    moves_data=True,
    homogeneous=True,
    per_channel=always,
    stride=coarser,
    tflite=tflite("spatial:pool", op="MAX_POOL_2D"),
    mil=mil("spatial:max_pool"),
    ncnn=ncnn("spatial:pool", code=0),
    openvino=("MaxPool",),
    torch=in_torch("max_pool"),
)

OPERATORS = (AVERAGE_POOL, GLOBAL_AVERAGE_POOL, GLOBAL_MAX_POOL, MAX_POOL)
