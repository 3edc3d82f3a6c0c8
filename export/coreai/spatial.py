"""Rules of spatial operators: pools, pads, slices, depth to space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreai import beta
from clearport.export.coreai.conv import padded, pads_of
from clearport.export.coreai.lowering import Lowering, refined, refuse, sides_of
from clearport.graph.nodes import attr_int, attr_ints, attr_str, constant, need_constant, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array

_TO_THE_END = np.iinfo(np.int32).max
_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
"""ONNX padding mode -> Core AI padding mode."""


def _window(node: ir.Node) -> tuple[Array, Array, Array]:
    """Kernel, strides and dilations of a pool."""
    if attr_int(node, "ceil_mode", 0):
        raise refuse(node, "no conversion rule for windows that end beyond the input (ceil_mode)")
    kernel = attr_ints(node, "kernel_shape", ())
    if len(kernel) != 2:
        raise refuse(node, f"its window has {len(kernel)} axes: expected 2")
    steps = (attr_ints(node, name, (1, 1)) for name in ("strides", "dilations"))
    return tuple(np.array(pair, np.uint32) for pair in (kernel, *steps))  # type: ignore[return-value]  # three of them


def max_pool(low: Lowering, node: ir.Node) -> Any:
    """MaxPool -> a pad with the lowest number, and maxpool2d."""
    kernel, strides, dilations = _window(node)
    x = padded(low, low.var(node, 0), pads_of(node), float(np.finfo(low.compute).min))
    windows = zip(sides_of(x)[2:], (kernel - 1) * dilations, strides, strict=True)
    sides = [-1 if n is None else (n - int(reach) - 1) // int(stride) + 1 for n, reach, stride in windows]
    kind = low.ops.TensorType((*x.type.shape[:2], *sides), low.compute)
    return low.ops.maxpool2d(kind, x, kernel, strides, dilations, False)


def average_pool(low: Lowering, node: ir.Node) -> Any:
    """AveragePool -> window sums by a convolution with ones, divided by the number of pixels in each window."""
    kernel, strides, dilations = _window(node)
    pads = pads_of(node)
    x = padded(low, low.var(node, 0), pads, 0.0)
    channels = int(x.type.shape[1])
    ones = beta.constant(np.ones((channels, 1, *kernel), low.compute))
    sums = low.ops.conv2d(x, ones, strides, dilations, np.uint32(channels))
    if not any(pads) or attr_int(node, "count_include_pad", 0):
        return low.ops.broadcasting_divide(sums, low.compute(kernel.prod()))
    counts = _counts(low, node)
    return low.ops.broadcasting_divide(sums, beta.constant(counts))


def _counts(low: Lowering, node: ir.Node) -> Array:
    """Number of picture pixels in each window: (1, 1, height, width)."""
    sides = sides_of(low.var(node, 0))[2:]
    top, left, bottom, right = pads_of(node)
    lines = []
    for axis, (side, before, after) in enumerate(zip(sides, (top, left), (bottom, right), strict=True)):
        if side is None:
            raise refuse(node, "an average that excludes padding needs a fixed size: export it for one size")
        kernel, stride, dilation = (int(pair[axis]) for pair in _window(node))
        there = np.pad(np.ones(side), (before, after))
        starts = range(0, len(there) - (kernel - 1) * dilation, stride)
        lines.append([there[start : start + (kernel - 1) * dilation + 1 : dilation].sum() for start in starts])
    heights, widths = (np.array(line, low.compute) for line in lines)
    counts: Array = heights[:, None] * widths
    return counts[None, None]


def pad(low: Lowering, node: ir.Node) -> Any:
    """Pad -> pad; reflect and edge take height and width only."""
    mode = attr_str(node, "mode", "constant")
    if mode not in _MODES:
        raise refuse(node, f"no conversion rule for mode {mode!r}")
    x = low.var(node, 0)
    amounts = _amounts(node, len(x.type.shape))
    if mode != "constant" and amounts[:, :-2].any():
        raise refuse(node, f"mode {mode!r} supports height and width only")
    fill = constant(operand(node, 2)) if mode == "constant" else None
    value = low.fit(node, 0.0 if fill is None else fill.reshape(()))
    return low.ops.pad(x, amounts.T.reshape(-1).astype(np.uint32), value[()], _MODES[mode])


def _amounts(node: ir.Node, rank: int) -> Array:
    """How much each axis grows, before and after: (2, rank)."""
    given = need_constant(node, 1).astype(np.int32).reshape(2, -1)
    if (given < 0).any():
        raise refuse(node, "negative pads crop: use Slice")
    axes = constant(operand(node, 3))
    amounts = np.zeros((2, rank), np.int32)
    amounts[:, range(rank) if axes is None else axes.astype(int)] = given
    return amounts


def cut(low: Lowering, node: ir.Node) -> Any:
    """Slice -> slice, of the reversed axis for negative steps; its position must be constant."""
    x = low.var(node, 0)
    sides = sides_of(x)
    if any(constant(value) is None for value in node.inputs[1:] if value is not None):
        raise refuse(node, "its position depends on the input size: export it for one size")
    starts, ends = need_constant(node, 1).tolist(), need_constant(node, 2).tolist()
    axes = _integers(node, 3, list(range(len(starts))))
    steps = _integers(node, 4, [1] * len(starts))
    back = [axis for axis, step in zip(axes, steps, strict=True) if step < 0]
    x = low.ops.reverse(x, np.array(back, np.int32)) if back else x
    begin, end, stride = [0] * len(sides), [_TO_THE_END if n is None else n for n in sides], [1] * len(sides)
    for axis, start, stop, step in zip(axes, starts, ends, steps, strict=True):
        begin[axis], end[axis] = _bounds(node, sides[axis], start, stop, backwards=step < 0)
        stride[axis] = abs(step)
    return low.ops.slice_(x, *(np.array(numbers, np.int32) for numbers in (begin, end, stride)))


def _bounds(node: ir.Node, side: int | None, start: int, stop: int, *, backwards: bool) -> tuple[int, int]:
    """Start and end indices, from the beginning; ``backwards``: of the reversed axis."""
    if side is not None:
        first, last, _ = slice(start, stop, -1 if backwards else 1).indices(side)
        return (side - 1 - first, side - 1 - last) if backwards else (first, last)
    if backwards or start < 0 or stop < _TO_THE_END:
        raise refuse(node, "it slices a dynamic axis: export it for one size")
    return start, _TO_THE_END


def _integers(node: ir.Node, index: int, default: list[int]) -> list[int]:
    return default if operand(node, index) is None else [int(n) for n in need_constant(node, index)]


def depth_to_space(low: Lowering, node: ir.Node) -> Any:
    """DepthToSpace -> reshape, transpose, reshape."""
    x, block = low.var(node, 0), attr_int(node, "blocksize", 0)
    batch, height, width = _sides(x, (0, 2, 3))
    outer = int(x.type.shape[1]) // (block * block)
    if attr_str(node, "mode", "DCR") == "CRD":
        split, order = [batch, outer, block, block, height, width], (0, 1, 4, 2, 5, 3)
    else:
        split, order = [batch, block, block, outer, height, width], (0, 3, 4, 1, 5, 2)
    whole = [batch, outer, *_scaled(x, block, 1)]
    return _shuffled(low, x, split, order, whole)


def space_to_depth(low: Lowering, node: ir.Node) -> Any:
    """SpaceToDepth -> reshape, transpose, reshape: the position within the block is the outer part of the channel
    index.
    """
    x, block = low.var(node, 0), attr_int(node, "blocksize", 0)
    batch, channels = _sides(x, (0, 1))
    height, width = _scaled(x, 1, block)
    split = [batch, channels, height, block, width, block]
    whole = [batch, int(x.type.shape[1]) * block * block, height, width]
    return _shuffled(low, x, split, (0, 3, 5, 1, 2, 4), whole)


def _shuffled(low: Lowering, x: Any, split: list[Any], order: tuple[int, ...], whole: list[Any]) -> Any:
    ops = low.ops
    parts = refined(low, ops.reshape(x, low.shape_vector(x, split)), split)
    moved = ops.transpose(parts, np.array(order, np.uint32))
    return ops.reshape(moved, low.shape_vector(x, whole))


def _sides(x: Any, axes: tuple[int, ...]) -> list[Any]:
    """Sides of ``x`` as ``shape_vector`` takes them."""
    return [int(x.type.shape[a]) if x.type.shape[a] >= 0 else (a, 1, 1) for a in axes]


def _scaled(x: Any, times: int, over: int) -> list[Any]:
    """Height and width of ``x``, multiplied by one number and divided by another."""
    return [int(x.type.shape[a]) * times // over if x.type.shape[a] >= 0 else (a, times, over) for a in (2, 3)]


def concat(low: Lowering, node: ir.Node) -> Any:
    """Concat -> concat."""
    parts = [low.var(node, i) for i in range(len(node.inputs))]
    axis = attr_int(node, "axis", 1)
    return low.ops.concat(np.int32(axis % len(parts[0].type.shape)), parts)
