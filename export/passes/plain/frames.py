"""Express operators with one or three spatial axes by 2-D operators.

Given: Conv, ConvTranspose, pools and Resize of (N, C, L); Conv, pools and Resize of one clip (1, C, T, H, W).
Result: 1-D data become pictures of height 1. The frames of a clip become a batch of pictures: a kernel over several
frames reads them concatenated as channels, a pool over several frames is their maximum or mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from clearport.export.passes.plain.picks import picked
from clearport.export.passes.rewriting import constant, each_float, fixed, insert, rank, reshaped, sizes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph

_WINDOWS = ("kernel_shape", "strides", "dilations", "output_padding")
_KEPT = ("group", "count_include_pad", "ceil_mode", "auto_pad")
_NOTHING = float(np.finfo(np.float32).min)


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    found = [node for node in graph.model.graph if node.op_type in _RULES and rank(graphs.need(node, 0)) != 4]
    return each_float(graph, _RULES) if found else graph


def _attributes(node: ir.Node, first: int, count: int, more: Sequence[int] = ()) -> dict[str, Any]:
    """A window's attributes for ``count`` spatial axes from ``first`` on, preceded by trivial axes."""
    spatial = rank(graphs.need(node, 0)) - 2
    found: dict[str, Any] = {name: node.attributes[name].value for name in _KEPT if name in node.attributes}
    for name in _WINDOWS:
        if name in node.attributes:
            fill = [0 if name == "output_padding" else 1] * len(more)
            found[name] = [*fill, *graphs.attr_ints(node, name, ())[first : first + count]]
    pads = graphs.attr_ints(node, "pads", (0,) * (2 * spatial))
    if "auto_pad" not in found or found["auto_pad"] == "NOTSET":
        ends = [pads[side + first : side + first + count] for side in (0, spatial)]
        found["pads"] = [*more, *ends[0], *more, *ends[1]]
    return found


def _line(node: ir.Node) -> ir.Value | None:
    """(N, C, L) as (N, C, 1, L)."""
    source, after = graphs.need(node, 0), fixed(node.outputs[0])
    before = fixed(source)
    if before is None or after is None or len(before) != 3 or len(node.outputs) > 1:
        return None
    others: list[ir.Value | None] = list(node.inputs[1:])
    if node.op_type.startswith("Conv"):
        weight = graphs.constant(graphs.need(node, 1))
        if weight is None:
            return None
        others[0] = constant(node, "weight", weight[:, :, None])
    picture = reshaped(node, source, (*before[:2], 1, before[2]))
    shape = (*after[:2], 1, after[2])
    return reshaped(node, insert(node, node.op_type, [picture, *others], shape, _attributes(node, 0, 1, [0])), after)


def _resized_line(node: ir.Node) -> ir.Value | None:
    source, after = graphs.need(node, 0), fixed(node.outputs[0])
    before = fixed(source)
    if before is None or after is None or "axes" in node.attributes:
        return None
    if len(before) == 5:
        return _resized_clip(node, before, after)
    if len(before) != 3:
        return None
    numbers = [graphs.constant(graphs.operand(node, index)) for index in (2, 3)]
    given = [None if array is None or not array.size else np.insert(array, 2, 1) for array in numbers]
    if all(array is None for array in given):
        return None
    held = [
        None if array is None else constant(node, "by", array.tolist() if array.dtype.kind == "i" else array)
        for array in given
    ]
    picture = reshaped(node, source, (*before[:2], 1, before[2]))
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    return reshaped(node, insert(node, "Resize", [picture, None, *held], (*after[:2], 1, after[2]), attributes), after)


def _resized_clip(node: ir.Node, before: tuple[int, ...], after: tuple[int, ...]) -> ir.Value | None:
    """Resize frames as channels, then time as height: axes are resized independently in any mode."""
    numbers = [graphs.constant(graphs.operand(node, index)) for index in (2, 3)]
    by_scales = numbers[0] is not None and numbers[0].size > 0
    given = numbers[0] if by_scales else numbers[1]
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    moved = attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    if given is None or before[:2] != after[:2] or before == after or moved:
        return None
    count, channels, frames = before[:3]

    def resized(value: ir.Value, own: Sequence[float], shape: Sequence[int]) -> ir.Value:
        held = constant(node, "by", np.array(own) if by_scales else [int(n) for n in own])
        return insert(node, "Resize", [value, None, *([held] if by_scales else [None, held])], shape, attributes)

    value = graphs.need(node, 0)
    if before[3:] != after[3:]:
        pictures = reshaped(node, value, (count, channels * frames, *before[3:]))
        leading = (1, 1) if by_scales else (count, channels * frames)
        value = resized(pictures, [*leading, *given[3:]], (count, channels * frames, *after[3:]))
    if before[2] == after[2]:
        return reshaped(node, value, after)
    pixels = after[3] * after[4]
    lines = reshaped(node, value, (count, channels, frames, pixels))
    own = [1, 1, given[2], 1] if by_scales else [count, channels, given[2], pixels]
    return reshaped(node, resized(lines, own, (count, channels, after[2], pixels)), after)


