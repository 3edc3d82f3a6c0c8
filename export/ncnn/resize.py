"""ncnn rule: Resize, where Interp samples the points that ONNX Runtime does.

Interp takes factors, a size, or the size of another blob. Its nearest mode takes pixel ``floor(x / factor)``; its
linear mode samples ``(x + 0.5) / factor - 0.5``, or both ends with ``align_corners``. Given a size, its
factor is the ratio of the sizes, which differs from the graph's factor if the size was rounded down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clearport.export import resampling
from clearport.export.ncnn.file import Setting
from clearport.export.ncnn.lower import Lowering, refuse
from clearport.export.passes.rewriting import fixed
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.movers import CONCAT

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array

_NEAREST, _LINEAR = 1, 2
_LONGEST = 2**15
"""Maximum side in pixels that is tried."""
_LINEAR_POINTS = {"half_pixel": 0, "pytorch_half_pixel": 0, "align_corners": 1}
_REPEATS = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil")}
"""Coordinate modes that agree for integer factors, where no pixel center falls on the border of two others."""


def resize(low: Lowering, node: ir.Node) -> None:
    """Resize nearest or linear of height and width -> Interp."""
    mode = graphs.attr_str(node, "mode", "nearest")
    if mode not in {"nearest", "linear"} or graphs.attr_int(node, "antialias", 0):
        raise refuse(node, f"no conversion rule for mode {mode!r}, antialias {graphs.attr_int(node, 'antialias', 0)}")
    low.picture(node)
    given, factors = low.dims(graphs.need(node, 0)), resampling.factors(node)
    if resampling.known(node) and None not in given:
        low.write(node, "Interp", [low.picture(node)], _sampled(low, node))
        return
    kind: dict[int, Setting] = {0: _NEAREST if mode == "nearest" else _LINEAR, 6: _corners(low, node, mode)}
    if factors is not None:
        if not resampling.known(node):
            raise refuse(node, "only height and width can be resized")
        if mode == "nearest" and not all(map(_divides_as_it_multiplies, factors)):
            raise refuse(
                node, f"nearest by {factors} needs a fixed size: Interp multiplies by the factor where others divide"
            )
        low.write(node, "Interp", [low.picture(node)], {**kind, 1: factors[0], 2: factors[1]})
    elif mode == "linear" and resampling.known(node):
        _, height, width = low.whole(node, node.outputs[0])
        if 1 in {height, width} and _coordinates(node) == "pytorch_half_pixel":  # which takes the first pixel then
            raise refuse(node, "an output of one row or column needs a fixed size: give --size HEIGHTxWIDTH")
        low.write(node, "Interp", [low.picture(node)], {**kind, 3: height, 4: width})
    else:
        like = _sized_like(node)
        if given[0] != low.dims(node.outputs[0])[0]:
            raise refuse(node, "only height and width can be resized")
        low.write(node, "Interp", [low.picture(node), low.of(like)], {**kind, 5: 1})


def _sampled(low: Lowering, node: ir.Node) -> dict[int, Setting]:
    """Interp's parameters that match ONNX Runtime's sampling points at this size."""
    _, *given = low.whole(node, graphs.need(node, 0))
    found = form(node, given)
    counts = tuple(len(resampling.places(node, 2 + axis, given[axis])) for axis in (0, 1))
    if counts != low.dims(node.outputs[0])[1:]:
        raise refuse(node, f"it gives {counts[0]}x{counts[1]}, where inference counts {low.dims(node.outputs[0])[1:]}")
    if found is None:
        how = f"{_coordinates(node)} from {tuple(given)}: ncnn's Interp uses another pixel alignment"
        raise refuse(node, f"{how}: give --size HEIGHTxWIDTH")
    return found


def form(node: ir.Node, given: Sequence[int]) -> dict[int, Setting] | None:
    """Interp's parameters for height and width ``given``; None if no choice matches ONNX Runtime's sampling points."""
    wanted = [resampling.places(node, 2 + axis, given[axis]) for axis in (0, 1)]
    nearest = graphs.attr_str(node, "mode", "nearest") == "nearest"
    for settings, found in _forms(node, list(given), [len(axis) for axis in wanted], nearest=nearest):
        if all(_equal(w, f, n, nearest=nearest) for w, f, n in zip(wanted, found, given, strict=True)):
            return settings
    return None


def stays(node: ir.Node) -> bool:
    """Whether a Resize is left to the rule: its size is dynamic, other axes change, or Interp samples its points."""
    before = fixed(graphs.need(node, 0))
    return before is None or not resampling.known(node) or form(node, before[2:]) is not None


def _coordinates(node: ir.Node) -> str:
    return graphs.attr_str(node, "coordinate_transformation_mode", "half_pixel")


def _equal(wanted: Array, found: Array, length: int, *, nearest: bool) -> bool:
    return bool(np.array_equal(wanted, found)) if nearest else resampling.same(wanted, found, length)


def _forms(
    node: ir.Node, given: list[int], size: list[int], *, nearest: bool
) -> Iterator[tuple[dict[int, Setting], list[Array]]]:
    """Interp's possible parameters, each with its sampling points: by size, with aligned corners, by factors."""
    kind: dict[int, Setting] = {0: _NEAREST if nearest else _LINEAR, 6: 0}
    by_size: dict[int, Setting] = {**kind, 3: size[0], 4: size[1]}
    steps = [np.float32(n) / np.float32(m) for n, m in zip(given, size, strict=True)]
    yield by_size, [_places(*axis, nearest=nearest) for axis in zip(given, size, steps, strict=True)]
    if not nearest and min(size) > 1:
        ends = [np.arange(m) * ((n - 1) / (m - 1)) for n, m in zip(given, size, strict=True)]
        yield {**by_size, 6: 1}, ends
    factors = resampling.factors(node)
    if factors is not None:
        gives = [int(np.float32(n) * np.float32(f)) for n, f in zip(given, factors, strict=True)]
        inverse = [np.float32(1) / np.float32(f) for f in factors]
        if not nearest:  # whose axes of unchanged size Interp copies
            inverse = [np.float32(1) if n == m else step for n, m, step in zip(given, gives, inverse, strict=True)]
        found = [_places(*axis, nearest=nearest) for axis in zip(given, gives, inverse, strict=True)]
        yield {**kind, 1: factors[0], 2: factors[1]}, found


