"""Decompose deformable convolutions into sampling and a 1x1 convolution.

Given: DeformConv (version 2: with or without a mask) of one picture at a fixed size, with a constant kernel.
Result: per offset group one GridSample at the positions of all taps, times the mask; the samples are concatenated as
channels, and a 1x1 Conv with the kernel's weights sums them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.plain.picks import picked
from clearport.export.passes.rewriting import constant, each_float, fixed, insert, reshaped
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {"DeformConv": _deformed})


def _deformed(node: ir.Node) -> ir.Value | None:
    source, weight = graphs.need(node, 0), graphs.constant(graphs.need(node, 1))
    before, after = fixed(source), fixed(node.outputs[0])
    if before is None or after is None or weight is None or before[0] != 1 or min(before[2:]) < 2:
        return None
    count = graphs.attr_int(node, "offset_group", 1)
    found = [_sampled(node, group, count, weight.shape[2:]) for group in range(count)]
    if None in found:
        return None
    taps = weight.shape[2] * weight.shape[3]
    shape = (1, before[1] * taps, *after[2:])
    parts = [each for each in found if each is not None]
    together = parts[0] if count == 1 else insert(node, "Concat", parts, shape, {"axis": 1})
    kernel = constant(node, "weight", weight.reshape(len(weight), -1, 1, 1))
    attributes = {"group": graphs.attr_int(node, "group", 1)}
    return insert(node, "Conv", [together, kernel, *node.inputs[3:4]], after, attributes)


def _sampled(node: ir.Node, group: int, count: int, window: tuple[int, ...]) -> ir.Value | None:
    """(1, channels * taps, H', W'): a group's channels sampled at every tap."""
    before, after = fixed(graphs.need(node, 0)) or (), fixed(node.outputs[0]) or ()
    taps, channels = window[0] * window[1], before[1] // count
    features = picked(node, graphs.need(node, 0), 1, range(group * channels, (group + 1) * channels))
    moved = picked(node, graphs.need(node, 2), 1, range(2 * taps * group, 2 * taps * (group + 1)))
    if features is None or moved is None:
        return None
    pairs = reshaped(node, moved, (taps, 2, *after[2:]))
    places = [_place(node, pairs, axis, before[2 + axis], window) for axis in (1, 0)]  # x, then y
    if None in places:
        return None
    stacked = insert(node, "Concat", places, (taps, 2, *after[2:]), {"axis": 1})
    turned = insert(node, "Transpose", [stacked], (taps, *after[2:], 2), {"perm": [0, 2, 3, 1]})
    grid = reshaped(node, turned, (1, taps * after[2], after[3], 2))
    tall = (1, channels, taps * after[2], after[3])
    attributes = {"mode": "linear", "padding_mode": "zeros", "align_corners": 1}
    found = insert(node, "GridSample", [features, grid], tall, attributes)
    mask = graphs.operand(node, 4)
    if mask is not None:
        own = picked(node, mask, 1, range(taps * group, taps * (group + 1)))
        if own is None:
            return None
        found = insert(node, "Mul", [found, reshaped(node, own, (1, 1, *tall[2:]))], tall)
    return reshaped(node, found, (1, channels * taps, *after[2:]))


def _place(node: ir.Node, pairs: ir.Value, axis: int, length: int, window: tuple[int, ...]) -> ir.Value | None:
    """Coordinate of each tap along height (0) or width (1); -1 and 1 are the centers of the outermost pixels."""
    shape = fixed(pairs) or ()
    offset = picked(node, pairs, 1, [axis])
    if offset is None:
        return None
    ones = (1, 1)
    stride, dilation = (graphs.attr_ints(node, name, ones)[axis] for name in ("strides", "dilations"))
    pad = graphs.attr_ints(node, "pads", (0,) * 4)[axis]
    tap = np.indices(window)[axis].reshape(-1, 1, 1, 1) * dilation
    cell = np.indices(shape[2:])[axis][None, None] * stride
    start: Array = (tap + cell - pad) * (2 / (length - 1)) - 1
    scaled = insert(node, "Mul", [offset, constant(node, "scale", np.full(1, 2 / (length - 1)))], fixed(offset))
    return insert(node, "Add", [scaled, constant(node, "start", start)], fixed(offset))
