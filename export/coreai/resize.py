"""The rule of Resize.

Core AI's ``interpolate`` samples output ``d`` of an axis at ``(d + 1/2 - offset) / scale - 1/2`` of the input. It is
used where ONNX Runtime samples the same points; elsewhere, and for cubic and antialias, the rule emits two matrix
products with ONNX Runtime's interpolation weights (``export.resampling``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export import resampling
from clearport.export.coreai.lowering import Lowering, refuse, sides_of
from clearport.export.coreai.matrix import product
from clearport.graph.nodes import attr_int, attr_str

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array

# A pixel's center never falls on the border of two others when the factor is whole, so both roundings agree.
_REPEATS = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil")}


@dataclass(frozen=True)
class _Axis:
    """Interpolation parameters of one side."""

    scale: float
    offset: float

    def places(self, count: int, old: int) -> Array:
        found: Array = (np.arange(count) + 0.5 - self.offset) / self.scale - 0.5
        return found.clip(0, old - 1)


def resize(low: Lowering, node: ir.Node) -> Any:
    """Resize of height and width; see the module for the forms."""
    x = low.var(node, 0)
    if None in sides_of(x):
        return _at_any_size(low, node, x)
    if not resampling.known(node):
        raise refuse(node, "only height and width can be resized, by constant factors or to a constant size")
    old = tuple(int(n) for n in x.type.shape[2:])
    places = [resampling.places(node, 2 + axis, n) for axis, n in enumerate(old)]
    new = (len(places[0]), len(places[1]))
    axes = [_axis(node, a, b) for a, b in zip(old, new, strict=True)]
    if not all(_fits(node, *one) for one in zip(places, axes, old, strict=True)):
        return _mixed(low, node, x)
    return _interpolated(low, node, x, (*x.type.shape[:2], *new), axes)


def _fits(node: ir.Node, places: Array, axis: _Axis, old: int) -> bool:
    """Whether Core AI samples the same points as ONNX Runtime along a side, with a supported mode."""
    if _mode(node) == "nearest":
        times = len(places) // old
        return times * old == len(places) and np.array_equal(places, np.arange(len(places)) // times)
    plain = _mode(node) == "linear" and not attr_int(node, "antialias", 0)
    return plain and resampling.same(places, axis.places(len(places), old), old)


def _mode(node: ir.Node) -> str:
    return attr_str(node, "mode", "nearest")


def _coordinates(node: ir.Node) -> str:
    return attr_str(node, "coordinate_transformation_mode", "half_pixel").removeprefix("pytorch_")


def _axis(node: ir.Node, old: int, new: int) -> _Axis:
    """A side's parameters by the formula of ONNX's coordinate transformation mode."""
    coordinates = _coordinates(node)
    if _mode(node) == "nearest":
        return _Axis(new / old, 0.0)
    scale = new / old
    if coordinates == "align_corners" and new > 1 and old > 1:
        scale = (new - 1) / (old - 1)
    return _Axis(scale, 0.0 if coordinates == "half_pixel" else 0.5 * (1 - scale))


def _interpolated(low: Lowering, node: ir.Node, x: Any, shape: Any, axes: list[_Axis]) -> Any:
    """``x`` (N, C, H, W) interpolated to ``shape``: constants, or arguments of ``shape_vector``."""
    mode = "nearest_neighbor" if _mode(node) == "nearest" else "linear"
    scales = np.array([1, 1, *(axis.scale for axis in axes)], np.float32)
    offsets = np.array([0, 0, *(axis.offset for axis in axes)], np.float32)
    return low.ops.interpolate(x, low.shape_vector(x, shape), scales, offsets, mode)


def _at_any_size(low: Lowering, node: ir.Node, x: Any) -> Any:
    """By integer factors, which determine sampling points at any size."""
    factors = resampling.factors(node)
    if factors is None or not all(factor.is_integer() and factor >= 1 for factor in factors):
        raise refuse(node, "these factors, or a target size, need a fixed input size: export it for one size")
    pair = (_coordinates(node), attr_str(node, "nearest_mode", "round_prefer_floor"))
    nearest = _mode(node) == "nearest" and pair in _REPEATS
    linear = _mode(node) == "linear" and pair[0] in {"half_pixel", "asymmetric"} and not attr_int(node, "antialias", 0)
    if not nearest and not linear:
        raise refuse(node, f"{_mode(node)} with {pair[0]} coordinates needs a fixed size: export it for one size")
    sides = [(2 + i, int(factor), 1) for i, factor in enumerate(factors)]
    axes = [_axis(node, 1, int(factor)) for factor in factors]
    return _interpolated(low, node, x, (*(int(n) for n in x.type.shape[:2]), *sides), axes)


def _mixed(low: Lowering, node: ir.Node, x: Any) -> Any:
    """Products with ONNX Runtime's interpolation matrices for rows and columns, for any mode."""
    rows, columns = (low.fit(node, resampling.weights(node, 2 + i, int(n))) for i, n in enumerate(x.type.shape[2:]))
    return product(low, x, rows, columns)
