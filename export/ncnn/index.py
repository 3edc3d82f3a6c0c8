"""ncnn rules: gathers as products with one-hot matrices or as GridSample, since ncnn has no Gather; GridSample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from clearport.export.ncnn.elementwise import CLIP
from clearport.export.ncnn.lower import Lowering, known, refuse
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array

_MATRICES, _SAMPLED = "MatMul", "GridSample"
"""Names of layers that equal ONNX's operator names."""
_ADD, _SUB, _MUL = 0, 1, 2
"""``BinaryOp``'s own numbers."""
_MODES = {"linear": 1, "bilinear": 1, "nearest": 2, "cubic": 3, "bicubic": 3}
_BORDERS = {"zeros": 1, "border": 2, "reflection": 3}
_MOST = 1 << 22
"""Maximum elements of a one-hot matrix: a larger one would dominate the file size."""


def gather(low: Lowering, node: ir.Node) -> None:
    """Gather with constant indices along one axis -> MatMul with a one-hot matrix; else GridSample of a table."""
    indices, value = graphs.constant(graphs.need(node, 1)), graphs.need(node, 0)
    if indices is None:
        _look_up(low, node)
        return
    if indices.ndim != 1 or graphs.constant(value) is not None:
        raise refuse(node, f"indices of rank {indices.ndim}: ncnn has no Gather")
    shape = low.shape(value)
    axis = graphs.attr_int(node, "axis", 0) % len(shape)
    have = low.whole(node, value)
    place = low.axis(node, value, axis)
    blob = picked(low, node, "picked", low.blob(node), have, place, indices.tolist())
    gives = (*have[:place], len(indices), *have[place + 1 :])
    low.bind(node, low.reshaped(node, "fewer_axes", blob, gives, low.whole(node, node.outputs[0])))


def _look_up(low: Lowering, node: ir.Node) -> None:
    """Computed indices: nearest samples of an image of height 1 that holds the table's rows."""
    table, shape = graphs.need(node, 0), low.shape(graphs.need(node, 0))
    axis = graphs.attr_int(node, "axis", 0) % len(shape)
    held, whole = graphs.constant(table), known(node, shape)
    length, before, after = whole[axis], math.prod(whole[:axis]), math.prod(whole[axis + 1 :])
    if min(before, after) > 1:
        raise refuse(node, "computed indices on a middle axis: ncnn has no Gather")
    channels = max(before, after)
    if held is not None:
        lines = (
            held.reshape(channels, 1, length) if after == 1 else held.reshape(length, -1).T.reshape(channels, 1, length)
        )
        picture = low.memory(node, "table", np.ascontiguousarray(lines, np.float32))
    else:
        rows = (length, after) if after > 1 else (before, length)
        flat = low.reshaped(node, "rows", low.blob(node), low.whole(node, table), rows)
        picture = _as_picture(low, node, flat, length, channels, turned=after > 1)
    places = graphs.need(node, 1)
    count = math.prod(known(node, low.shape(places)))
    index = low.reshaped(node, "index", low.blob(node, 1), low.whole(node, places), (1, count, 1))
    # x of the middle of pixel i is (2 i + 1) / length - 1 where corners are not aligned; y of the only row is 0
    x = low.between(node, "x", "BinaryOp", [index], {0: _MUL, 1: 1, 2: 2 / length})
    x = low.between(node, "middle", "BinaryOp", [x], {0: _ADD, 1: 1, 2: 1 / length - 1})
    y = low.between(node, "y", "BinaryOp", [x], {0: _MUL, 1: 1, 2: 0.0})
    grid = low.between(node, "grid", "Concat", [x, y], {0: 2})
    found = low.between(node, "found", _SAMPLED, [picture, grid], {0: 2, 1: 2, 2: 0})
    want = low.whole(node, node.outputs[0])
    if after > 1:
        lines_ = low.reshaped(node, "lines", found, (channels, 1, count), (channels, count))
        turned = low.between(node, "turned", "Permute", [lines_], {0: 1})
        low.bind(node, low.reshaped(node, "whole", turned, (count, channels), want))
        return
    low.bind(node, low.reshaped(node, "whole", found, (channels, 1, count), want))


def _as_picture(low: Lowering, node: ir.Node, flat: str, length: int, channels: int, *, turned: bool) -> str:
    """Rows (length, channels), or their transpose, as (channels, 1, length)."""
    if turned:
        flat = low.between(node, "columns", "Permute", [flat], {0: 1})
    return low.reshaped(node, "picture", flat, (channels, length), (channels, 1, length))


