"""Pooling, over windows and global."""

from __future__ import annotations

from clearport.operators.case import after_conv, one, weight, wrote
from clearport.operators.convolution import coarser
from clearport.operators.record import Int8, Operator, always, coreai, in_torch, listed, mil, ncnn, reaching, tflite

AVERAGE_POOL = Operator(
    "AveragePool",
    "pool",
    Int8("shared"),
    homogeneous=True,
    per_channel=always,
    stride=coarser,
    reach=reaching("windows"),
    tflite=tflite("spatial:pool", op="AVERAGE_POOL_2D"),
    mil=mil("spatial:average_pool"),
    coreai=coreai("spatial:average_pool"),
    ncnn=ncnn("spatial:pool", code=1),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("average_pool"),
    cases=(
        after_conv(
            "average pool",
            one("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
            tflite=wrote("CONV_2D AVERAGE_POOL_2D", "CONV_2D DEPTHWISE_CONV_2D"),  # quantize/ranges/averages.py
        ),
        after_conv(
            "average pool, pads counted",
            one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
            tflite=wrote("CONV_2D PAD AVERAGE_POOL_2D", outside_int8="AVERAGE_POOL_2D"),
        ),
        after_conv(
            "average pool, pads left out",
            one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            tflite=wrote("CONV_2D AVERAGE_POOL_2D", outside_int8="AVERAGE_POOL_2D", min_exact=0.95),
            one_size=("coreai",),
        ),
        after_conv(
            "average pool, of 3 3, pads 1 1 1 1, counted 0",
            one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=0),
            sides=(12, 16),
            one_size=("coreai",),
        ),
        after_conv(
            "average pool, of 3 3, pads 1 0 1 2, counted 1",
            one("AveragePool", kernel_shape=[3, 3], pads=[1, 0, 1, 2], count_include_pad=1),
            sides=(12, 16),
        ),
        after_conv(
            "average pool, of 3 3, by 2 2, ceil 1",
            one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
            sides=(12, 16),
            refused={"coreai": "ceil_mode", "ncnn": "ceil_mode", "tflite": "ceil_mode"},
        ),
    ),
)
GLOBAL_AVERAGE_POOL = Operator(
    "GlobalAveragePool",
    "pool",
    Int8(),
    per_channel=always,
    tflite=tflite("reduce:pool", op="MEAN"),
    mil=mil("matrix:global_pool", op="reduce_mean"),
    coreai=coreai("matrix:global_pool", op="reduce_mean"),
    ncnn=ncnn("spatial:global_pool", code=3),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("global_average_pool"),
    cases=(
        after_conv(
            "channel attention",
            ("GlobalAveragePool", "x", "g", {}),
            ("Conv", "g wg bg", "h", {}),
            ("Sigmoid", "h", "s", {}),
            one("Mul", "x s"),
            constants={"wg": weight(8, 8, 1, 1), "bg": weight(8)},
            tflite=wrote("CONV_2D MEAN CONV_2D LOGISTIC MUL", nnapi=None),
        ),
        after_conv("global average pool", one("GlobalAveragePool"), sides=(12, 16)),
    ),
)
GLOBAL_MAX_POOL = Operator(
    "GlobalMaxPool",
    "pool",
    moves_data=True,
    per_channel=always,
    tflite=tflite("reduce:pool", op="REDUCE_MAX"),
    mil=mil("matrix:global_pool", op="reduce_max"),
    coreai=coreai("matrix:global_pool", op="reduce_max"),
    ncnn=ncnn("spatial:global_pool", code=4),
    elsewhere=listed("htp", "webgpu", "webnn"),
    cases=(
        after_conv(
            "largest of all pixels",
            ("GlobalMaxPool", "x", "g", {}),
            one("Mul", "x g"),
            tflite=wrote("CONV_2D REDUCE_MAX MUL", float_only=True),
        ),
        after_conv("global maximum", ("GlobalMaxPool", "x", "g", {}), one("Sub", "x g")),
        after_conv("global max pool", one("GlobalMaxPool"), sides=(12, 16)),
    ),
)
MAX_POOL = Operator(
    "MaxPool",
    "pool",
    Int8("shared"),
    moves_data=True,
    homogeneous=True,
    per_channel=always,
    stride=coarser,
    reach=reaching("windows"),
    tflite=tflite("spatial:pool", op="MAX_POOL_2D"),
    mil=mil("spatial:max_pool"),
    coreai=coreai("spatial:max_pool"),
    ncnn=ncnn("spatial:pool", code=0),
    openvino=("MaxPool",),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("max_pool"),
    cases=(
        after_conv(
            "max pool", one("MaxPool", kernel_shape=[2, 2], strides=[2, 2]), tflite=wrote("CONV_2D MAX_POOL_2D")
        ),
        after_conv(
            "max pool 3 by 1",
            one("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            tflite=wrote("CONV_2D MAX_POOL_2D"),
        ),
        after_conv(
            "max pool, pads of PyTorch",
            one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
            tflite=wrote("CONV_2D PADV2 MAX_POOL_2D", outside="PADV2"),
        ),
        after_conv(
            "max pool, of 3 3, by 2 2, pads 1 1 0 1",
            one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1]),
            sides=(12, 16),
        ),
        after_conv(
            "max pool, of 3 3, by 2 2, ceil 1",
            one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
            sides=(12, 16),
            refused={"coreai": "ceil_mode", "ncnn": "ceil_mode", "tflite": "ceil_mode"},
        ),
        after_conv(
            "max pool, of 2 2, by 3 3, pads 1 1 1 1, ceil 1",
            one("MaxPool", kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1),
            sides=(12, 16),
            inferred=False,
            refused={"coreai": "ceil_mode", "ncnn": "ceil_mode", "tflite": "ceil_mode"},
            one_size=("openvino",),
        ),
    ),
)

OPERATORS = (AVERAGE_POOL, GLOBAL_AVERAGE_POOL, GLOBAL_MAX_POOL, MAX_POOL)
