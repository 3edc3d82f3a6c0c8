"""Operators that passes write by others, continued: transposed and computed kernels, places, and scalars."""

from __future__ import annotations

import numpy as np

from ..tflite.harness import Case, after_conv, f32, i64, one, weight


def _transposed(weights: tuple[int, ...], **attributes: object) -> Case:
    outputs = weights[1] * int(attributes.get("group", 1))
    return after_conv(
        one("ConvTranspose", "x w b", **attributes), constants={"w": weight(*weights), "b": weight(outputs)}
    )


TRANSPOSED: dict[str, Case] = {
    "ConvTranspose grouped": _transposed((8, 3, 4, 4), group=4, strides=[2, 2], pads=[1, 1, 1, 1]),
    "ConvTranspose depthwise": _transposed((8, 1, 3, 3), group=8, strides=[2, 2], pads=[1] * 4, output_padding=[1, 1]),
    "ConvTranspose blur": _transposed((8, 1, 4, 4), group=8, strides=[2, 2], pads=[2, 2, 2, 2]),
    "ConvTranspose dilated": _transposed((8, 5, 3, 3), dilations=[2, 2], pads=[2, 1, 2, 1]),
    "ConvTranspose dilated by two": _transposed((8, 5, 3, 2), dilations=[2, 3], strides=[2, 2], pads=[1, 0, 1, 2]),
    "ConvTranspose beyond": _transposed((8, 3, 2, 2), strides=[3, 3], output_padding=[2, 0]),
    "ConvTranspose grouped by three": _transposed((8, 2, 5, 5), group=2, strides=[3, 3], pads=[3, 2, 1, 2]),
    "ConvTranspose grouped in place": _transposed((8, 2, 3, 3), group=2, pads=[1] * 4),
}


def _largest(*nodes: tuple[str, str, str, dict[str, object]], **constants: object) -> Case:
    """Behind the places ``i`` of the three largest of eight channels, and their numbers ``v``."""
    return after_conv(("TopK", "x k", "v i", {"axis": 1}), *nodes, constants={"k": i64(3), **constants})


def _reduced(reduction: str) -> Case:
    """Numbers that meet at places of a row, on what is there."""
    return after_conv(
        ("ArgMax", "x", "i", {"axis": 1, "keepdims": 1}), ("ReduceMin", "x a", "v", {}), ("ReduceMax", "x a", "d", {}),
        one("ScatterElements", "d i v", axis=3, reduction=reduction), constants={"a": i64(1)},
    )  # fmt: skip


PLACES: dict[str, Case] = {
    "sums at places": _reduced("add"),
    "the larger at places": _reduced("max"),
    "the smaller at places": _reduced("min"),
    "a mask of the largest": _largest(
        one("ScatterElements", "zeros i ones", axis=1), zeros=f32(*[0] * 960).reshape(1, 8, 10, 12),
        ones=f32(*[1] * 360).reshape(1, 3, 10, 12),
    ),
    "the largest in place of others": _largest(
        ("Sigmoid", "x", "d", {}), one("ScatterElements", "d i v", axis=1),
    ),
    "one place per row": after_conv(
        ("ArgMax", "x", "i", {"axis": 3, "keepdims": 1}), ("ReduceMin", "x a", "v", {}),
        one("ScatterElements", "x i v", axis=3), constants={"a": i64(3)},
    ),
    "the numbers at places": _largest(("Sigmoid", "x", "d", {}), one("GatherElements", "d i", axis=1)),
    "marks of the largest": after_conv(
        ("ArgMax", "x", "i", {"axis": 1, "keepdims": 0}), one("OneHot", "i depth ends", axis=1),
        constants={"depth": i64(8), "ends": f32(-1, 2)},
    ),
    "marks counted from the end": after_conv(
        ("ArgMax", "x", "i", {"axis": 1, "keepdims": 0}), ("Sub", "i eight", "j", {}), one("OneHot", "j depth ends"),
        constants={"depth": i64(8), "ends": f32(0, 1), "eight": i64(8)},
    ),
}  # fmt: skip
"""What is read, written and marked at places that are computed."""


def _dynamic(kernel: tuple[int, ...], bias: bool = False, of: str = "x", **attributes: object) -> Case:
    """A convolution of features, or of a constant, by a kernel that is computed of the means of the features."""
    count = int(np.prod(kernel))
    nodes = [
        ("GlobalAveragePool", "x", "m", {}), ("Reshape", "m row", "r", {}), ("MatMul", "r w", "k", {}),
        ("Reshape", "k shape", "kernel", {}), one("Conv", f"{of} kernel b" if bias else f"{of} kernel", **attributes),
    ]  # fmt: skip
    held = {"row": i64(1, 8), "w": weight(8, count), "shape": i64(*kernel)} | (
        {} if of == "x" else {of: weight(1, 8, 10, 12)}
    )
    return after_conv(*nodes, constants=held | ({"b": weight(kernel[0])} if bias else {}))


KERNELS: dict[str, Case] = {
    "a kernel that is computed": _dynamic((5, 8, 3, 3), bias=True, pads=[1, 1, 1, 1]),
    "one of steps": _dynamic((5, 8, 3, 2), strides=[2, 2], dilations=[1, 2], pads=[1, 0, 1, 1]),
    "one for each channel": _dynamic((8, 1, 3, 3), group=8, pads=[1, 1, 1, 1]),
    "one of a pixel": _dynamic((6, 8, 1, 1)),
    "one of two groups": _dynamic((6, 4, 3, 3), bias=True, group=2, pads=[1, 1, 1, 1]),
    "two for each channel": _dynamic((16, 1, 3, 3), group=8, strides=[2, 2]),
    "one for a learned picture": _dynamic((5, 8, 3, 3), of="learned", pads=[1, 1, 1, 1]),
}


def _weighted(*nodes: tuple[str, str, str, dict[str, object]], **constants: object) -> Case:
    """Features times numbers without axes, taken of their means."""
    means = [("ReduceMean", "x xy", "m", {"keepdims": 0}), ("Reshape", "m flat", "w", {})]
    return after_conv(*means, *nodes, constants={"xy": i64(2, 3), "flat": i64(8), **constants})


SCALARS: dict[str, Case] = {
    "numbers of a vector": _weighted(
        ("Gather", "w first", "one", {"axis": 0}), ("Gather", "w third", "other", {"axis": 0}),
        ("Exp", "one", "power", {}), ("Mul", "power other", "both", {}), one("Mul", "x both"),
        first=np.array(0), third=np.array(2),
    ),
    "the mean of all": after_conv(
        ("ReduceMean", "x", "m", {"keepdims": 0}), ("Unsqueeze", "m a", "u", {}), one("Sub", "x u"),
        constants={"a": i64(0, 1)},
    ),
}  # fmt: skip
"""Numbers without axes."""