def _convolution(node: ir.Node) -> ir.Value | None:
    return _line(node) if rank(graphs.need(node, 0)) == 3 else _clip_convolution(node)


def _clip_convolution(node: ir.Node) -> ir.Value | None:
    source, weight, after = graphs.need(node, 0), graphs.constant(graphs.need(node, 1)), fixed(node.outputs[0])
    before = fixed(source)
    if before is None or after is None or weight is None or len(before) != 5 or before[0] != 1:
        return None
    if graphs.attr_str(node, "auto_pad", "NOTSET") not in {"NOTSET", "VALID"}:
        return None
    group = graphs.attr_int(node, "group", 1)
    span = weight.shape[2]
    frames = _stacked(node, span)
    if frames is None:
        return None
    together = frames[0] if span == 1 else _beside(node, frames, group)
    kernel = weight.swapaxes(1, 2).reshape(weight.shape[0], -1, *weight.shape[3:])
    operands = [together, constant(node, "weight", kernel), *node.inputs[2:]]
    made = insert(node, "Conv", operands, (after[2], after[1], *after[3:]), _attributes(node, 1, 2))
    return _clip(node, made, after)


def _transposed(node: ir.Node) -> ir.Value | None:
    return _line(node) if rank(graphs.need(node, 0)) == 3 else _clip_transposed(node)


def _clip_transposed(node: ir.Node) -> ir.Value | None:
    """Each output frame is the sum of 2-D transposed convolutions of the input frames that reach it, one per tap."""
    source, weight, after = graphs.need(node, 0), graphs.constant(graphs.need(node, 1)), fixed(node.outputs[0])
    before = fixed(source)
    if before is None or after is None or weight is None or len(before) != 5 or before[0] != 1:
        return None
    if graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET" or "output_shape" in node.attributes:
        return None
    group, taps = graphs.attr_int(node, "group", 1), weight.shape[2]
    stride, dilation = (graphs.attr_ints(node, name, (1, 1, 1))[0] for name in ("strides", "dilations"))
    first = graphs.attr_ints(node, "pads", (0,) * 6)[0]
    clip = reshaped(node, source, before[1:])
    turned = (before[2], before[1], *before[3:])
    value = insert(node, "Transpose", [clip], turned, {"perm": [1, 0, 2, 3]})
    amounts = constant(node, "pads", [0, 0, 0, 0, 1, 0, 0, 0])  # the last picture is zero
    value = insert(node, "Pad", [value, amounts], (turned[0] + 1, *turned[1:]), {"mode": "constant"})
    reaching = []
    for tap in range(taps):
        places = [divmod(frame + first - tap * dilation, stride) for frame in range(after[2])]
        known = [at if not rest and 0 <= at < before[2] else before[2] for at, rest in places]
        reaching.append(picked(node, value, 0, known))
    frames = [each for each in reaching if each is not None]
    if len(frames) < taps:
        return None
    together = frames[0] if taps == 1 else _beside(node, frames, group)
    kernel = weight.reshape(group, -1, *weight.shape[1:]).transpose(0, 3, 1, 2, 4, 5)
    kernel = np.ascontiguousarray(kernel).reshape(-1, weight.shape[1], *weight.shape[3:])
    operands = [together, constant(node, "weight", kernel), *node.inputs[2:]]
    made = insert(node, "ConvTranspose", operands, (after[2], after[1], *after[3:]), _attributes(node, 1, 2))
    return _clip(node, made, after)


def _beside(node: ir.Node, frames: Sequence[ir.Value], group: int) -> ir.Value:
    """Neighboring frames as channels; with groups, the channels of a group are adjacent."""
    count, channels, height, width = fixed(frames[0]) or ()
    shape = (count, len(frames) * channels, height, width)
    together = insert(node, "Concat", list(frames), shape, {"axis": 1})
    if group == 1:
        return together
    order = np.arange(shape[1]).reshape(len(frames), group, -1).swapaxes(0, 1).reshape(-1)
    return picked(node, together, 1, order.tolist()) or together


