"""Replace slice assignments (ScatterND with constant indices) by concatenation.

Given: ScatterND with constant indices that form a box, as ``out[:, 0::2, 1:] = x`` is exported; several in a row.
Result: if together they interleave a whole picture, DepthToSpace of their Concat; else Slice and Concat, a Pad if the
rest is constant, and a Gather if the indices are irregular.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.plain.picks import picked
from clearport.export.passes.rewriting import constant, each_float, fixed, insert, reshaped
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array, Graph


@dataclass(frozen=True)
class _Write:
    """Written indices (``places``) per axis of the target, and the written value, in the target's axis order."""

    places: tuple[tuple[int, ...], ...]
    updates: ir.Value


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(each_float(graph, {"ScatterND": _in_turns}), {"ScatterND": _scatter})


def _scatter(node: ir.Node) -> ir.Value | None:
    write = _write(node, node)
    return None if write is None else _written(node, graphs.need(node, 0), write, 0)


def _write(near: ir.Node, node: ir.Node) -> _Write | None:
    """The write of a ScatterND; None if its indices do not form a box, or it has a reduction."""
    shape, indices = fixed(node.outputs[0]), graphs.constant(graphs.need(node, 1))
    if shape is None or indices is None or graphs.attr_str(node, "reduction", "none") != "none":
        return None
    depth = indices.shape[-1]
    rows = indices.reshape(-1, depth) % np.array(shape[:depth])
    places = [np.unique(rows[:, axis]) for axis in range(depth)]
    if math.prod(map(len, places)) != len(rows):
        return None
    counts = [len(found) for found in places]
    rank = np.ravel_multi_index([np.searchsorted(p, rows[:, k]) for k, p in enumerate(places)], counts)
    if len(np.unique(rank)) != len(rows):
        return None
    rest = shape[depth:]
    updates = reshaped(near, graphs.need(node, 2), (len(rows), *rest))
    ordered = picked(near, updates, 0, np.argsort(rank).tolist())
    if ordered is None:
        return None
    whole = [tuple(p.tolist()) for p in places] + [tuple(range(n)) for n in rest]
    return _Write(tuple(whole), reshaped(near, ordered, (*counts, *rest)))


def _in_turns(node: ir.Node) -> ir.Value | None:
    """The last of several writes that interleave height and width and cover the whole target: DepthToSpace of all."""
    shape = fixed(node.outputs[0])
    if shape is None:
        return None
    chain, last = [node], graphs.producer(graphs.need(node, 0))
    while last is not None and last.op_type == "ScatterND" and graphs.only_consumer(last.outputs[0]) is chain[-1]:
        chain.append(last)
        last = graphs.producer(graphs.need(last, 0))
    turn = math.isqrt(len(chain))
    if len(shape) != 4 or turn < 2 or turn**2 != len(chain) or any(n % turn for n in shape[2:]):
        return None
    found: dict[tuple[int, int], ir.Value] = {}
    for each in chain:
        write = _write(node, each)
        if write is None or any(len(write.places[axis]) != shape[axis] for axis in (0, 1)):
            return None
        first = (write.places[2][0], write.places[3][0])
        if any(list(write.places[2 + k]) != list(range(first[k], shape[2 + k], turn)) for k in (0, 1)):
            return None
        found[first] = write.updates
    if len(found) != len(chain):
        return None
    parts = [found[place] for place in sorted(found)]
    small = (shape[0], shape[1] * turn**2, shape[2] // turn, shape[3] // turn)
    together = insert(node, "Concat", parts, small, {"axis": 1})
    return insert(node, "DepthToSpace", [together], shape, {"blocksize": turn, "mode": "DCR"})


def _written(near: ir.Node, data: ir.Value, write: _Write, axis: int) -> ir.Value | None:
    """``data`` with the written values, from ``axis`` on."""
    shape = fixed(data)
    if shape is None:
        return None
    while axis < len(shape) and len(write.places[axis]) == shape[axis]:
        axis += 1
    if axis == len(shape):
        return write.updates
    places, length = write.places[axis], shape[axis]
    steps = set(np.diff(places).tolist())
    if len(places) == 1 or steps == {1}:
        return _between(near, data, write, axis)
    below = _part(near, data, axis, places)
    inside = None if below is None else _written(near, below, write, axis + 1)
    if inside is None:
        return None
    both = _joined(near, [data, inside], axis)
    order = np.arange(length)
    order[list(places)] = length + np.arange(len(places))
    return picked(near, both, axis, order.tolist())


def _between(near: ir.Node, data: ir.Value, write: _Write, axis: int) -> ir.Value | None:
    """The written values, between the unchanged parts before and after."""
    places, length = write.places[axis], (fixed(data) or ())[axis]
    middle = _part(near, data, axis, places)
    inside = None if middle is None else _written(near, middle, write, axis + 1)
    if inside is None:
        return None
    array = graphs.constant(data)
    if array is not None and array.size and np.all(array == array.flat[0]):
        return _padded(near, inside, axis, (places[0], length - places[-1] - 1), float(array.flat[0]))
    ends = [range(places[0]), range(places[-1] + 1, length)]
    sides = [_part(near, data, axis, list(end)) if len(end) else None for end in ends]
    return _joined(near, [value for value in (sides[0], inside, sides[1]) if value is not None], axis)


def _padded(near: ir.Node, value: ir.Value, axis: int, more: tuple[int, int], fill: float) -> ir.Value:
    before = list(fixed(value) or ())
    amounts = np.zeros((2, len(before)), int)
    amounts[:, axis] = more
    before[axis] += sum(more)
    operands = [value, constant(near, "pads", amounts.reshape(-1).tolist())]
    if fill:
        operands.append(constant(near, "fill", np.array(fill)))
    return insert(near, "Pad", operands, before, {"mode": "constant"})


def _part(near: ir.Node, data: ir.Value, axis: int, places: Sequence[int]) -> ir.Value | None:
    array: Array | None = graphs.constant(data)
    return picked(near, data, axis, places) if array is None else constant(near, "part", np.take(array, places, axis))


def _joined(near: ir.Node, parts: Sequence[ir.Value], axis: int) -> ir.Value:
    shapes = [fixed(part) or () for part in parts]
    shape = [*shapes[0][:axis], sum(each[axis] for each in shapes), *shapes[0][axis + 1 :]]
    return insert(near, "Concat", parts, shape, {"axis": axis})
