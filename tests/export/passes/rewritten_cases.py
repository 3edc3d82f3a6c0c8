"""Operators that passes write by others: each case is one of them, behind a convolution of eight channels (10x12)."""

from __future__ import annotations

import numpy as np

from ..tflite.harness import Case, after_conv, f32, i64, one, weight
from .frame_cases import DEEP, FRAMES
from .kernel_cases import KERNELS, PLACES, SCALARS, TRANSPOSED
from .window_cases import HEADS, WINDOWS


def _scattered(indices: np.ndarray, updates: tuple[int, ...], data: np.ndarray | None = None) -> Case:
    """Features written into others, or into a constant."""
    cut = [("Slice", "x s e", "part", {})]
    held = {"s": i64(0, 0, 0, 0), "e": i64(*updates), "i": indices}
    operands = "x i part" if data is None else "d i part"
    return after_conv(*cut, one("ScatterND", operands), constants=held | ({} if data is None else {"d": data}))


def _places(*axes: range) -> np.ndarray:
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).astype(np.int64)


def _einsum(equation: str, *shapes: tuple[int, ...]) -> Case:
    """Reshaped features and a constant of the second shape, or the features twice."""
    held = {"r": i64(*shapes[0])}
    operands = "a" if len(shapes) == 1 else "a b"
    nodes = [("Reshape", "x r", "a", {})]
    if len(shapes) == 2:
        held["t"] = i64(*shapes[1])
        nodes += [("Sigmoid", "x", "y0", {}), ("Reshape", "y0 t", "b", {})]
    return after_conv(*nodes, one("Einsum", operands, equation=equation), constants=held)


def _gathered(indices: np.ndarray, axis: int) -> Case:
    return after_conv(one("Gather", "x i", axis=axis), constants={"i": indices})


def _resized(mode: str, antialias: int, *scales: float) -> Case:
    attributes = {
        "mode": mode,
        "antialias": antialias,
        "coordinate_transformation_mode": "half_pixel",
        "cubic_coeff_a": -0.75,
    }
    return after_conv(one("Resize", "x  s", **attributes), constants={"s": f32(1, 1, *scales)})


FUNCTIONS: dict[str, Case] = {
    "Tile of more than one": after_conv(one("Tile", "x r"), constants={"r": i64(1, 2, 1, 3)}),
    "Pow 5": after_conv(one("Pow", "x k"), constants={"k": f32(5)}),
    "Softplus": after_conv(one("Softplus")),
    "Mish": after_conv(one("Mish")),
    "Elu 0.7": after_conv(one("Elu", alpha=0.7)),
    "Celu 1.3": after_conv(one("Celu", alpha=1.3)),
    "Selu": after_conv(one("Selu")),
    "Softsign": after_conv(one("Softsign")),
    "Shrink soft": after_conv(one("Shrink", lambd=0.3, bias=0.3)),
    "LogSoftmax": after_conv(one("LogSoftmax", axis=1)),
    "LpNormalization 1": after_conv(one("LpNormalization", axis=1, p=1)),
    "LpNormalization 2": after_conv(one("LpNormalization", axis=3, p=2)),
    "ReduceL1": after_conv(one("ReduceL1", "x a"), constants={"a": i64(1)}),
    "ReduceSumSquare": after_conv(one("ReduceSumSquare", "x a"), constants={"a": i64(2, 3)}),
    "ReduceLogSumExp": after_conv(one("ReduceLogSumExp", "x a"), constants={"a": i64(1)}),
    "Sum": after_conv(one("Sum", "x y x")),
    "Mean": after_conv(one("Mean", "x y")),
    "CumSum": after_conv(one("CumSum", "x a"), constants={"a": np.array(3)}),
    "CumSum back": after_conv(one("CumSum", "x a", reverse=1, exclusive=1), constants={"a": np.array(1)}),
    "PRelu per pixel": after_conv(one("PRelu", "x s"), constants={"s": weight(1, 10, 12)}),
    "Clip computed": after_conv(
        ("ReduceMin", "y", "lo", {"keepdims": 0}), ("ReduceMax", "y", "hi", {"keepdims": 0}), one("Clip", "x lo hi")
    ),
    "LayerNormalization of three": after_conv(
        one("LayerNormalization", "x g b", axis=1), constants={"g": weight(8, 10, 12), "b": weight(8, 10, 12)}
    ),
    "HardSigmoid": after_conv(one("HardSigmoid")),
    "Trilu": after_conv(one("Trilu", "x k", upper=0), constants={"k": np.array(1)}),
    "Where of a mask": after_conv(one("Where", "c x y"), constants={"c": weight(10, 12) > 0}),
    "Where and a number": after_conv(one("Where", "c n x"), constants={"c": weight(10, 12) > 0, "n": f32(-1)}),
}


