"""GridSample as arithmetic and gathers, for targets without the operator.

The corner pixels of each point are rows of a table (pixels, channels), gathered by one index list per corner and
weighted by their distance. Zero padding is a weight of zero; border and reflection padding change the points, so no
comparison or selection is needed. Points must be computed in float32: float16 is up to half a pixel off.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, each_float, fixed, insert, reshaped
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph

_EXACT = 1 << 24
"""Maximum number of pixels, so that indices are exact in float32."""
_CUBIC = {"cubic", "bicubic"}
_KEYS = ((-0.75, 1.5, -0.75, 0.0), (1.25, -2.25, 0.0, 1.0), (-1.25, 1.5, 0.75, 0.0), (0.75, -0.75, 0.0, 0.0))
"""Polynomials in the distance from the pixel at 0, of degree 3 to 0: the weights of the pixels at -1, 0, 1 and 2."""
_KNOWN: dict[str, Callable[..., Array]] = {
    "Abs": np.abs,
    "Add": np.add,
    "Floor": np.floor,
    "Mul": np.multiply,
    "Round": np.round,
    "Sub": np.subtract,
}


def run(graph: Graph) -> Graph:
    """Replace GridSample by gathers."""
    return _of_those(graph, lambda _: True)


def of_clips(graph: Graph, *, cubic: bool = False) -> Graph:
    """Replace GridSample of three spatial axes, and with ``cubic`` the cubic ones, by gathers."""
    return _of_those(graph, lambda node: _axes(node) == 3 or (cubic and _is_cubic(node)))


def of_batches(graph: Graph) -> Graph:
    """Replace GridSample of batches, and cubic ones of reflected pictures, by gathers."""

    def chosen(node: ir.Node) -> bool:
        reflects = graphs.attr_str(node, "padding_mode", "zeros") == "reflection"
        return (fixed(graphs.need(node, 0)) or (1,))[0] != 1 or (reflects and _is_cubic(node))

    return _of_those(graph, chosen)


def _of_those(graph: Graph, chosen: Callable[[ir.Node], bool]) -> Graph:
    changed = each_float(graph, {"GridSample": lambda node: _looked_up(node) if chosen(node) else None})
    return changed if changed is graph else graphs.check(changed)


def without_reflection(graph: Graph) -> Graph:
    """Reflect the points before each GridSample in mode reflection."""
    changed = each_float(graph, {"GridSample": _inside})
    return changed if changed is graph else graphs.check(changed)


def _inside(node: ir.Node) -> ir.Value | None:
    """Reflection is about -1 and 1, whether these are centers or edges of the outermost pixels.

    Not of cubic sampling, which reflects the pixels around a point instead of the point.
    """
    if graphs.attr_str(node, "padding_mode", "zeros") != "reflection" or _is_cubic(node):
        return None
    points = _reflected(node, graphs.need(node, 1), -1.0, 1.0)
    attributes = {name: attribute.value for name, attribute in node.attributes.items()} | {"padding_mode": "border"}
    return insert(node, "GridSample", [graphs.need(node, 0), points], fixed(node.outputs[0]), attributes)


def _axes(node: ir.Node) -> int:
    return len(graphs.need(node, 1).shape or ()) - 2


def _is_cubic(node: ir.Node) -> bool:
    return graphs.attr_str(node, "mode", "linear") in _CUBIC


def _looked_up(node: ir.Node) -> ir.Value | None:
    source, grid = graphs.need(node, 0), graphs.need(node, 1)
    shape, places = fixed(source), fixed(grid)
    mode = graphs.attr_str(node, "mode", "linear")
    known = {"linear", "bilinear", "nearest"} | (_CUBIC if _axes(node) == 2 else set())
    if shape is None or places is None or shape[0] != places[0] or mode not in known:
        return None
    if shape[0] * math.prod(shape[2:]) > _EXACT:
        return None
    table = _table(node, source, shape)
    points = [_point(node, grid, places, len(shape) - 3 - k, n) for k, n in enumerate(shape[2:])]
    if mode == "nearest":
        rounded = [_op(node, "Round", point) for point in points]
        found = _weighted(node, table, rounded, None, shape)
    elif mode in _CUBIC:
        found = _sixteen(node, table, points, shape)
    else:
        found = _corners(node, table, points, shape)
    count = math.prod(places[1:-1])
    whole = reshaped(node, found, (shape[0], count, shape[1]))
    turned = insert(node, "Transpose", [whole], (shape[0], shape[1], count), {"perm": [0, 2, 1]})
    return reshaped(node, turned, (shape[0], shape[1], *places[1:-1]))


def _table(node: ir.Node, source: ir.Value, shape: tuple[int, ...]) -> ir.Value:
    """The pixels of all pictures as rows (pictures * pixels, channels)."""
    pictures, channels, pixels = shape[0], shape[1], math.prod(shape[2:])
    if len(shape) == 4:
        last = insert(node, "Transpose", [source], (pictures, *shape[2:], channels), {"perm": [0, 2, 3, 1]})
    else:
        flat = reshaped(node, source, (pictures, channels, pixels))
        last = insert(node, "Transpose", [flat], (pictures, pixels, channels), {"perm": [0, 2, 1]})
    return reshaped(node, last, (pictures * pixels, channels))


def _op(node: ir.Node, op: str, *inputs: ir.Value | float, **attributes: Any) -> ir.Value:
    held = [np.float32(v) if isinstance(v, (int, float)) else graphs.constant(v) for v in inputs]
    known = [array for array in held if array is not None]
    if len(known) == len(held):  # constant points stay constant
        return constant(node, "known", np.asarray(_KNOWN[op](*known), np.float32))
    values = [constant(node, "number", np.array(v)) if isinstance(v, (int, float)) else v for v in inputs]
    shape = np.broadcast_shapes(*(fixed(value) or () for value in values))
    return insert(node, op, values, shape, attributes)


def _clip(node: ir.Node, value: ir.Value, low: float, high: float) -> ir.Value:
    array = graphs.constant(value)
    if array is not None:
        return constant(node, "known", np.clip(array, low, high))
    ends = [constant(node, "bound", np.array(end)) for end in (low, high)]
    return insert(node, "Clip", [value, *ends], fixed(value))


def _point(node: ir.Node, grid: ir.Value, places: tuple[int, ...], component: int, length: int) -> ir.Value:
    """Coordinate of each point along an axis, in pixels: (points, 1)."""
    count = math.prod(places[:-1])
    rows = reshaped(node, grid, (count, places[-1]))
    array = graphs.constant(rows)
    cuts = [constant(node, "cut", [n]) for n in (component, component + 1, 1, 1)]
    corners = bool(graphs.attr_int(node, "align_corners", 0))
    half = (length - 1) / 2
    if array is not None:  # rounded as ONNX Runtime rounds: at half a pixel the last bit decides which is nearest
        ahead = array[:, component : component + 1] + np.float32(1)
        pixels = ahead / 2 * np.float32(length - 1) if corners else (ahead * np.float32(length) - 1) / 2
        point = constant(node, "known", np.asarray(pixels, np.float32))
    else:
        unit = insert(node, "Slice", [rows, *cuts], (count, 1))
        point = _op(node, "Add", _op(node, "Mul", unit, half if corners else length / 2), half)
    return point if _is_cubic(node) else _bordered(node, point, length)


def _bordered(node: ir.Node, point: ir.Value, length: int) -> ir.Value:
    """Coordinates that the border moves into the picture."""
    border, corners = graphs.attr_str(node, "padding_mode", "zeros"), graphs.attr_int(node, "align_corners", 0)
    if border == "reflection":
        point = _reflected(node, point, *((0.0, length - 1.0) if corners else (-0.5, length - 0.5)))
    return point if border == "zeros" else _clip(node, point, 0.0, length - 1.0)


def _reflected(node: ir.Node, point: ir.Value, low: float, high: float) -> ir.Value:
    """Triangle wave between two bounds: the distance from the nearest even reflection."""
    span = high - low
    if not span:
        return _op(node, "Mul", point, 0.0)
    away = _op(node, "Mul", _op(node, "Add", point, -low), 1 / (2 * span))
    turns = _op(node, "Abs", _op(node, "Sub", away, _op(node, "Floor", _op(node, "Add", away, 0.5))))
    return _op(node, "Add", _op(node, "Mul", turns, 2 * span), low)


def _corners(node: ir.Node, table: ir.Value, points: list[ir.Value], shape: tuple[int, ...]) -> ir.Value:
    """Weighted sum of the corner pixels around each point."""
    lows = [_op(node, "Floor", point) for point in points]
    nears = [_op(node, "Sub", point, low) for point, low in zip(points, lows, strict=True)]
    fars = [_op(node, "Sub", 1.0, near) for near in nears]
    total: ir.Value | None = None
    for corner in itertools.product((0, 1), repeat=len(points)):
        at = [_op(node, "Add", low, 1.0) if side else low for low, side in zip(lows, corner, strict=True)]
        share = [near if side else far for near, far, side in zip(nears, fars, corner, strict=True)]
        weight = share[0]
        for part in share[1:]:
            weight = _op(node, "Mul", weight, part)
        found = _weighted(node, table, at, weight, shape)
        total = found if total is None else _op(node, "Add", total, found)
    assert total is not None
    return total


def _sixteen(node: ir.Node, table: ir.Value, points: list[ir.Value], shape: tuple[int, ...]) -> ir.Value:
    """Weighted sum of the 4x4 pixels around each point, each of which the border moves into the picture."""
    taps = []
    for point, length in zip(points, shape[2:], strict=True):
        low = _op(node, "Floor", point)
        beside = [_bordered(node, _op(node, "Add", low, float(k)), length) for k in (-1, 0, 1, 2)]
        shares = _shares(node, _op(node, "Sub", point, low))
        taps.append(list(zip([_op(node, "Round", at) for at in beside], shares, strict=True)))
    total: ir.Value | None = None
    for (row, tall), (column, wide) in itertools.product(*taps):
        found = _weighted(node, table, [row, column], _op(node, "Mul", tall, wide), shape)
        total = found if total is None else _op(node, "Add", total, found)
    assert total is not None
    return total


def _shares(node: ir.Node, near: ir.Value) -> list[ir.Value]:
    """Weights of the pixels at -1, 0, 1 and 2 for a point between 0 and 1: Keys, alpha -0.75."""
    found = []
    for cube, square, single, none in _KEYS:
        part = _op(node, "Mul", _op(node, "Add", _op(node, "Mul", near, cube), square), near)
        found.append(_op(node, "Add", _op(node, "Mul", _op(node, "Add", part, single), near), none))
    return found


def _weighted(
    node: ir.Node, table: ir.Value, at: list[ir.Value], weight: ir.Value | None, shape: tuple[int, ...]
) -> ir.Value:
    """The rows of the pixels ``at`` (along each axis) times ``weight``; zero where a pixel lies beyond the picture."""
    row: ir.Value | None = None
    for place, length in zip(at, shape[2:], strict=True):
        inside = _clip(node, place, 0.0, length - 1.0)
        row = inside if row is None else _op(node, "Add", _op(node, "Mul", row, float(length)), inside)
        if graphs.attr_str(node, "padding_mode", "zeros") == "zeros":
            beyond = _clip(node, _op(node, "Abs", _op(node, "Sub", place, inside)), 0.0, 1.0)
            kept = _op(node, "Sub", 1.0, beyond)
            weight = kept if weight is None else _op(node, "Mul", weight, kept)
    assert row is not None
    count = (fixed(row) or ())[0]
    if shape[0] > 1:  # after the rows of the preceding pictures
        first = np.repeat(np.arange(shape[0]) * math.prod(shape[2:]), count // shape[0])
        row = insert(node, "Add", [row, constant(node, "first", first[:, None])], (count, 1))
    rows = insert(node, "Gather", [table, _whole_numbers(node, reshaped(node, row, (count,)))], (count, shape[1]))
    return rows if weight is None else _op(node, "Mul", rows, weight)


def _whole_numbers(node: ir.Node, row: ir.Value) -> ir.Value:
    array = graphs.constant(row)
    if array is not None:
        return constant(node, "rows", array.astype(int).tolist())
    whole = insert(node, "Cast", [row], fixed(row), {"to": int(ir.DataType.INT64)})
    whole.type = ir.TensorType(ir.DataType.INT64)
    return whole
