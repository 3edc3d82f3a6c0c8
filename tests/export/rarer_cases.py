"""Operators that restoration networks have seldom: comparisons, look-ups, rounding, normalization and the like."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from .tflite.harness import Case, after_conv, f32, i64, one, weight

_GREATER = ("Greater", "x y", "c", {})


def _masked(op: str, *before: tuple[str, str, str, dict[str, object]]) -> Case:
    """A comparison or logic, as a number for each pixel."""
    return after_conv(*before, (op, "x y" if not before else "c d", "m", {}), one("Cast", "m", to=TensorProto.FLOAT))


def _sampled(mode: str, border: str, corners: int, rows: int = 6) -> Case:
    """Features at places that other features say, some beyond the picture."""
    attributes = {"mode": mode, "padding_mode": border, "align_corners": corners}
    nodes = [
        ("Slice", "y s e a", "two", {}),
        ("Mul", "two k", "wide", {}),
        ("Transpose", "wide", "grid", {"perm": [0, 2, 3, 1]}),
        one("GridSample", "x grid", **attributes),
    ]
    return after_conv(*nodes, constants={"s": i64(0, 0), "e": i64(2, rows), "a": i64(1, 2), "k": f32(1.7)})


def _places(height: int, width: int) -> np.ndarray:
    """(1, H, W, 2) from beyond one corner of the picture to beyond the other."""
    rows, columns = np.meshgrid(np.linspace(-1.2, 0.9, height), np.linspace(-0.7, 1.3, width), indexing="ij")
    return np.stack([columns, rows], -1)[None].astype(np.float32)


def _between(corners: int) -> np.ndarray:
    """(1, 12, 15, 2) in a picture of 10 x 12: places at and between pixels, but not halfway."""
    rows, columns = np.meshgrid(np.arange(12) * 0.73, np.arange(15) * 0.73, indexing="ij")
    lengths = np.array([12, 10])
    pixels = np.stack([columns, rows], -1)[None]
    return (pixels * 2 / (lengths - 1) - 1 if corners else (2 * pixels + 1) / lengths - 1).astype(np.float32)


RARER: dict[str, Case] = {
    "greater": _masked("Greater"),
    "less": _masked("Less"),
    "greater or equal": after_conv(
        ("Relu", "x", "r", {}), ("GreaterOrEqual", "r z", "m", {}), one("Cast", "m", to=TensorProto.FLOAT),
        constants={"z": f32(0)},
    ),
    "less or equal": after_conv(
        ("Relu", "x", "r", {}), ("LessOrEqual", "r z", "m", {}), one("Cast", "m", to=TensorProto.FLOAT),
        constants={"z": f32(0)},
    ),
    "equal": after_conv(
        ("Relu", "x", "r", {}), ("Equal", "r z", "m", {}), one("Cast", "m", to=TensorProto.FLOAT),
        constants={"z": f32(0)},
    ),
    "and": _masked("And", _GREATER, ("Less", "x y", "d", {})),
    "or": _masked("Or", _GREATER, ("Less", "x y", "d", {})),
    "xor": _masked("Xor", _GREATER, ("Less", "x y", "d", {})),
    "not": after_conv(_GREATER, ("Not", "c", "n", {}), one("Cast", "n", to=TensorProto.FLOAT)),
    "where": after_conv(_GREATER, one("Where", "c x y")),
    "where, a number": after_conv(_GREATER, one("Where", "c x k"), constants={"k": f32(-2)}),
    "sign": after_conv(("Relu", "x", "r", {}), ("Sub", "r y", "d", {}), one("Sign", "d")),
    "floor": after_conv(("Mul", "x k", "l", {}), one("Floor", "l"), constants={"k": f32(3.3)}),
    "ceil": after_conv(("Mul", "x k", "l", {}), one("Ceil", "l"), constants={"k": f32(3.3)}),
    "round": after_conv(("Mul", "x k", "l", {}), one("Round", "l"), constants={"k": f32(3.3)}),
    "halves are rounded to even": after_conv(
        ("Sign", "x", "s", {}), ("Mul", "s k", "h", {}), one("Round", "h"), constants={"k": f32(2.5)}
    ),
    "sine": after_conv(one("Sin")),
    "cosine": after_conv(one("Cos")),
    "elu": after_conv(one("Elu")),
    "instance normalization": after_conv(
        one("InstanceNormalization", "x g b"), constants={"g": weight(8), "b": weight(8, seed=1)}
    ),
    "instance normalization of groups": after_conv(
        ("Reshape", "x r", "l", {}), ("InstanceNormalization", "l g b", "n", {"epsilon": 1e-3}), one("Reshape", "n o"),
        constants={"r": i64(1, 2, 480), "o": i64(1, 8, 10, 12), "g": weight(2), "b": weight(2, seed=1)},
    ),
    "channels in another order": after_conv(one("Gather", "x i", axis=1), constants={"i": i64(3, 1, 7, 0, 2, 5, 4, 6)}),
    "columns in another order": after_conv(one("Gather", "x i", axis=3), constants={"i": i64(11, 3, 5, 2)}),
    "rows backwards": after_conv(
        one("Slice", "x s e a t"), constants={"s": i64(-1), "e": i64(-99), "a": i64(2), "t": i64(-1)}
    ),
    "every second row": after_conv(
        one("Slice", "x s e a t"), constants={"s": i64(1, 2), "e": i64(99, 11), "a": i64(2, 3), "t": i64(2, 3)}
    ),
    "looked up in a table": after_conv(
        ("Sigmoid", "x", "p", {}), ("Mul", "p k", "l", {}), ("Cast", "l", "i", {"to": TensorProto.INT64}),
        one("Gather", "t i"), constants={"k": f32(6.999), "t": weight(7)},
    ),
    "rows looked up": after_conv(
        ("Sigmoid", "y", "p", {}), ("Mul", "p k", "l", {}), ("Cast", "l", "i", {"to": TensorProto.INT64}),
        ("Reshape", "i r", "flat", {}), ("Reshape", "x n", "table", {}), ("Gather", "table flat", "g", {"axis": 1}),
        one("Reshape", "g o"),
        constants={"k": f32(119.9), "r": i64(-1), "n": i64(8, 120), "o": i64(1, 8, 80, 12)},
    ),
    "place of the largest": after_conv(
        ("ArgMax", "x", "m", {"axis": 1, "keepdims": 1}), one("Cast", "m", to=TensorProto.FLOAT)
    ),
    "place of the smallest": after_conv(
        ("ArgMin", "x", "m", {"axis": 3, "keepdims": 1}), one("Cast", "m", to=TensorProto.FLOAT)
    ),
    "broadcast": after_conv(
        ("ReduceMax", "x a", "m", {}), ("Expand", "m n", "w", {}), one("Concat", "x w", axis=1),
        constants={"a": i64(1), "n": i64(1, 2, 10, 12)},
    ),
    **{
        f"sampled, {mode}, {border}, {'corners' if corners else 'middles'}": _sampled(mode, border, corners)
        for mode, border, corners in (
            ("linear", "zeros", 0), ("linear", "zeros", 1), ("linear", "border", 0), ("linear", "reflection", 0),
            ("linear", "reflection", 1), ("nearest", "border", 1),
            ("cubic", "zeros", 0), ("cubic", "border", 1), ("cubic", "reflection", 0),
        )
    },
    "sampled at constant places": after_conv(one("GridSample", "x g"), constants={"g": _places(7, 9)}),
    **{
        f"nearest at constant places, {'corners' if corners else 'middles'}": after_conv(
            one("GridSample", "x g", mode="nearest", padding_mode="border", align_corners=corners),
            constants={"g": _between(corners)},
        )
        for corners in (0, 1)
    },
    "sampled constant at computed places": after_conv(
        ("Slice", "x s e a", "two", {}), ("Transpose", "two", "grid", {"perm": [0, 2, 3, 1]}),
        one("GridSample", "t grid", padding_mode="border"),
        constants={"s": i64(0), "e": i64(2), "a": i64(1), "t": weight(1, 4, 5, 6)},
    ),
    "deformed, with a mask": after_conv(
        ("Conv", "y wo bo", "o", {}), ("Sigmoid", "x", "m0", {}), ("Conv", "m0 wm bm", "m", {}),
        one("DeformConv", "x w o b m", kernel_shape=[3, 3], pads=[1] * 4, offset_group=2),
        constants={
            "wo": weight(36, 8, 1, 1), "bo": weight(36), "wm": weight(18, 8, 1, 1), "bm": weight(18),
            "w": weight(4, 8, 3, 3), "b": weight(4),
        },
    ),
    "deformed, in groups and steps": after_conv(
        ("Conv", "y wo bo", "o", {"strides": [2, 2]}),
        one("DeformConv", "x w o", strides=[2, 2], pads=[2] * 4, dilations=[2, 2], group=2),
        constants={"wo": weight(18, 8, 1, 1), "bo": weight(18), "w": weight(4, 4, 3, 3)},
    ),
    "Fourier transform": after_conv(
        ("Unsqueeze", "x u", "d", {}), ("DFT", "d  a", "f", {"onesided": 1}), ("DFT", "f  b", "g", {}),
        one("Reshape", "g o"),
        constants={"u": i64(4), "a": i64(3)[0], "b": i64(2)[0], "o": i64(1, 14, 10, 8)},
    ),
    "Fourier transform back": after_conv(
        ("Reshape", "x r", "d", {}), ("DFT", "d  b", "f", {"inverse": 1}),
        ("DFT", "f n a", "g", {"inverse": 1, "onesided": 1}),
        one("Reshape", "g o"),
        constants={"r": i64(1, 4, 10, 12, 2), "a": i64(3)[0], "b": i64(2)[0], "n": i64(22)[0], "o": i64(1, 4, 10, 22)},
    ),
    "a batch of pictures": after_conv(
        ("Reshape", "x n", "b", {}), ("Conv", "b w v", "c", {"pads": [1] * 4}),
        ("MaxPool", "c", "p", {"kernel_shape": [2, 2]}),
        ("Pad", "p g", "q", {}), one("Reshape", "q o"),
        constants={
            "n": i64(4, 2, 10, 12), "w": weight(3, 2, 3, 3), "v": weight(3), "g": i64(0, 0, 1, 0, 0, 0, 0, 2),
            "o": i64(1, 12, 10, 13),
        },
    ),
    "a batch summed": after_conv(
        ("Reshape", "x n", "b", {}), ("ReduceSum", "b z", "s", {}), one("Conv", "s w v", pads=[1] * 4),
        constants={"n": i64(4, 2, 10, 12), "z": i64(0), "w": weight(3, 2, 3, 3), "v": weight(3)},
    ),
    "batches joined": after_conv(
        ("Concat", "x y", "b", {"axis": 0}), ("Slice", "b s e a", "l", {}), ("Pad", "b p", "m", {}),
        one("Reshape", "m o"),
        constants={"s": i64(1), "e": i64(2), "a": i64(0), "p": i64(1, 0, 0, 0, 0, 1, 0, 0), "o": i64(1, 27, 10, 12)},
    ),
}  # fmt: skip
ELSEWHERE = {"TopK"}
"""Operators whose test is a network: two results need more than these cases have."""
OPERATORS = ELSEWHERE | {node[0] for case in RARER.values() for node in case.nodes}
