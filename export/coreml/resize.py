"""The rules of Resize, in MIL forms with unambiguous sampling points.

MIL's own operators are used if their documented sampling points equal ONNX's exactly. Otherwise the same points are
written out: a depthwise convolution for sizes divided by a whole number (the remainder at the end is dropped, as in
ONNX), a gather of constant indices for nearest, and products with two constant matrices for linear, cubic and
antialias. Gathers and matrices need a fixed size; their indices and weights come from ONNX Runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export import resampling
from clearport.export.coreml.lowering import Lowering, refuse
from clearport.graph.nodes import attr_int, attr_str, constant, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array

# A pixel's center never falls on the border of two others when the factor is whole, so both roundings agree.
_REPEATS = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil")}
_SAMPLING = {"half_pixel": "UNALIGN_CORNERS", "align_corners": "STRICT_ALIGN_CORNERS", "asymmetric": "DEFAULT"}
_SAME = 1e-6
"""Tolerance of factors, which are float32: 1/12 is not exactly one twelfth."""


def first_ios(node: ir.Node) -> int:
    """Computed sizes need iOS 17's resize."""
    return 17 if _size_of_another(node) else 15


def resize(low: Lowering, node: ir.Node, name: str) -> Any:
    """Resize nearest or linear of height and width; see the module for the forms."""
    mode, coordinates = attr_str(node, "mode", "nearest"), _coordinates(node)
    if mode not in {"nearest", "linear"} or attr_int(node, "antialias", 0):
        return _matrices(low, node, name)
    if coordinates.removeprefix("pytorch_") not in _SAMPLING:
        raise refuse(node, f"no conversion rule for {coordinates!r} coordinates")
    if _size_of_another(node):
        return _to_the_size_of_another(low, node, name)
    factors = _factors(node, low.var(node, 0))
    divisors = tuple(round(1 / factor) for factor in factors)
    if max(factors) < 1 and all(abs(1 / d - f) < _SAME for d, f in zip(divisors, factors, strict=True)):
        picked = _picked(node, divisors)
        if picked is not None and _takes(node, low.var(node, 0), picked):
            return _divide(low, node, name, picked)
    return _nearest(low, node, name, factors) if mode == "nearest" else _linear(low, node, name, factors)


def _coordinates(node: ir.Node) -> str:
    return attr_str(node, "coordinate_transformation_mode", "half_pixel")


def _size_of_another(node: ir.Node) -> bool:
    return operand(node, 3) is not None and constant(operand(node, 3)) is None


def _to_the_size_of_another(low: Lowering, node: ir.Node, name: str) -> Any:
    """Linear to a computed size -> resize (iOS 17), with the sampling modes of resize_bilinear."""
    coordinates = _coordinates(node)
    if attr_str(node, "mode", "nearest") != "linear" or coordinates == "asymmetric":
        raise refuse(node, "to a computed size, only linear with half_pixel or align_corners is supported")
    size = low.mb.slice_by_index(x=low.var(node, 3), begin=[2], end=[4], name=f"{name}_size")
    return low.mb.resize(
        x=low.var(node, 0),
        shape=size,
        resized_dims=np.uint32(2),
        interpolation_mode="LINEAR",
        sampling_mode=_SAMPLING[coordinates.removeprefix("pytorch_")],
        name=name,
    )


