"""Operators on signals, films and tensors of five and more axes that passes write by others, behind a convolution."""

from __future__ import annotations

import numpy as np

from ..tflite.harness import Case, after_conv, f32, i64, one, weight


def _line(*nodes: tuple[str, str, str, dict[str, object]], **constants: object) -> Case:
    """Behind a Reshape to (1, 8, 120)."""
    return after_conv(("Reshape", "x r", "l", {}), *nodes, constants={"r": i64(1, 8, 120), **constants})


def _film(*nodes: tuple[str, str, str, dict[str, object]], **constants: object) -> Case:
    """Behind a Reshape to (1, 2, 4, 10, 12): two channels, four frames."""
    return after_conv(("Reshape", "x r", "f", {}), *nodes, constants={"r": i64(1, 2, 4, 10, 12), **constants})


def _deep(*nodes: tuple[str, str, str, dict[str, object]], shape: tuple[int, ...], **constants: object) -> Case:
    return after_conv(("Reshape", "x r", "d", {}), *nodes, constants={"r": i64(*shape), **constants})


FRAMES: dict[str, Case] = {
    "Resize of a clip": _film(
        one("Resize", "f  s", mode="linear", coordinate_transformation_mode="half_pixel"), s=f32(1, 1, 1.5, 2, 2)
    ),
    "Conv1d": _line(one("Conv", "l w b", pads=[2, 2], dilations=[2]), w=weight(4, 8, 3), b=weight(4)),
    "Conv1d grouped": _line(one("Conv", "l w", strides=[2], group=4), w=weight(4, 2, 3)),
    "ConvTranspose1d": _line(one("ConvTranspose", "l w b", strides=[2], pads=[1, 1]), w=weight(8, 4, 4), b=weight(4)),
    "MaxPool1d": _line(one("MaxPool", "l", kernel_shape=[3], strides=[2], pads=[1, 1])),
    "AveragePool1d": _line(one("AveragePool", "l", kernel_shape=[2], strides=[2])),
    "Resize1d": _line(one("Resize", "l  s", mode="linear"), s=f32(1, 1, 2)),
    "GlobalAveragePool1d": _line(one("GlobalAveragePool", "l")),
    "BatchNormalization1d": _line(
        one("BatchNormalization", "l g o m v"), g=weight(8), o=weight(8), m=weight(8), v=np.abs(weight(8)) + 0.5
    ),
    "Conv3d": _film(one("Conv", "f w b", pads=[1, 1, 1] * 2, strides=[1, 2, 2]), w=weight(6, 2, 3, 3, 3), b=weight(6)),
    "Conv3d in time": _film(one("Conv", "f w", strides=[2, 1, 1], pads=[1, 0, 0] * 2), w=weight(6, 2, 3, 1, 1)),
    "Conv3d grouped": _film(one("Conv", "f w", group=2, pads=[0, 1, 1] * 2), w=weight(6, 1, 2, 3, 3)),
    "ConvTranspose3d": _film(
        one("ConvTranspose", "f w b", strides=[2, 2, 2], pads=[1, 1, 1] * 2, output_padding=[1, 1, 1]),
        w=weight(2, 6, 3, 3, 3),
        b=weight(6),
    ),
    "ConvTranspose3d grouped": _film(one("ConvTranspose", "f w", strides=[1, 2, 2], group=2), w=weight(2, 3, 2, 2, 2)),
    "MaxPool3d": _film(one("MaxPool", "f", kernel_shape=[3, 2, 2], strides=[2, 2, 2], pads=[1, 0, 0] * 2)),
    "AveragePool3d": _film(one("AveragePool", "f", kernel_shape=[2, 2, 2], strides=[2, 2, 2])),
    "AveragePool3d, pads left out": _film(
        one("AveragePool", "f", kernel_shape=[3, 3, 3], strides=[2, 2, 2], pads=[1, 1, 0, 1, 0, 1])
    ),
    "AveragePool3d, pads counted": _film(
        one("AveragePool", "f", kernel_shape=[3, 3, 3], strides=[1, 2, 2], pads=[1] * 6, count_include_pad=1)
    ),
    "AveragePool3d, rounded up": _film(
        one(
            "AveragePool",
            "f",
            kernel_shape=[3, 2, 3],
            strides=[2, 2, 2],
            pads=[1, 0, 1] * 2,
            ceil_mode=1,
            count_include_pad=1,
        )
    ),
    "MaxPool3d, rounded up": _film(one("MaxPool", "f", kernel_shape=[3, 3, 3], strides=[2, 2, 2], ceil_mode=1)),
    "GlobalAveragePool3d": _film(one("GlobalAveragePool", "f")),
}
DEEP: dict[str, Case] = {
    "windows": _deep(
        ("Transpose", "d", "t", {"perm": [0, 2, 4, 3, 5, 1]}), one("Reshape", "t o"),
        shape=(1, 8, 5, 2, 6, 2), o=i64(30, 4, 8),
    ),
    "a mask for each window": _deep(
        ("Add", "d m", "a", {}), ("Softmax", "a", "s", {"axis": -1}), one("Reshape", "s o"),
        shape=(1, 5, 2, 4, 24), m=weight(1, 5, 1, 4, 24), o=i64(10, 4, 24),
    ),
    "products of both sides": _deep(
        ("Reshape", "x q", "e", {}), ("Mul", "d e", "m", {}), ("ReduceSum", "m a", "t", {}), one("Reshape", "t o"),
        shape=(1, 1, 8, 2, 5, 12), q=i64(1, 1, 8, 2, 5, 12), a=i64(2), o=i64(1, 2, 5, 12),
    ),
    "a product of seven axes": _deep(
        ("Softmax", "d", "s", {"axis": 2}), ("Mul", "s v", "m", {}), ("ReduceSum", "m a", "t", {"keepdims": 0}),
        ("Transpose", "t", "u", {"perm": [0, 1, 4, 2, 5, 3]}), one("Reshape", "u o"),
        shape=(1, 1, 8, 2, 2, 5, 6), v=weight(1, 3, 8, 1, 1, 5, 6), a=i64(2), o=i64(1, 3, 10, 12),
    ),
    "heads of two": _deep(
        ("Slice", "d s0 e0 x0", "q", {}), ("Slice", "d s1 e1 x0", "k", {}),
        ("Transpose", "k", "kt", {"perm": [0, 1, 2, 4, 3]}),
        ("MatMul", "q kt", "s", {}), one("Reshape", "s o"), shape=(1, 2, 4, 10, 12), o=i64(4, 10, 10),
        s0=i64(0), e0=i64(1), s1=i64(1), e1=i64(2), x0=i64(1),
    ),
    "pads and slices": _deep(
        ("Pad", "d p", "a", {}), ("Slice", "a s e x1", "c", {}), one("Reshape", "c o"),
        shape=(1, 2, 4, 10, 12), p=i64(0, 0, 1, 0, 0, 0, 0, 1, 0, 0), s=i64(1), e=i64(9), x1=i64(3),
        o=i64(1, 12, 8, 12),
    ),
}  # fmt: skip
