"""Operators by their attributes, one to a graph: what targets are tried on, borders and odd sizes above all.

Each family is a dictionary of cases by name; a case is a graph from the picture and the size of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .tflite.harness import Case, after_conv, f32, i64, one, weight

SIZES = ((11, 14), (7, 5))
Node = tuple[str, str, str, dict[str, Any]]


class Tried(NamedTuple):
    """A graph, and the height and width of its picture."""

    case: Case
    sides: tuple[int, int]


def _on_image(*nodes: Node, sides: tuple[int, int] = SIZES[0], **constants: Any) -> Tried:
    return Tried(Case(nodes, constants), sides)


def _on_features(*nodes: Node, sides: tuple[int, int] = SIZES[0], **constants: Any) -> Tried:
    return Tried(after_conv(*nodes, constants=constants), sides)


def _begins_beyond(sides: tuple[int, int], kernel: int, stride: int, pads: tuple[int, ...]) -> bool:
    """Whether ``ceil_mode`` would add a window that begins in the padding at the end."""
    ends = zip(sides, pads[:2], pads[2:], strict=True)
    return any(-(-(n + b + a - kernel) // stride) * stride >= n + b for n, b, a in ends)


def pools() -> Iterator[tuple[str, Tried]]:
    """MaxPool and AveragePool over windows, pads, rounding up and counted padding."""
    windows = ((2, 2), (3, 2), (3, 1), (3, 3), (2, 3))
    pads = ((0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1), (1, 0, 1, 1), (0, 1, 1, 0))
    for sides, (kernel, stride), pad, ceil, counted in product(SIZES, windows, pads, (0, 1), (None, 0, 1)):
        if max(pad) > kernel // 2 or (ceil and _begins_beyond(sides, kernel, stride, pad)):
            continue  # onnx's inference counts a window more: ``test_pass_sizes`` has those, from PyTorch
        op = "MaxPool" if counted is None else "AveragePool"
        settings: dict[str, Any] = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pad}
        settings |= {"ceil_mode": ceil} | ({} if counted is None else {"count_include_pad": counted})
        name = f"{op} of {kernel} by {stride}, pads {pad}, ceil {ceil}, counted {counted}, {sides}"
        yield name, _on_image(one(op, "image", **settings), sides=sides)
    for op, ceil in product(("MaxPool", "AveragePool"), (0, 1)):
        settings = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "dilations": [2, 3]}
        yield f"{op} dilated, ceil {ceil}", _on_image(one(op, "image", **settings, ceil_mode=ceil))
    for fill, counted in product((0.0, 1.0), (0, 1)):
        pooled = one("AveragePool", "p", kernel_shape=[3, 3], strides=[2, 2], count_include_pad=counted)
        pad_node = ("Pad", "image n v", "p", {})
        yield (
            f"AveragePool of a picture padded with {fill}, counted {counted}",
            _on_image(pad_node, pooled, n=i64(0, 0, 1, 1, 0, 0, 1, 1), v=f32(fill)[0]),
        )


_NEAREST = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
_PLACES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
_FACTORS = ((2.0, 2.0), (3.0, 2.0), (0.5, 0.5), (0.7, 1.3), (1 / 3, 1 / 3), (1.5, 2.5), (0.25, 0.6))
_TARGETS = ((22, 28), (5, 7), (1, 1), (16, 9), (33, 70))


def resizes() -> Iterator[tuple[str, Tried]]:
    """Resize by factors and to sizes, nearest, linear and cubic, in every way of placing pixels."""
    for sides, factors, place in product((*SIZES, (25, 35)), _FACTORS, _PLACES):
        scales = f32(1, 1, *factors)
        for rounding in _NEAREST:
            node = one(
                "Resize", "image  s", mode="nearest", coordinate_transformation_mode=place, nearest_mode=rounding
            )
            yield f"Resize nearest {rounding} {place} by {factors}, {sides}", _on_image(node, sides=sides, s=scales)
        node = one("Resize", "image  s", mode="linear", coordinate_transformation_mode=place)
        yield f"Resize linear {place} by {factors}, {sides}", _on_image(node, sides=sides, s=scales)
    for target, place in product(_TARGETS, _PLACES):
        sizes = i64(1, 3, *target)
        for rounding in _NEAREST:
            node = one(
                "Resize", "image   s", mode="nearest", coordinate_transformation_mode=place, nearest_mode=rounding
            )
            yield f"Resize nearest {rounding} {place} to {target}", _on_image(node, s=sizes)
        node = one("Resize", "image   s", mode="linear", coordinate_transformation_mode=place)
        yield f"Resize linear {place} to {target}", _on_image(node, s=sizes)
    for mode, factors, place in product(("linear", "cubic"), _FACTORS, _PLACES[:3]):
        node = one("Resize", "image  s", mode=mode, coordinate_transformation_mode=place, antialias=1)
        yield f"Resize {mode} antialiased {place} by {factors}", _on_image(node, s=f32(1, 1, *factors))
    for a, outside, factors in product((-0.5, -0.75), (0, 1), _FACTORS[:4]):
        node = one("Resize", "image  s", mode="cubic", cubic_coeff_a=a, exclude_outside=outside)
        yield f"Resize cubic {a}, outside excluded {outside}, by {factors}", _on_image(node, s=f32(1, 1, *factors))


def convolutions() -> Iterator[tuple[str, Tried]]:
    """ConvTranspose and Conv by strides, pads, output padding, groups and dilations."""
    settings = product((1, 2, 3), ((0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 2, 1)), ((0, 0), (1, 1)), (1, 2), (1, 2))
    for stride, pads, more, group, dilation in settings:
        if max(more) >= stride:
            continue
        node = one(
            "ConvTranspose",
            "x w b",
            strides=[stride] * 2,
            pads=pads,
            output_padding=more,
            group=group,
            dilations=[dilation] * 2,
        )
        name = f"ConvTranspose by {stride}, pads {pads}, more {more}, groups {group}, dilated {dilation}"
        yield name, _on_features(node, sides=(7, 5), w=weight(8, 6 // group, 3, 3), b=weight(6))
    for group, stride, dilation, pads in product((1, 2, 8), (1, 2), (1, 3), ((0, 0, 0, 0), (2, 1, 0, 3))):
        outputs = 16
        node = one("Conv", "x w b", strides=[stride] * 2, pads=pads, group=group, dilations=[dilation] * 2)
        name = f"Conv by {stride}, pads {pads}, groups {group}, dilated {dilation}"
        yield name, _on_features(node, w=weight(outputs, 8 // group, 3, 3), b=weight(outputs))


def pads_and_slices() -> Iterator[tuple[str, Tried]]:
    """Pad by modes, Slice by steps, DepthToSpace and SpaceToDepth."""
    amounts = (i64(0, 0, 1, 2, 0, 0, 3, 0), i64(0, 0, 0, 0, 0, 0, 0, 1), i64(0, 0, 4, 4, 0, 0, 4, 4))
    for mode, amount in product(("constant", "reflect", "edge", "wrap"), amounts):
        yield f"Pad {mode} {amount.tolist()}", _on_image(one("Pad", "image n", mode=mode), n=amount, sides=(7, 5))
    yield "Pad with a number", _on_image(one("Pad", "image n v"), n=amounts[0], v=np.float32(1.25))
    yield "Pad of channels", _on_image(one("Pad", "image n"), n=i64(0, 1, 0, 0, 0, 2, 0, 0))
    yield "Pad of channels by the edge", _on_image(one("Pad", "image n", mode="edge"), n=i64(0, 1, 0, 0, 0, 2, 0, 0))
    yield "Pad that crops", _on_image(one("Pad", "image n"), n=i64(0, 0, -1, 2, 0, 0, -2, 0))
    cuts = (
        ("every second row", (0,), (99,), (2,), (2,)),
        ("every third column from the second", (1,), (99,), (3,), (3,)),
        ("rows backwards", (-1,), (-99,), (2,), (-1,)),
        ("channels backwards", (-1,), (-99,), (1,), (-1,)),
        ("every second column backwards", (-2,), (0,), (3,), (-2,)),
        ("from the end", (-4,), (-1,), (3,), (1,)),
        ("a corner", (2, 3), (6, 9), (2, 3), (1, 1)),
        ("all", (0,), (99,), (2,), (1,)),
    )
    for name, starts, ends, axes, steps in cuts:
        parts = {"s": i64(*starts), "e": i64(*ends), "a": i64(*axes), "t": i64(*steps)}
        yield f"Slice {name}", _on_image(one("Slice", "image s e a t"), **parts)
    for mode in ("DCR", "CRD"):
        yield f"DepthToSpace {mode}", _on_features(one("DepthToSpace", mode=mode, blocksize=2), sides=(7, 5))
    yield "SpaceToDepth", _on_image(one("SpaceToDepth", "image", blocksize=2), sides=(6, 10))
    yield "SpaceToDepth by 3", _on_image(one("SpaceToDepth", "image", blocksize=3), sides=(6, 9))


def activations() -> Iterator[tuple[str, Tried]]:
    """Functions of one value, clamps, slopes."""
    for name, settings in {
        "LeakyRelu": {"alpha": 0.2},
        "HardSigmoid": {"alpha": 1 / 6, "beta": 0.5},
        "HardSwish": {},
        "Gelu": {"approximate": "none"},
        "Elu": {"alpha": 0.7},
        "Celu": {"alpha": 0.7},
        "Selu": {},
        "Mish": {},
        "Softplus": {},
        "Softsign": {},
        "ThresholdedRelu": {"alpha": 0.3},
        "Sigmoid": {},
        "Tanh": {},
        "Erf": {},
        "Exp": {},
        "Abs": {},
        "Neg": {},
        "Floor": {},
        "Ceil": {},
        "Round": {},
        "Sign": {},
        "Sin": {},
        "Cos": {},
    }.items():
        yield name, _on_features(one(name, **settings))
    yield "HardSigmoid of default slopes", _on_features(one("HardSigmoid"))
    yield "LeakyRelu over one", _on_features(one("LeakyRelu", alpha=1.5))
    yield "LeakyRelu below zero", _on_features(one("LeakyRelu", alpha=-0.3))
    yield "Gelu tanh", _on_features(one("Gelu", approximate="tanh"))
    yield "HardSwish of large values", _on_features(("Mul", "x k", "m", {}), one("HardSwish", "m"), k=f32(8))
    yield "Clip of no bounds", _on_features(one("Clip", "x"))
    yield "Clip from below", _on_features(one("Clip", "x l"), l=np.float32(-0.3))
    yield "Clip from above", _on_features(one("Clip", "x  h"), h=np.float32(0.3))
    yield "Clip off zero", _on_features(one("Clip", "x l h"), l=np.float32(0.1), h=np.float32(0.4))
    yield "Clip whose bounds cross", _on_features(one("Clip", "x l h"), l=np.float32(0.4), h=np.float32(0.1))
    for shape in ((8, 1, 1), (1,), (1, 8, 1, 1), (1, 1, 14), (1, 11, 1), (8, 11, 14)):
        slopes = np.linspace(-0.4, 1.3, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        yield f"PRelu of slopes {shape}", _on_features(one("PRelu", "x s"), s=slopes)
    for number in (0.5, 2.0, 3.0, -1.0, 1.7):
        positive = ("Sigmoid", "x", "p", {})
        yield f"Pow {number}", _on_features(positive, one("Pow", "p k"), k=f32(number))
    yield "Pow of what is negative", _on_features(one("Pow", "x k"), k=f32(2))
    yield "Sqrt", _on_features(("Sigmoid", "x", "p", {}), one("Sqrt", "p"))
    yield "Log", _on_features(("Sigmoid", "x", "p", {}), one("Log", "p"))
    yield "Reciprocal", _on_features(("Sigmoid", "x", "p", {}), one("Reciprocal", "p"))
    yield "Mod", _on_features(one("Mod", "x k", fmod=1), k=f32(0.3))


def reductions() -> Iterator[tuple[str, Tried]]:
    """Softmax, means, sums, norms over axes."""
    for axis in (1, 2, 3, -1, -3):
        yield f"Softmax over {axis}", _on_features(one("Softmax", axis=axis), sides=(7, 5))
        yield f"LogSoftmax over {axis}", _on_features(one("LogSoftmax", axis=axis), sides=(7, 5))
    axes = ((1,), (2,), (3,), (2, 3), (1, 2, 3), (-1, -2), (1, 3))
    for op, over in product(("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL2", "ReduceL1"), axes):
        reduced = (op, "x a", "r", {"keepdims": 1})
        yield f"{op} over {over}", _on_features(reduced, one("Add", "x r"), a=i64(*over))
    for op in ("ReduceSumSquare", "ReduceLogSumExp"):
        yield op, _on_features((op, "x a", "r", {"keepdims": 1}), one("Add", "x r"), a=i64(2, 3))
    for axis, over in ((-1, (5,)), (3, (5,)), (2, (7, 5)), (1, (8, 7, 5))):
        node = one("LayerNormalization", "x g o", axis=axis, epsilon=1e-3)
        parts = {"g": 1 + 0.2 * weight(*over), "o": weight(*over, seed=3)}
        yield f"LayerNormalization from {axis}", _on_features(node, sides=(7, 5), **parts)
    turned = ("Transpose", "x", "t", {"perm": [0, 2, 3, 1]})
    normed = ("LayerNormalization", "t g o", "n", {"axis": -1, "epsilon": 1e-6})
    back = one("Transpose", "n", perm=[0, 3, 1, 2])
    yield "LayerNormalization of channels", _on_features(turned, normed, back, g=1 + weight(8), o=weight(8, seed=3))
    gains = {"g": 1 + weight(8), "o": weight(8, seed=3)}
    yield "InstanceNormalization", _on_features(one("InstanceNormalization", "x g o", epsilon=1e-3), **gains)
    yield (
        "BatchNormalization",
        _on_features(
            one("BatchNormalization", "x g o m v", epsilon=1e-3), **gains, m=weight(8, seed=4), v=1 + weight(8) ** 2
        ),
    )
    yield "LRN", _on_features(one("LRN", size=3))
    yield "LpNormalization", _on_features(one("LpNormalization", axis=1, p=2))
    yield "GlobalAveragePool", _on_features(("GlobalAveragePool", "x", "r", {}), one("Mul", "x r"))
    yield "GlobalMaxPool", _on_features(("GlobalMaxPool", "x", "r", {}), one("Mul", "x r"))
    yield "CumSum", _on_features(one("CumSum", "x a"), a=np.int64(2))


def arithmetic() -> Iterator[tuple[str, Tried]]:
    """Operators of two values that are broadcast over every axis, and where nothing or numbers repeat."""
    for op, shape in product(
        ("Add", "Sub", "Mul", "Div", "Max", "Min"), ((8, 1, 1), (1,), (14,), (11, 1), (8, 11, 14))
    ):
        other = 1.5 + 0.3 * weight(*shape)
        yield f"{op} of {shape}", _on_features(one(op, "x k"), k=other)
        yield f"{op} of {shape} first", _on_features(("Exp", "x", "p", {}), one(op, "k p"), k=other)
    yield "Div by what is computed", _on_features(("Sigmoid", "y", "p", {}), one("Div", "x p"))
    yield "Where", _on_features(("Greater", "x y", "c", {}), one("Where", "c x y"))
    yield "Concat of itself", _on_features(one("Concat", "x y x", axis=1))
    yield "Concat of rows", _on_features(one("Concat", "x y", axis=2))
    yield "Tile", _on_features(one("Tile", "x r"), r=i64(1, 1, 2, 3))
    yield "Expand", _on_features(("GlobalAveragePool", "x", "r", {}), one("Expand", "r s"), s=i64(1, 8, 11, 14))
    yield "Gather of channels", _on_features(one("Gather", "x i", axis=1), i=i64(7, 0, 3))
    yield "Gather of rows", _on_features(one("Gather", "x i", axis=2), i=i64(3, 3, 0, 10))
    yield "Transpose of height and width", _on_features(one("Transpose", "x", perm=[0, 1, 3, 2]))
    yield "MatMul of pictures", _on_features(("Transpose", "y", "t", {"perm": [0, 1, 3, 2]}), one("MatMul", "x t"))
    yield "Einsum", _on_features(one("Einsum", "x y", equation="bchw,bchv->bcwv"))


FAMILIES = {
    "pools": dict(pools()),
    "resizes": dict(resizes()),
    "convolutions": dict(convolutions()),
    "pads and slices": dict(pads_and_slices()),
    "activations": dict(activations()),
    "reductions": dict(reductions()),
    "arithmetic": dict(arithmetic()),
}
