"""ncnn rules: pooling, reductions, pads, slices, depth to space, transposition."""

from __future__ import annotations

import math
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from clearport.export.ncnn.file import Setting
from clearport.export.ncnn.index import picked
from clearport.export.ncnn.lower import FREE, Lowering, refuse, sized
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.export.ncnn.lower import Dims

_JOINED, _RESHAPED = "Concat", "Reshape"
"""Names of layers that equal ONNX's operator names."""
_PRODUCT = 2
"""``BinaryOp``'s own number."""
_PADS = {"constant": 0, "edge": 1, "reflect": 2}
_SHUFFLES = {"CRD": 0, "DCR": 1}


def pool(low: Lowering, node: ir.Node, code: int) -> None:
    """MaxPool, AveragePool -> Pooling ``code``."""
    if graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET" or graphs.attr_int(node, "ceil_mode", 0):
        raise refuse(node, "its pads must be explicit, without auto_pad and ceil_mode")
    if any(step != 1 for step in graphs.attr_ints(node, "dilations", (1, 1))):
        raise refuse(node, "ncnn's pooling has no dilation")
    kernel, strides = graphs.attr_ints(node, "kernel_shape", ()), graphs.attr_ints(node, "strides", (1, 1))
    top, left, bottom, right = graphs.attr_ints(node, "pads", (0, 0, 0, 0))
    settings: dict[int, Setting] = {
        0: code,
        1: kernel[1],
        11: kernel[0],
        2: strides[1],
        12: strides[0],
        3: left,
        14: right,
        13: top,
        15: bottom,
        5: 1,  # only windows that fit (no ceil_mode)
        6: graphs.attr_int(node, "count_include_pad", 0),
    }
    low.write_each(node, "Pooling", settings)


def reduce(low: Lowering, node: ir.Node, code: int) -> None:
    """ReduceMean and the like -> Reduction ``code``."""
    value = graphs.need(node, 0)
    rank = len(low.shape(value))
    given = graphs.constant(graphs.operand(node, 1))
    axes = list(range(1 if low.shape(value)[0] == 1 else 0, rank)) if given is None else [int(n) for n in given]
    _reduction(low, node, code, axes, bool(graphs.attr_int(node, "keepdims", 1)))


def global_pool(low: Lowering, node: ir.Node, code: int) -> None:
    """GlobalAveragePool, GlobalMaxPool -> Reduction ``code`` of height and width."""
    _reduction(low, node, code, list(range(2, len(low.shape(graphs.need(node, 0))))), True)


def _reduction(low: Lowering, node: ir.Node, code: int, axes: list[int], keep: bool) -> None:
    value = graphs.need(node, 0)
    places = sorted(low.axis(node, value, axis) for axis in axes)
    if not keep and len(places) == len(low.dims(value)):  # to a scalar, which is a blob of size 1
        low.write(node, "Reduction", [low.blob(node)], {0: code, 1: 1, 4: 1, 5: 1}, gives=(1,) * len(places))
        return
    if len(low.dims(value)) == 1:  # ncnn (1.0.20261020) leaves a blob of one axis as it is, unless all of it is reduced
        low.write(node, "Reduction", [low.blob(node)], {0: code, 1: 1, 4: 1, 5: 1})
        return
    settings: dict[int, Setting] = {0: code, 1: 0, 3: places, 4: int(keep), 5: 1}
    before, after = low.dims(value), low.dims(node.outputs[0])
    if keep and len(after) < len(before):  # the first axis was no batch, and what is left of it is one
        reduced = low.between(node, "reduced", "Reduction", [low.blob(node)], settings)
        kept = tuple(1 if place in places else n for place, n in enumerate(low.whole(node, value)))
        low.bind(node, low.reshaped(node, "whole", reduced, kept, low.whole(node, node.outputs[0])))
        return
    low.write(node, "Reduction", [low.blob(node)], settings)


def depth_to_space(low: Lowering, node: ir.Node) -> None:
    """DepthToSpace -> PixelShuffle in its mode."""
    mode = _SHUFFLES[graphs.attr_str(node, "mode", "DCR")]
    low.write(node, "PixelShuffle", [low.picture(node)], {0: graphs.attr_int(node, "blocksize", 0), 1: mode})