def _places(length: int, count: int, step: np.float32, *, nearest: bool) -> Array:
    x: Array = np.arange(count, dtype=np.float32)
    points: Array = np.floor(x * step) if nearest else (x + np.float32(0.5)) * step - np.float32(0.5)
    return points.clip(0, length - 1)


def _divides_as_it_multiplies(factor: float) -> bool:
    """Whether ``x / factor`` and ``x * (1 / factor)`` fall into the same pixel in float32, at any size."""
    x, step = np.arange(_LONGEST, dtype=np.float32), np.float32(1) / np.float32(factor)
    return bool(np.array_equal(np.floor(x / np.float32(factor)), np.floor(x * step)))


def _corners(low: Lowering, node: ir.Node, mode: str) -> int:
    """Whether corners are aligned, for dynamic sizes; refuses sampling points that Interp cannot match at every
    size.
    """
    coordinates = _coordinates(node)
    if mode == "linear":
        if coordinates not in _LINEAR_POINTS:
            raise refuse(node, f"linear with {coordinates!r} coordinates needs a fixed size: give --size HEIGHTxWIDTH")
        return _LINEAR_POINTS[coordinates]
    rounding = graphs.attr_str(node, "nearest_mode", "round_prefer_floor")
    if (coordinates, rounding) != ("asymmetric", "floor") and not (
        (coordinates, rounding) in _REPEATS and _repeats(low, node)
    ):
        raise refuse(
            node,
            f"nearest with {coordinates!r} coordinates and {rounding!r} needs a fixed size: give --size HEIGHTxWIDTH",
        )
    return 0


def _repeats(low: Lowering, node: ir.Node) -> bool:
    """Whether every pixel is repeated an integer number of times."""
    scales = graphs.constant(graphs.operand(node, 2))
    if scales is not None and scales.size == 4:
        return all(float(n).is_integer() for n in scales)
    before, after = low.dims(graphs.need(node, 0)), low.dims(node.outputs[0])
    return all(a is not None and b is not None and b % a == 0 for a, b in zip(before, after, strict=True))


def _sized_like(node: ir.Node) -> ir.Value:
    """The tensor whose height and width a computed size copies."""
    found = _places_of(graphs.need(node, 3))
    if len(found) == 4 and found[2] is not None and found[3] is not None:
        (tall, row), (wide, column) = found[2], found[3]
        if tall is wide and (row, column) == (2, 3):
            return tall
    raise refuse(node, "its target size matches no other tensor of the network: give --size HEIGHTxWIDTH")


def _places_of(size: ir.Value) -> list[tuple[ir.Value, int] | None]:
    """For each element of a (partial) shape tensor: the source tensor and axis; None for a constant."""
    held, node = graphs.constant(size), graphs.producer(size)
    if held is not None:
        return [None] * held.size
    if node is not None and node.op_type == CONCAT.name:
        return [place for part in node.inputs if part is not None for place in _places_of(part)]
    if node is None or table.of(node).kind != "shape":
        return []
    source = graphs.need(node, 0)
    rank = 4 if source.shape is None else len(source.shape)
    first, stop, _ = slice(graphs.attr_int(node, "start", 0), graphs.attr_int(node, "end", rank)).indices(rank)
    return [(source, axis) for axis in range(first, stop)]
