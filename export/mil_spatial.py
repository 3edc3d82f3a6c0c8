"""Rules of the operators that look at or change the spatial axes: windows, pools, pads, slices, resizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.mil_lowering import Lowering, refuse
from clearport.graphs import attr_int, attr_ints, attr_str, constant, need_constant, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array

_TO_THE_END = np.iinfo(np.int32).max
# A pixel's centre never falls on the border of two others when the factor is whole, so both roundings agree.
_REPEATS = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil")}


def bias(low: Lowering, node: ir.Node) -> dict[str, Any]:
    """``bias=...`` of a convolution, or nothing where it has none."""
    return {} if operand(node, 2) is None else {"bias": low.array(node, 2)}


def window(node: ir.Node) -> dict[str, Any]:
    """Strides and explicit padding of a sliding window, as MIL takes them."""
    if attr_str(node, "auto_pad", "NOTSET") != "NOTSET":
        raise refuse(node, "its padding must be given in numbers (auto_pad is not)")
    top, left, bottom, right = attr_ints(node, "pads", (0, 0, 0, 0))
    return {
        "strides": attr_ints(node, "strides", (1, 1)),
        "pad_type": "custom",
        "pad": (top, bottom, left, right),
    }


def _pool(node: ir.Node) -> dict[str, Any]:
    if any(step != 1 for step in attr_ints(node, "dilations", (1, 1))):
        raise refuse(node, "Core ML's pooling has no dilation")
    if attr_int(node, "ceil_mode", 0):
        raise refuse(node, "ceil_mode rounds differently in Core ML")
    return {"kernel_sizes": attr_ints(node, "kernel_shape", ()), **window(node)}


def max_pool(low: Lowering, node: ir.Node, name: str) -> Any:
    """MaxPool -> max_pool."""
    return low.mb.max_pool(x=low.var(node, 0), **_pool(node), name=name)


def average_pool(low: Lowering, node: ir.Node, name: str) -> Any:
    """AveragePool -> avg_pool; whether padding counts is kept."""
    counted = bool(attr_int(node, "count_include_pad", 0))
    return low.mb.avg_pool(x=low.var(node, 0), **_pool(node), exclude_padding_from_average=not counted, name=name)


def global_average_pool(low: Lowering, node: ir.Node, name: str) -> Any:
    """GlobalAveragePool -> reduce_mean over height and width."""
    return low.mb.reduce_mean(x=low.var(node, 0), axes=[2, 3], keep_dims=True, name=name)


def pad(low: Lowering, node: ir.Node, name: str) -> Any:
    """Pad with a constant -> pad of the last axes, from the first one that grows."""
    mode = attr_str(node, "mode", "constant")
    if mode != "constant":
        raise refuse(node, f"there is no rule for mode {mode!r}")
    if constant(operand(node, 3)) is not None:
        raise refuse(node, "its pads must be given for every axis")
    amounts = need_constant(node, 1).astype(np.int32).reshape(2, -1)
    if (amounts < 0).any():
        raise refuse(node, "negative pads crop: that is a Slice")
    grown = np.flatnonzero(amounts.any(axis=0))
    first = min(int(grown[0]) if grown.size else 2, 2)
    fill = operand(node, 2)
    value = low.fit(node, 0.0 if fill is None else need_constant(node, 2).reshape(()))
    ends = amounts[:, first:].T.reshape(-1)
    return low.mb.pad(x=low.var(node, 0), pad=ends, mode="constant", constant_val=value, name=name)


def slice_(low: Lowering, node: ir.Node, name: str) -> Any:
    """Slice -> slice_by_index; axes that are not named, and open ends, are masked."""
    x = low.var(node, 0)
    starts, ends = need_constant(node, 1).tolist(), need_constant(node, 2).tolist()
    axes = _integers(node, 3, list(range(len(starts))))
    steps = _integers(node, 4, [1] * len(starts))
    if any(step < 1 for step in steps):
        raise refuse(node, f"steps {steps} must be positive")
    begin, end, stride = np.zeros(x.rank, np.int32), np.zeros(x.rank, np.int32), np.ones(x.rank, np.int32)
    begin_open, end_open = [True] * x.rank, [True] * x.rank
    for axis, start, stop, step in zip(axes, starts, ends, steps, strict=True):
        begin[axis], stride[axis] = start, step
        begin_open[axis] = start == 0
        size = x.shape[axis]
        end_open[axis] = stop >= (size if isinstance(size, int) else _TO_THE_END)
        end[axis] = 0 if end_open[axis] else stop
    return low.mb.slice_by_index(
        x=x, begin=begin, end=end, stride=stride, begin_mask=begin_open, end_mask=end_open, name=name
    )


def _integers(node: ir.Node, index: int, default: list[int]) -> list[int]:
    return default if operand(node, index) is None else [int(n) for n in need_constant(node, index)]


def resize(low: Lowering, node: ir.Node, name: str) -> Any:
    """Resize nearest by whole factors -> upsample_nearest_neighbor; linear -> upsample_bilinear or resize_bilinear."""
    mode, x = attr_str(node, "mode", "nearest"), low.var(node, 0)
    factors = _factors(node, x)
    if mode == "nearest":
        return _nearest(low, node, name, factors)
    if mode != "linear":
        raise refuse(node, f"there is no rule for mode {mode!r}")
    aligned = attr_str(node, "coordinate_transformation_mode", "half_pixel")
    if aligned not in {"half_pixel", "pytorch_half_pixel", "align_corners"}:
        raise refuse(node, f"there is no rule for linear with {aligned!r} coordinates")
    corners = aligned == "align_corners"
    if all(factor.is_integer() for factor in factors):
        tall, wide = (int(factor) for factor in factors)
        return low.mb.upsample_bilinear(
            x=x, scale_factor_height=tall, scale_factor_width=wide, align_corners=corners, name=name
        )
    target = _target(node, x, factors)
    sampling = "STRICT_ALIGN_CORNERS" if corners else "UNALIGN_CORNERS"
    return low.mb.resize_bilinear(
        x=x, target_size_height=target[0], target_size_width=target[1], sampling_mode=sampling, name=name
    )


def _nearest(low: Lowering, node: ir.Node, name: str, factors: tuple[float, float]) -> Any:
    """Every pixel repeated, which is what these pairs of coordinates and rounding come to with whole factors."""
    if not all(factor.is_integer() and factor >= 1 for factor in factors):
        raise refuse(node, f"nearest by the factors {factors}: only whole ones have one meaning everywhere")
    coordinates = attr_str(node, "coordinate_transformation_mode", "half_pixel")
    rounding = attr_str(node, "nearest_mode", "round_prefer_floor")
    if (coordinates.removeprefix("pytorch_"), rounding) not in _REPEATS:
        raise refuse(node, f"nearest with {coordinates!r} coordinates and {rounding!r} does not repeat pixels")
    tall, wide = (int(factor) for factor in factors)
    return low.mb.upsample_nearest_neighbor(
        x=low.var(node, 0), scale_factor_height=tall, scale_factor_width=wide, name=name
    )


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
        raise refuse(node, f"linear by the factors {factors} needs a fixed size")
    return int(height * factors[0]), int(width * factors[1])