def space_to_depth(low: Lowering, node: ir.Node) -> None:
    """SpaceToDepth -> Reorg, with the position in the block as the outer part of the channel index."""
    low.write(node, "Reorg", [low.picture(node)], {0: graphs.attr_int(node, "blocksize", 0), 1: 1})


def concat(low: Lowering, node: ir.Node) -> None:
    """Concat -> Concat; if blobs lack the axis, it is restored first."""
    computed = next(value for value in node.inputs if value is not None and graphs.constant(value) is None)
    rank = len(low.shape(computed))
    axis = graphs.attr_int(node, "axis", 1) % rank
    have = len(low.dims(node.outputs[0]))
    place = axis - (rank - have)
    low.write(node, _JOINED, [low.operand(node, index, have) for index in range(len(node.inputs))], {0: place})


def expand(low: Lowering, node: ir.Node) -> None:
    """Expand -> BinaryOp with ones, which broadcasts."""
    low.whole(node, graphs.need(node, 0))
    want = low.whole(node, node.outputs[0])
    ones = low.memory(node, "ones", np.ones(want, np.float32))
    low.write(node, "BinaryOp", [low.operand(node, 0, len(want)), ones], {0: _PRODUCT})


def cut(low: Lowering, node: ir.Node) -> None:
    """Slice -> Crop; with steps other than 1, axis by axis."""
    value = graphs.need(node, 0)
    shape = low.shape(value)
    starts, ends = (_integers(node, index, []) for index in (1, 2))
    axes = _integers(node, 3, list(range(len(starts))))
    steps = _integers(node, 4, [1] * len(starts))
    if any(step != 1 for step in steps):
        _cut_in_steps(
            low, node, [low.axis(node, value, axis) for axis in axes], list(zip(starts, ends, steps, strict=True))
        )
        return
    gives = list(low.dims(value))
    places = [low.axis(node, value, axis) for axis in axes]
    pairs = []
    for axis, place, start, end in zip(axes, places, starts, ends, strict=True):
        size = shape[axis]
        pairs.append(_ends(node, size, start, end))
        if size is not None:
            first, stop = pairs[-1]
            gives[place] = (size if stop == FREE else stop) - first
    settings: dict[int, Setting] = {9: [first for first, _ in pairs], 10: [stop for _, stop in pairs], 11: places}
    low.write(node, "Crop", [low.blob(node)], settings, gives=tuple(gives))


def _cut_in_steps(low: Lowering, node: ir.Node, axes: list[int], cuts: list[tuple[int, int, int]]) -> None:
    blob, have = low.blob(node), low.whole(node, graphs.need(node, 0))
    for axis, (start, end, step) in zip(axes, cuts, strict=True):
        stop = None if step < 0 and end < -have[axis] else end
        places = list(range(have[axis]))[start:stop:step]
        if not places:
            raise refuse(node, f"its output for {have[axis]} is empty")
        blob = _kept(low, node, f"axis{axis}", blob, have, axis, places)
        have = (*have[:axis], len(places), *have[axis + 1 :])
    low.bind(node, low.reshaped(node, "whole", blob, have, low.whole(node, node.outputs[0])))


def _kept(
    low: Lowering, node: ir.Node, what: str, blob: str, have: tuple[int, ...], axis: int, places: list[int]
) -> str:
    """``places`` at regular steps of one axis: by Crop; the steps become an axis of their own."""
    first, count = places[0], len(places)
    step = places[1] - first if count > 1 else 1
    begin = min(first, have[axis] - count * step)
    if step < 1 or begin < 0:
        return picked(low, node, what, blob, have, axis, places)
    part = low.between(node, what, "Crop", [blob], {9: [begin], 10: [begin + count * step], 11: [axis]})
    if step == 1:
        return part
    before, after = math.prod(have[:axis]), math.prod(have[axis + 1 :])
    cells = low.between(node, f"{what}/cells", _RESHAPED, [part], sized((before * count, step, after)))
    at = first - begin
    lines = low.between(node, f"{what}/lines", "Crop", [cells], {9: [at], 10: [at + 1], 11: [1]})
    return low.between(node, f"{what}/kept", _RESHAPED, [lines], sized((*have[:axis], count, *have[axis + 1 :])))


def _ends(node: ir.Node, size: int | None, start: int, end: int) -> tuple[int, int]:
    """Start and stop as Crop expects them; FREE is the end of the axis."""
    if size is None:
        if start < 0 or 0 <= end < 2**31 - 1:
            raise refuse(node, "it slices dynamic height or width: give --size HEIGHTxWIDTH")
        return start, FREE if end >= 0 else end
    first, stop, _ = slice(start, end).indices(size)
    if stop <= first:
        raise refuse(node, f"its output for {size} is empty")
    return first, FREE if stop == size else stop


