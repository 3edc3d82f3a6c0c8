"""Rules of spatial operators: windows, pools, pads, slices, depth to space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreml.lowering import Lowering, refuse
from clearport.graph.nodes import attr_int, attr_ints, attr_str, constant, need_constant, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array

_TO_THE_END = np.iinfo(np.int32).max
_MIL_PAD = {"reflect": "reflect", "edge": "replicate"}


def bias(low: Lowering, node: ir.Node) -> dict[str, Any]:
    """``bias=...`` of a convolution, or nothing where it has none."""
    return {} if operand(node, 2) is None else {"bias": low.array(node, 2)}


def window(node: ir.Node) -> dict[str, Any]:
    """Strides and explicit padding of a sliding window, as MIL takes them."""
    if attr_str(node, "auto_pad", "NOTSET") != "NOTSET":
        raise refuse(node, "its pads must be explicit, not auto_pad")
    top, left, bottom, right = attr_ints(node, "pads", (0, 0, 0, 0))
    return {
        "strides": attr_ints(node, "strides", (1, 1)),
        "pad_type": "custom",
        "pad": (top, bottom, left, right),
    }


def _pool(node: ir.Node) -> dict[str, Any]:
    """Settings of a pool. MIL's ceil_mode is PyTorch's, as ONNX's is, and takes even padding only."""
    if any(step != 1 for step in attr_ints(node, "dilations", (1, 1))):
        raise refuse(node, "Core ML's pooling has no dilation")
    settings = {"kernel_sizes": attr_ints(node, "kernel_shape", ()), **window(node)}
    if attr_int(node, "ceil_mode", 0):
        top, bottom, left, right = settings["pad"]
        if top != bottom or left != right:
            raise refuse(node, f"Core ML's ceil_mode needs symmetric padding, not {settings['pad']}")
        settings["ceil_mode"] = True
    return settings


def max_pool(low: Lowering, node: ir.Node, name: str) -> Any:
    """MaxPool -> max_pool."""
    return low.mb.max_pool(x=low.var(node, 0), **_pool(node), name=name)


def average_pool(low: Lowering, node: ir.Node, name: str) -> Any:
    """AveragePool -> avg_pool, with the same count_include_pad."""
    counted = bool(attr_int(node, "count_include_pad", 0))
    if counted and attr_int(node, "ceil_mode", 0):
        raise refuse(node, "Core ML does not define the divisor of windows beyond the padding (ceil_mode)")
    return low.mb.avg_pool(x=low.var(node, 0), **_pool(node), exclude_padding_from_average=not counted, name=name)


def pad(low: Lowering, node: ir.Node, name: str) -> Any:
    """Pad -> pad of the last axes, from the first padded one; reflect and edge of height and width only."""
    mode = attr_str(node, "mode", "constant")
    if mode not in {"constant", *_MIL_PAD}:
        raise refuse(node, f"no conversion rule for mode {mode!r}")
    x = low.var(node, 0)
    amounts = _amounts(node, x.rank)
    grown = np.flatnonzero(amounts.any(axis=0))
    first = min(int(grown[0]) if grown.size else x.rank - 2, x.rank - 2)
    ends = amounts[:, first:].T.reshape(-1)
    if mode == "constant":
        fill = constant(operand(node, 2))
        value = low.fit(node, 0.0 if fill is None else fill.reshape(()))
        return low.mb.pad(x=x, pad=ends, mode="constant", constant_val=value, name=name)
    if first < x.rank - 2:
        raise refuse(node, f"mode {mode!r} supports height and width only")
    return low.mb.pad(x=x, pad=ends, mode=_MIL_PAD[mode], name=name)


def _amounts(node: ir.Node, rank: int) -> Array:
    """How much each axis grows, before and after: (2, rank)."""
    given = need_constant(node, 1).astype(np.int32).reshape(2, -1)
    if (given < 0).any():
        raise refuse(node, "negative pads crop: use Slice")
    axes = constant(operand(node, 3))
    amounts = np.zeros((2, rank), np.int32)
    amounts[:, range(rank) if axes is None else axes.astype(int)] = given
    return amounts


def slice_(low: Lowering, node: ir.Node, name: str) -> Any:
    """Slice -> slice_by_index; unnamed axes and open ends are masked."""
    x = low.var(node, 0)
    if any(constant(value) is None for value in node.inputs[1:] if value is not None):
        raise refuse(node, "its position depends on the input size: export it for one size")
    starts, ends = need_constant(node, 1).tolist(), need_constant(node, 2).tolist()
    axes = _integers(node, 3, list(range(len(starts))))
    steps = _integers(node, 4, [1] * len(starts))
    for place, (axis, start, stop, step) in enumerate(zip(axes, starts, ends, steps, strict=True)):
        if step < 0:
            x = _backwards(low, node, x, axis, slice(start, stop, step), f"{name}_turned{place}")
            starts[place], ends[place], steps[place] = 0, _TO_THE_END, 1
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


def _backwards(low: Lowering, node: ir.Node, x: Any, axis: int, places: slice, name: str) -> Any:
    """A backward slice: gather of the descending indices ``places``."""
    size = x.shape[axis]
    if not isinstance(size, int | np.integer):
        raise refuse(node, "it slices a dynamic axis backward: export it for one size")
    stop = None if places.stop < -size else places.stop
    rows = np.arange(size)[places.start : stop : places.step]
    return low.mb.gather(x=x, indices=rows.astype(np.int32), axis=axis, name=name)


def _integers(node: ir.Node, index: int, default: list[int]) -> list[int]:
    return default if operand(node, index) is None else [int(n) for n in need_constant(node, index)]


def depth_to_space(low: Lowering, node: ir.Node, name: str) -> Any:
    """DepthToSpace DCR -> depth_to_space (TensorFlow's order); CRD -> pixel_shuffle (PyTorch's)."""
    x, block = low.var(node, 0), attr_int(node, "blocksize", 0)
    if attr_str(node, "mode", "DCR") == "CRD":
        return low.mb.pixel_shuffle(x=x, upscale_factor=block, name=name)
    return low.mb.depth_to_space(x=x, block_size=block, name=name)


def space_to_depth(low: Lowering, node: ir.Node, name: str) -> Any:
    """SpaceToDepth -> space_to_depth: in both, the position within the block is the outer part of the channel index."""
    return low.mb.space_to_depth(x=low.var(node, 0), block_size=attr_int(node, "blocksize", 0), name=name)


def concat(low: Lowering, node: ir.Node, name: str) -> Any:
    """Concat -> concat."""
    parts = tuple(low.var(node, i) for i in range(len(node.inputs)))
    return low.mb.concat(values=parts, axis=attr_int(node, "axis", 1), name=name)