def _picked(node: ir.Node, divisors: tuple[int, ...]) -> Array | None:
    """The weights of a window of ``divisors`` pixels for one output pixel; None if windows differ."""
    coordinates, lines = _coordinates(node).removeprefix("pytorch_"), []
    for divisor in divisors:
        line = np.zeros(divisor)
        if attr_str(node, "mode", "nearest") == "linear" and coordinates == "half_pixel":
            line[[(divisor - 1) // 2, divisor // 2]] = 0.5 if divisor % 2 == 0 else 1.0
        elif coordinates == "asymmetric" and attr_str(node, "nearest_mode", "round_prefer_floor") != "ceil":
            line[0] = 1.0
        else:
            return None
        lines.append(line)
    return np.outer(*lines)


def _divide(low: Lowering, node: ir.Node, name: str, picked: Array) -> Any:
    x = low.var(node, 0)
    channels = x.shape[1]
    return low.mb.conv(
        x=x,
        weight=low.fit(node, np.tile(picked, (channels, 1, 1, 1))),
        strides=picked.shape,
        pad_type="valid",
        groups=channels,
        name=name,
    )


def _nearest(low: Lowering, node: ir.Node, name: str, factors: tuple[float, float]) -> Any:
    """Nearest: repetition of pixels if equivalent, else a gather with ONNX's indices."""
    pair = (_coordinates(node).removeprefix("pytorch_"), attr_str(node, "nearest_mode", "round_prefer_floor"))
    x = low.var(node, 0)
    if all(factor.is_integer() and factor >= 1 for factor in factors) and pair in _REPEATS:
        tall, wide = (int(factor) for factor in factors)
        return low.mb.upsample_nearest_neighbor(x=x, scale_factor_height=tall, scale_factor_width=wide, name=name)
    rows, columns = (places.astype(np.int32) for places in _places(node, x))
    tall_enough = low.mb.gather(x=x, indices=rows, axis=2, name=f"{name}_rows")
    return low.mb.gather(x=tall_enough, indices=columns, axis=3, name=name)


def _linear(low: Lowering, node: ir.Node, name: str, factors: tuple[float, float]) -> Any:
    x, coordinates = low.var(node, 0), _coordinates(node)
    corners = coordinates == "align_corners"
    if all(factor.is_integer() for factor in factors) and coordinates != "asymmetric":
        tall, wide = (int(factor) for factor in factors)
        return low.mb.upsample_bilinear(
            x=x, scale_factor_height=tall, scale_factor_width=wide, align_corners=corners, name=name
        )
    height, width = target = _target(node, x, factors)
    grown = [abs(n * factor - m) < _SAME * m for n, factor, m in zip(x.shape[2:], factors, target, strict=True)]
    if min(target) > 1 and (corners or all(grown)):
        sampling = _SAMPLING[coordinates.removeprefix("pytorch_")]
        return low.mb.resize_bilinear(
            x=x, target_size_height=height, target_size_width=width, sampling_mode=sampling, name=name
        )
    return _matrices(low, node, name)


def _matrices(low: Lowering, node: ir.Node, name: str) -> Any:
    """Products with ONNX Runtime's interpolation matrices for rows and columns, for any mode."""
    x = low.var(node, 0)
    lengths = _fixed_sides(node, x)
    rows, columns = (low.fit(node, resampling.weights(node, 2 + i, n)) for i, n in enumerate(lengths))
    tall_enough = low.mb.matmul(x=rows[None, None], y=x, name=f"{name}_rows")
    return low.mb.matmul(x=tall_enough, y=columns.T.copy(), name=name)


def _places(node: ir.Node, x: Any) -> list[Array]:
    """Sampling positions in the input, for height and for width."""
    return [resampling.places(node, 2 + i, n) for i, n in enumerate(_fixed_sides(node, x))]


def _fixed_sides(node: ir.Node, x: Any) -> tuple[int, int]:
    height, width = x.shape[2:]
    if not (isinstance(height, int) and isinstance(width, int)):
        mode = attr_str(node, "mode", "nearest")
        raise refuse(node, f"{mode} with these factors needs a fixed size: export it for one size")
    if not resampling.known(node):
        raise refuse(node, "only height and width can be resized, by constant factors or to a constant size")
    return height, width


def _takes(node: ir.Node, x: Any, picked: Array) -> bool:
    """Whether windows weighted by ``picked`` sample the right points, as far as the size is known."""
    if not all(isinstance(n, int) for n in x.shape):
        return True
    middles = [(picked.sum(1 - i) * np.arange(n)).sum() for i, n in enumerate(picked.shape)]
    windows = zip(_places(node, x), picked.shape, middles, x.shape[2:], strict=True)
    return all(resampling.same(p, np.arange(len(p)) * step + middle, n) for p, step, middle, n in windows)


def _factors(node: ir.Node, x: Any) -> tuple[float, float]:
    scales = constant(operand(node, 2))
    if scales is not None and scales.size == 4:
        return _spatial(node, scales)
    sizes = constant(operand(node, 3))
    if sizes is None or not all(isinstance(n, int) for n in x.shape):
        raise refuse(node, "its factors must be constants")
    return _spatial(node, sizes / np.asarray(x.shape, np.float64))


def _spatial(node: ir.Node, per_axis: Array) -> tuple[float, float]:
    if per_axis[0] != 1 or per_axis[1] != 1:
        raise refuse(node, "only height and width can be resized")
    return float(per_axis[2]), float(per_axis[3])


def _target(node: ir.Node, x: Any, factors: tuple[float, float]) -> tuple[int, int]:
    sizes = constant(operand(node, 3))
    if sizes is not None and sizes.size == 4:
        return int(sizes[2]), int(sizes[3])
    height, width = x.shape[2:]
    if not (isinstance(height, int) and isinstance(width, int)):
        mode = attr_str(node, "mode", "nearest")
        raise refuse(node, f"{mode} by the factors {factors} needs a fixed size: export it for one size")
    rows, columns = _places(node, x)
    return len(rows), len(columns)