def pad(low: Lowering, node: ir.Node) -> None:
    """Pad of height and width -> Padding."""
    mode, value = graphs.attr_str(node, "mode", "constant"), graphs.need(node, 0)
    if mode not in _PADS:
        raise refuse(node, f"no conversion rule for mode {mode!r}")
    rank = len(low.dims(value))
    numbers = _integers(node, 1, [])
    axes = _integers(node, 3, list(range(len(numbers) // 2)))
    amounts = {}
    for axis, before, after in zip(axes, numbers[: len(axes)], numbers[len(axes) :], strict=True):
        if (before, after) != (0, 0):
            amounts[low.axis(node, value, axis) - rank] = (before, after)
    if any(min(pair) < 0 for pair in amounts.values()):
        raise refuse(node, f"pads {numbers}: an axis cannot become shorter")
    if not amounts:
        low.bind(node, low.blob(node))
        return
    fill = graphs.scalar(graphs.operand(node, 2)) or 0.0
    if any(axis < -2 for axis in amounts) or (mode == "constant" and (len(low.shape(value)), rank) != (4, 3)):
        _grown(low, node, {axis + rank: pair for axis, pair in amounts.items()}, fill)
        return
    (top, bottom), (left, right) = (amounts.get(axis, (0, 0)) for axis in (-2, -1))
    settings: dict[int, Setting] = {0: top, 1: bottom, 2: left, 3: right, 4: _PADS[mode], 5: fill}
    low.write_each(node, "Padding", settings)


def _grown(low: Lowering, node: ir.Node, amounts: dict[int, tuple[int, int]], fill: float) -> None:
    """Constant pad of any axes: Concat with constant blobs."""
    if graphs.attr_str(node, "mode", "constant") != "constant":
        raise refuse(node, "only height and width support reflect and edge padding")
    blob, have = low.blob(node), low.whole(node, graphs.need(node, 0))
    for axis, (before, after) in amounts.items():
        sides = [
            low.memory(node, f"axis{axis}/{side}", np.full((*have[:axis], count, *have[axis + 1 :]), fill, np.float32))
            for side, count in (("before", before), ("after", after))
            if count
        ]
        parts = [*sides[: int(before > 0)], blob, *sides[int(before > 0) :]]
        blob = low.between(node, f"axis{axis}/grown", _JOINED, parts, {0: axis})
        have = (*have[:axis], have[axis] + before + after, *have[axis + 1 :])
    low.bind(node, low.reshaped(node, "whole", blob, have, low.whole(node, node.outputs[0])))


def transpose(low: Lowering, node: ir.Node) -> None:
    """Transpose -> Permute of the blob's axes, and Reshape if the axis of size 1 changes."""
    value = graphs.need(node, 0)
    rank, have = len(low.shape(value)), low.dims(value)
    left_out = rank - len(have)
    perm = graphs.attr_ints(node, "perm", tuple(reversed(range(rank))))
    order = [axis - left_out for axis in perm if axis >= left_out]
    gives: Dims = tuple(have[axis] for axis in order)
    if order == sorted(order) and gives == low.dims(node.outputs[0]):
        low.bind(node, low.blob(node))
        return
    if len(order) > 4:
        raise refuse(node, f"rank {len(order)}: ncnn supports up to 4")
    low.write(node, "Permute", [low.blob(node)], {0: _order_type(order)}, gives=gives)


def _order_type(order: list[int]) -> int:
    """ncnn's order_type of a permutation: permutations are numbered from the innermost axis, the outermost slowest."""
    inner_first = tuple(len(order) - 1 - axis for axis in reversed(order))
    known = sorted(permutations(range(len(order))), key=lambda p: tuple(reversed([-axis for axis in p])))
    return known.index(inner_first)


def _integers(node: ir.Node, index: int, default: list[int]) -> list[int]:
    """An optional constant list of integers."""
    if graphs.operand(node, index) is None:
        return default
    held = graphs.constant(graphs.need(node, index))
    if held is None:
        raise refuse(node, "its values depend on the input size: give --size HEIGHTxWIDTH")
    return [int(n) for n in held.ravel()]