def _stacked(node: ir.Node, span: int, fill: float = 0.0) -> list[ir.Value] | None:
    """For each frame offset of a window, its input pictures (T', C, H, W)."""
    before = fixed(graphs.need(node, 0)) or ()
    one = (1, 1, 1)
    stride, dilation = (graphs.attr_ints(node, name, one)[0] for name in ("strides", "dilations"))
    pads = graphs.attr_ints(node, "pads", (0,) * 6)
    turned = (before[2], before[1], *before[3:])
    clip = reshaped(node, graphs.need(node, 0), before[1:])
    value = insert(node, "Transpose", [clip], turned, {"perm": [1, 0, 2, 3]})
    if pads[0] or pads[3]:
        amounts = constant(node, "pads", [pads[0], 0, 0, 0, pads[3], 0, 0, 0])
        turned = (turned[0] + pads[0] + pads[3], *turned[1:])
        fills = [constant(node, "fill", np.array(fill))] if fill else []
        value = insert(node, "Pad", [value, amounts, *fills], turned, {"mode": "constant"})
    count = (turned[0] - (span - 1) * dilation - 1) // stride + 1
    found = [
        picked(node, value, 0, range(k * dilation, k * dilation + (count - 1) * stride + 1, stride))
        for k in range(span)
    ]
    return None if None in found else [each for each in found if each is not None]


def _clip(node: ir.Node, pictures: ir.Value, after: Sequence[int]) -> ir.Value:
    """Reassemble pictures into one clip."""
    turned = insert(node, "Transpose", [pictures], after[1:], {"perm": [1, 0, 2, 3]})
    return reshaped(node, turned, after)


def _pool(node: ir.Node) -> ir.Value | None:
    return _line(node) if rank(graphs.need(node, 0)) == 3 else _clip_pool(node)


def _clip_pool(node: ir.Node) -> ir.Value | None:
    before, after = fixed(graphs.need(node, 0)), fixed(node.outputs[0])
    if before is None or after is None or len(before) != 5 or before[0] != 1 or len(node.outputs) > 1:
        return None
    if graphs.attr_int(node, "ceil_mode", 0) or graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET":
        return None
    largest = node.op_type == "MaxPool"
    span = graphs.attr_ints(node, "kernel_shape", ())[0]
    frames = _stacked(node, span, _NOTHING if largest else 0.0)
    if frames is None:
        return None
    value = frames[0]
    for each in frames[1:]:
        value = insert(node, "Max" if largest else "Add", [value, each], fixed(value))
    if not largest and span > 1:
        value = insert(node, "Mul", [value, constant(node, "share", _shares(node, before[2], after[2]))], fixed(value))
    made = insert(node, node.op_type, [value], (after[2], after[1], *after[3:]), _attributes(node, 1, 2))
    return _clip(node, made, after)


def _shares(node: ir.Node, before: int, after: int) -> Array:
    """One over the frames that each window averages, (T', 1, 1, 1): padding is none of them."""
    span = graphs.attr_ints(node, "kernel_shape", ())[0]
    stride, dilation = (graphs.attr_ints(node, name, (1, 1, 1))[0] for name in ("strides", "dilations"))
    first = graphs.attr_ints(node, "pads", (0,) * 6)[0]
    under = np.arange(after)[:, None] * stride - first + np.arange(span) * dilation
    counts: Array = ((under >= 0) & (under < before)).sum(1)
    return np.reshape(1 / counts, (-1, 1, 1, 1))


def _global(node: ir.Node) -> ir.Value | None:
    """Global pools of one or three spatial axes -> reductions."""
    source = graphs.need(node, 0)
    shape = sizes(source)
    if shape is None or len(shape) == 4:
        return None
    op = "ReduceMean" if node.op_type == "GlobalAveragePool" else "ReduceMax"
    axes = list(range(2, len(shape)))
    return insert(node, op, [source, constant(node, "axes", axes)], (*shape[:2], *[1] * len(axes)), {"keepdims": 1})


def _instance_normalization(node: ir.Node) -> ir.Value | None:
    """Three spatial axes are merged into one."""
    source = graphs.need(node, 0)
    shape = fixed(source)
    if shape is None or len(shape) != 5:
        return None
    flat = reshaped(node, source, (*shape[:2], shape[2], shape[3] * shape[4]))
    attributes = {"epsilon": graphs.attr_float(node, "epsilon", 1e-5)}
    return reshaped(node, insert(node, node.op_type, [flat, *node.inputs[1:]], fixed(flat), attributes), shape)


_RULES: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    "AveragePool": _pool,
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "GlobalAveragePool": _global,
    "GlobalMaxPool": _global,
    "InstanceNormalization": _instance_normalization,
    "MaxPool": _pool,
    "Resize": _resized_line,
}