def extreme(low: Lowering, node: ir.Node, code: int) -> None:
    """ArgMax, ArgMin -> the smallest index with the extreme value."""
    value = graphs.need(node, 0)
    have = low.whole(node, value)
    axis = low.axis(node, value, graphs.attr_int(node, "axis", 0))
    length = have[axis]
    if graphs.attr_int(node, "select_last_index", 0) or len(have) < 2:
        raise refuse(node, "select_last_index, or a single row: ncnn has no such operator")
    best = low.between(node, "best", "Reduction", [low.blob(node)], {0: code, 1: 0, 3: [axis], 4: 1, 5: 1})
    blob = low.between(node, "apart", "BinaryOp", [low.blob(node), best], {0: _SUB})
    blob = low.between(node, "far", "UnaryOp", [blob], {0: 0})
    for step in range(3):  # as in choices: 0 at the extreme value, else 1
        blob = low.between(node, f"large{step}", "BinaryOp", [blob], {0: _MUL, 1: 1, 2: 8192.0})
        blob = low.between(node, f"cut{step}", CLIP, [blob], {0: 0.0, 1: 1.0})
    blob = low.between(node, "last", "BinaryOp", [blob], {0: _MUL, 1: 1, 2: float(length)})
    places = np.arange(length, dtype=np.float32).reshape([-1 if k == axis else 1 for k in range(len(have))])
    blob = low.between(node, "places", "BinaryOp", [blob, low.memory(node, "counted", places)], {0: _ADD})
    first = low.between(node, "first", "Reduction", [blob], {0: 5, 1: 0, 3: [axis], 4: 1, 5: 1})
    kept = tuple(1 if k == axis else n for k, n in enumerate(have))
    low.bind(node, low.reshaped(node, "whole", first, kept, low.whole(node, node.outputs[0])))


def picked(
    low: Lowering, node: ir.Node, what: str, blob: str, have: Sequence[int], place: int, places: Sequence[int]
) -> str:
    """A blob with only the indices ``places`` of an axis, in that order."""
    length, count = have[place], len(places)
    if length * count > _MOST:
        raise refuse(node, f"{count} of {length} irregular indices: ncnn has no Gather")
    ones = np.zeros((count, length), np.float32)
    ones[np.arange(count), [n % length for n in places]] = 1
    before, after = math.prod(have[:place]), math.prod(have[place + 1 :])
    if after == 1:
        flat = low.reshaped(node, f"{what}/rows", blob, tuple(have), (before, length))
        matrix = low.memory(node, f"{what}/ones", ones.T.copy())
        made = low.between(node, f"{what}/product", _MATRICES, [flat, matrix], {0: 0})
        gives: tuple[int, ...] = (before, count)
    else:
        flat = low.reshaped(node, f"{what}/rows", blob, tuple(have), (before, length, after))
        matrix = low.memory(node, f"{what}/ones", np.repeat(ones[None], before, 0) if before > 1 else ones[None])
        made = low.between(node, f"{what}/product", _MATRICES, [matrix, flat], {0: 0})
        gives = (before, count, after)
    return low.reshaped(node, f"{what}/whole", made, gives, (*have[:place], count, *have[place + 1 :]))


def grid_sample(low: Lowering, node: ir.Node) -> None:
    """GridSample of a picture -> GridSample."""
    mode, border = graphs.attr_str(node, "mode", "linear"), graphs.attr_str(node, "padding_mode", "zeros")
    places = graphs.need(node, 1)
    if mode not in _MODES or len(low.shape(places)) not in {4, 5} or low.shape(places)[0] != 1:
        raise refuse(node, f"mode {mode} of {len(low.shape(places))} axes: ncnn samples one picture or clip")
    corners = graphs.attr_int(node, "align_corners", 0)
    held = graphs.constant(places)
    if held is None:
        where = low.blob(node, 1)
    else:
        rounds = mode == "nearest" and border != "reflection"
        sides = low.whole(node, graphs.need(node, 0))[1:]
        where = low.memory(node, "places", centers(held, sides, corners)[0] if rounds else held[0], exact=True)
    picture = graphs.constant(graphs.need(node, 0))
    blob = low.blob(node) if picture is None else low.memory(node, "picture", picture[0])
    low.write(node, _SAMPLED, [blob, where], {0: _MODES[mode], 1: _BORDERS[border], 2: corners})


def centers(places: Array, sides: Sequence[int], corners: int) -> Array:
    """The centers of the nearest pixels, as ONNX rounds, to even; ncnn rounds halves up."""
    lengths = np.array(sides[::-1], np.float32)
    pixels = np.rint((places + 1) / 2 * (lengths - 1) if corners else ((places + 1) * lengths - 1) / 2)
    centers = pixels * 2 / np.maximum(lengths - 1, 1) - 1 if corners else (2 * pixels + 1) / lengths - 1
    return np.asarray(centers, np.float32)