def _patches(size: tuple[int, int], **attributes: object) -> Case:
    """Two channels of 2x2 patches, ten by twelve of them."""
    held = {"flat": i64(1, 8, 120), "size": i64(*size), "block": i64(2, 2)}
    return after_conv(("Reshape", "x flat", "p", {}), one("Col2Im", "p size block", **attributes), constants=held)


def _turned_by_itself(corners: int) -> Case:
    """Features at places that six of their means say."""
    nodes = [
        ("ReduceMean", "x a", "m", {}), ("Slice", "m z six c", "s", {}), ("Reshape", "s t", "matrix", {}),
        ("AffineGrid", "matrix n", "g", {"align_corners": corners}), one("GridSample", "x g", align_corners=corners),
    ]  # fmt: skip
    return after_conv(
        *nodes,
        constants={"a": i64(2, 3), "z": i64(0), "six": i64(6), "c": i64(1), "t": i64(1, 2, 3), "n": i64(1, 8, 9, 11)},
    )


RARER: dict[str, Case] = {
    "Col2Im side by side": _patches((20, 24), strides=[2, 2]),
    "Col2Im overlapping": _patches((11, 13)),
    "Col2Im with pads, steps and a rest": _patches((21, 24), strides=[2, 2], pads=[1, 0, 0, 1], dilations=[2, 1]),
    "LRN": after_conv(one("LRN", size=3, alpha=0.3, beta=0.75)),
    "LRN of another power": after_conv(one("LRN", size=5, alpha=0.3, beta=0.6, bias=2.0)),
    "AveragePool, pads left out": after_conv(
        one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    ),
    "AveragePool, pads left out, rounded up": after_conv(
        one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 0], ceil_mode=1)
    ),
    "LpPool 2": after_conv(one("LpPool", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0], ceil_mode=1)),
    "LpPool 3": after_conv(one("LpPool", kernel_shape=[2, 2], p=3, auto_pad="SAME_UPPER")),
    "GlobalLpPool": after_conv(one("GlobalLpPool", p=1)),
    "AffineGrid, corners": _turned_by_itself(1),
    "AffineGrid, middles": _turned_by_itself(0),
    "CenterCropPad": after_conv(one("CenterCropPad", "x n", axes=[2, 3]), constants={"n": i64(7, 15)}),
    "Resize of named axes": after_conv(
        one("Resize", "x   n", mode="linear", antialias=1, axes=[3, 2]), constants={"n": i64(7, 5)}
    ),
    "Resize of named axes by factors": after_conv(
        one("Resize", "x  s", mode="linear", axes=[-1]), constants={"s": f32(1.5)}
    ),
    "Resize that keeps the ratio": after_conv(
        one("Resize", "x   n", mode="linear", axes=[2, 3], keep_aspect_ratio_policy="not_larger"),
        constants={"n": i64(20, 30)},
    ),
    "Resize that keeps the ratio of rounded sides": after_conv(
        one(
            "Resize", "x   n", mode="nearest", axes=[2, 3], keep_aspect_ratio_policy="not_smaller",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        ),
        constants={"n": i64(15, 17)},
    ),
    "Resize, symmetric": after_conv(
        one("Resize", "x  s", mode="linear", coordinate_transformation_mode="half_pixel_symmetric"),
        constants={"s": f32(1, 1, 0.75, 0.7)},
    ),
    "ReduceMean of the batch too": after_conv(one("ReduceMean", "x a", keepdims=1), constants={"a": i64(0, 2)}),
    "MeanVarianceNormalization": after_conv(one("MeanVarianceNormalization", axes=[0, 2, 3])),
    "Hardmax": after_conv(("Relu", "x", "r", {}), one("Hardmax", "r", axis=1)),
    "ReduceProd": after_conv(one("ReduceProd", "x a", keepdims=0), constants={"a": i64(-3)}),
    "Mod": after_conv(one("Mod", "x k", fmod=1), constants={"k": f32(0.3)}),
    "IsNaN": after_conv(("Log", "x", "l", {}), ("IsNaN", "l", "n", {}), one("Cast", "n", to=1)),
    "IsInf": after_conv(("Relu", "x", "r", {}), ("Log", "r", "l", {}), ("IsInf", "l", "n", {}), one("Cast", "n", to=1)),
    "Tan": after_conv(one("Tan")),
    "Sinh": after_conv(one("Sinh")),
    "Cosh": after_conv(one("Cosh")),
    "Asinh": after_conv(one("Asinh")),
    "Atan": after_conv(("Mul", "x k", "w", {}), one("Atan", "w"), constants={"k": f32(4)}),
    "Asin": after_conv(("Tanh", "x", "t", {}), one("Asin", "t")),
    "Acos": after_conv(("Tanh", "x", "t", {}), one("Acos", "t")),
    "Atanh": after_conv(("Sigmoid", "x", "t", {}), one("Atanh", "t")),
    "Acosh": after_conv(("Exp", "x", "e", {}), ("Add", "e k", "t", {}), one("Acosh", "t"), constants={"k": f32(1)}),
    "Pow -3": after_conv(one("Pow", "x k"), constants={"k": f32(-3)}),
    "Gemm computed": after_conv(
        ("Reshape", "x r", "a", {}), ("Reshape", "y r", "b", {}), one("Gemm", "a b", transA=1, alpha=0.5),
        constants={"r": i64(96, 10)},
    ),
    "MatMul of a vector": after_conv(one("MatMul", "x v"), constants={"v": weight(12)}),
    "places within bounds": after_conv(
        ("ArgMax", "x", "m", {"axis": 1, "keepdims": 1}), ("Clip", "m low high", "c", {}), one("Cast", "c", to=1),
        constants={"low": np.array(2), "high": np.array(5)},
    ),
    "quotient of places": after_conv(
        ("ArgMax", "x", "i", {"axis": 1}), ("Div", "i k", "q", {}), one("Cast", "q", to=1),
        constants={"k": np.array(3)},
    ),
    "remainder of places": after_conv(
        ("ArgMax", "x", "i", {"axis": 1}), ("Mod", "i k", "q", {}), one("Cast", "q", to=1),
        constants={"k": np.array(3)},
    ),
    "remainder of either sign": after_conv(
        ("Mul", "x k", "w", {}), ("Cast", "w", "i", {"to": 7}), ("Mod", "i n", "q", {"fmod": 1}),
        one("Cast", "q", to=1),
        constants={"k": f32(30), "n": np.array(7)},
    ),
    "running sum of places": after_conv(
        ("ArgMax", "x", "i", {"axis": 1, "keepdims": 1}), ("CumSum", "i a", "q", {}), one("Cast", "q", to=1),
        constants={"a": np.array(3)},
    ),
    "ConvTranspose SAME": after_conv(
        one("ConvTranspose", "x w", strides=[2, 2], auto_pad="SAME_UPPER"), constants={"w": weight(8, 3, 5, 3)}
    ),
    "ConvTranspose to a size": after_conv(
        one("ConvTranspose", "x w", strides=[2, 3], output_shape=[20, 37]), constants={"w": weight(8, 3, 3, 3)}
    ),
    "ConvTranspose in groups, of other strides": after_conv(
        one("ConvTranspose", "x w", strides=[1, 2], group=2, dilations=[2, 1]), constants={"w": weight(8, 2, 3, 3)}
    ),
}  # fmt: skip
PICKED: dict[str, Case] = {
    "Gather one": _gathered(np.array(3), 1),
    "Gather from behind": _gathered(i64(-1, -2), 1),
    "Gather in steps": _gathered(i64(1, 3, 5), 2),
    "Gather two runs": _gathered(i64(4, 5, 6, 7, 0, 1, 2, 3), 1),
    "Gather of patches": _gathered(np.arange(4)[:, None] + 2 * np.arange(4)[None], 3),
    "GatherND": after_conv(one("GatherND", "x i"), constants={"i": _places(range(1), range(8), range(1, 9, 2))}),
    "GatherElements": after_conv(
        one("GatherElements", "x i", axis=2),
        constants={"i": np.tile(np.arange(2, 8)[None, None, :, None], (1, 8, 1, 12))},
    ),
    "Pad negative": after_conv(one("Pad", "x p"), constants={"p": i64(0, 0, -1, 2, 0, 0, 1, -3)}),
    "Pad wrap": after_conv(one("Pad", "x p", mode="wrap"), constants={"p": i64(0, 0, 1, 2, 0, 0, 2, 1)}),
    "ScatterND all": _scattered(_places(range(1), range(8), range(10), range(12)), (1, 8, 10, 12)),
    "ScatterND box": _scattered(_places(range(1), range(8), range(2, 7), range(3, 9)), (1, 8, 5, 6)),
    "ScatterND into zeros": _scattered(
        _places(range(1), range(8), range(2, 7)), (1, 8, 5, 12), np.zeros((1, 8, 10, 12), np.float32)
    ),
    "ScatterND into halves": _scattered(
        _places(range(1), range(4, 8)), (1, 4, 10, 12), np.full((1, 8, 10, 12), 0.5, np.float32)
    ),
}
MATRICES: dict[str, Case] = {
    "Einsum product": _einsum("bhqd,bhkd->bhqk", (1, 2, 4, 120), (1, 2, 4, 120)),
    "Einsum sums of one": _einsum("bcij,bdij->bcd", (1, 8, 10, 12), (1, 8, 10, 12)),
    "Einsum outer": _einsum("bci,bcj->bcij", (1, 8, 120), (1, 8, 120)),
    "Einsum with an ellipsis": _einsum("b...hw,b...hv->b...wv", (1, 2, 4, 10, 12), (1, 2, 4, 10, 12)),
    "Einsum turned": _einsum("bchw->bhwc", (1, 8, 10, 12)),
    "Einsum implicit": _einsum("bhw,cw", (1, 80, 12), (80, 12)),
    "Einsum diagonal": _einsum("biid,iid->bi", (1, 4, 4, 60), (4, 4, 60)),
    "Einsum trace": _einsum("ibci->bc", (4, 1, 60, 4)),
    "Einsum of one label thrice": _einsum("iiij,jk->ik", (2, 2, 2, 120), (120, 8)),
    "Resize cubic by two": _resized("cubic", 0, 2, 2),
    "Resize cubic by three": _resized("cubic", 0, 3, 3),
    "Resize cubic by 1.5": _resized("cubic", 0, 1.5, 1.5),
    "Resize cubic antialias": _resized("cubic", 1, 0.5, 0.5),
    "Resize linear antialias": _resized("linear", 1, 0.5, 0.75),
}
CASES = (
    KERNELS | SCALARS | PLACES | TRANSPOSED | FUNCTIONS | RARER | PICKED | MATRICES | FRAMES | DEEP | WINDOWS | HEADS
)
