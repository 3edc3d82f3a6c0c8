"""Replace constant indexing by the simplest equivalent operator.

Given: Gather, GatherND and GatherElements with constant indices; Where with a constant choice; Trilu.
Result: Slice if the indices are regular with a positive step, with a Reshape if an axis is dropped; else Gather along
one axis with a list of nonnegative indices; Where with a constant condition becomes a product with a 0/1 mask and a
sum. Computed indices that may be negative are made nonnegative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.plain.attention import windows
from clearport.export.passes.plain.counted import from_front
from clearport.export.passes.rewriting import body_of, constant, each_float, fixed, insert, reshaped, sizes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph


_MOST_PIECES, _LEAST_PIECE = 16, 3
"""Up to this many slices, with at least this many indices on average, are preferred to a Gather, which few NPUs
have."""
_NEVER = -30000.0
"""Replaces minus infinity before a Softmax; representable in float16."""


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, _RULES)


def picked(near: ir.Node, source: ir.Value, axis: int, places: Sequence[int]) -> ir.Value | None:
    """``source`` with only the indices ``places`` of ``axis``, in that order; None if its sizes are unknown."""
    before = sizes(source)
    if before is None or not len(places):
        return None
    shape = (*before[:axis], len(places), *before[axis + 1 :])
    steps = set(np.diff(places).tolist())
    if len(places) == before[axis] and (steps == {1} or len(places) == 1):
        return source
    if len(places) == 1 or (len(steps) == 1 and min(steps) > 0):
        step = max(steps, default=1)
        bounds = [constant(near, "cut", [int(n)]) for n in (places[0], places[-1] + 1, axis, step)]
        return insert(near, "Slice", [source, *bounds], shape)
    pieces = _pieces(places)
    if len(pieces) <= _MOST_PIECES and len(pieces) * _LEAST_PIECE <= len(places):
        parts = [picked(near, source, axis, piece) for piece in pieces]
        return insert(near, "Concat", parts, shape, {"axis": axis})
    indices = constant(near, "indices", [int(n) for n in places])
    return insert(near, "Gather", [source, indices], shape, {"axis": axis})


def _pieces(places: Sequence[int]) -> list[list[int]]:
    """Runs of indices with a constant positive step."""
    found: list[list[int]] = []
    for place in places:
        last = found[-1] if found else []
        if last and place > last[-1] and (len(last) == 1 or place - last[-1] == last[-1] - last[-2]):
            last.append(place)
        else:
            found.append([place])
    return found


def _gather(node: ir.Node) -> ir.Value | None:
    source, indices = graphs.need(node, 0), graphs.constant(graphs.need(node, 1))
    before = sizes(source)
    axis = graphs.attr_int(node, "axis", 0) % len(before or (1,))
    length = None if before is None else before[axis]
    if not isinstance(length, int):
        return None
    if indices is None:
        return _counted(node, length)
    if graphs.constant(source) is not None:
        return None
    table = windows.of_table(indices, length)
    if table is not None and fixed(source) is not None:
        return windows.cut(node, source, axis, table)
    return _selected(node, source, axis, indices, length)


def _selected(node: ir.Node, source: ir.Value, axis: int, indices: Array, length: int) -> ir.Value | None:
    places = (indices.reshape(-1) % length).tolist()
    if indices.ndim == 1 and indices.tolist() == places and not _in_steps(places):
        return None
    after = fixed(node.outputs[0])
    if indices.ndim != 1 and after is None:
        return None
    kept = picked(node, source, axis, places)
    return kept if kept is None or indices.ndim == 1 else reshaped(node, kept, after or ())


def _counted(node: ir.Node, length: int) -> ir.Value | None:
    """The operator with computed indices made nonnegative; None if they already are."""
    given = graphs.need(node, 1)
    places = from_front(node, given, np.array(length))
    if places is given:
        return None
    axis = graphs.attr_int(node, "axis", 0)
    return insert(node, "Gather", [graphs.need(node, 0), places], sizes(node.outputs[0]), {"axis": axis})


def _in_steps(places: Sequence[int]) -> bool:
    steps = set(np.diff(places).tolist())
    return len(places) == 1 or (len(steps) == 1 and min(steps) > 0)


def _gather_nd(node: ir.Node) -> ir.Value | None:
    """Merge the indexed axes."""
    source, indices = graphs.need(node, 0), graphs.constant(graphs.need(node, 1))
    before, after = fixed(source), fixed(node.outputs[0])
    batch = graphs.attr_int(node, "batch_dims", 0)
    if before is None or after is None:
        return None
    if indices is None:
        return None if batch else _looked_up(node, before, after)
    every = indices.reshape(-1, *indices.shape[batch:])
    if batch and (every != every[:1]).any():
        return None
    own = every[0] if batch else indices
    depth = own.shape[-1]
    lengths = before[batch : batch + depth]
    place = np.ravel_multi_index([own[..., k].reshape(-1) % n for k, n in enumerate(lengths)], lengths)
    flat = reshaped(node, source, (*before[:batch], int(np.prod(lengths)), *before[batch + depth :]))
    found = picked(node, flat, batch, place.tolist())
    return None if found is None else reshaped(node, found, after)


def _looked_up(node: ir.Node, before: Sequence[int], after: Sequence[int]) -> ir.Value | None:
    """Computed indices: a Gather of rows, numbered over all indexed axes."""
    given = fixed(graphs.need(node, 1))
    if given is None:
        return None
    depth, many = given[-1], given[:-1]
    indices = from_front(node, graphs.need(node, 1), np.array(before[:depth]))
    row: ir.Value | None = None
    for axis in range(depth):
        cuts = [constant(node, "cut", [n]) for n in (axis, axis + 1, len(given) - 1, 1)]
        part = indices if depth == 1 else insert(node, "Slice", [indices, *cuts], (*many, 1))
        if row is not None:
            size = graphs.new_constant(body_of(node), f"{node.outputs[0].name}.size", np.array(before[axis]))
            row = insert(node, "Add", [insert(node, "Mul", [row, size], (*many, 1)), part], (*many, 1))
        row = part if row is None else row
    assert row is not None
    table = reshaped(node, graphs.need(node, 0), (int(np.prod(before[:depth])), *before[depth:]))
    return insert(node, "Gather", [table, reshaped(node, row, many)], after, {"axis": 0})


def _gather_elements(node: ir.Node) -> ir.Value | None:
    """GatherElements whose indices vary only along the axis -> Gather."""
    source, given = graphs.need(node, 0), graphs.need(node, 1)
    before, shape = fixed(source), fixed(given)
    if before is None or shape is None:
        return None
    axis = graphs.attr_int(node, "axis", 0) % len(before)
    if any(n != m for k, (n, m) in enumerate(zip(before, shape, strict=True)) if k != axis):
        return None
    indices = graphs.constant(given)
    if indices is None:
        line = _one_line(given, axis)
        if line is None:
            return None
        rows = from_front(node, reshaped(node, line, (shape[axis],)), np.array(before[axis]))
        return insert(node, "Gather", [source, rows], fixed(node.outputs[0]), {"axis": axis})
    places = np.moveaxis(indices, axis, 0).reshape(indices.shape[axis], -1)
    if (places != places[:, :1]).any():
        return None
    return picked(node, source, axis, (places[:, 0] % before[axis]).tolist())


def _one_line(indices: ir.Value, axis: int) -> ir.Value | None:
    """The source of expanded indices, if it has size 1 on all axes but one."""
    shape = fixed(indices)
    maker = graphs.producer(indices)
    if maker is not None and maker.op_type in {"Expand", "Tile"}:
        indices = graphs.need(maker, 0)
        given = fixed(indices)
        if given is not None and shape is not None and int(np.prod(given)) == shape[axis]:
            return indices
    return indices if shape is not None and int(np.prod(shape)) == shape[axis] else None


def _where(node: ir.Node) -> ir.Value | None:
    """Where with a constant condition: one operand, or a 0/1 mask."""
    choice, (yes, no) = graphs.constant(graphs.need(node, 0)), (graphs.need(node, 1), graphs.need(node, 2))
    shape = fixed(node.outputs[0])
    if choice is None or shape is None:
        return None
    if choice.all() or not choice.any():
        kept = yes if choice.all() else no
        return kept if sizes(kept) == shape and graphs.constant(kept) is None else None
    sides = [_side(node, yes, choice), _side(node, no, ~choice)]
    if None in sides:
        return None
    full = [value for value in sides if value is not None and not _is_zero(value)]
    if len(full) == 2:
        return insert(node, "Add", full, shape)
    return full[0] if full and sizes(full[0]) == shape and graphs.constant(full[0]) is None else None


def _side(node: ir.Node, value: ir.Value, chosen: Array) -> ir.Value | None:
    """One operand of a Where, zero where not selected; None if it has values that are not finite."""
    array = graphs.constant(value)
    if array is None:
        shape = np.broadcast_shapes(chosen.shape, fixed(value) or ())
        return insert(node, "Mul", [value, constant(node, "mask", chosen.astype(np.float32))], shape)
    numbers = np.where(chosen, array, 0)
    reader = graphs.only_consumer(node.outputs[0])
    if reader is not None and reader.op_type == "Softmax":
        numbers = np.where(numbers == -np.inf, _NEVER, numbers)
    return constant(node, "chosen", numbers) if np.isfinite(numbers).all() else None


def _is_zero(value: ir.Value) -> bool:
    array = graphs.constant(value)
    return array is not None and not array.any()


def _trilu(node: ir.Node) -> ir.Value | None:
    shape, k = fixed(node.outputs[0]), graphs.scalar(graphs.operand(node, 1))
    if shape is None or (k is None and graphs.operand(node, 1) is not None):
        return None
    part: Callable[..., Array] = np.triu if graphs.attr_int(node, "upper", 1) else np.tril
    mask = part(np.ones(shape[-2:], np.float32), int(k or 0))
    return insert(node, "Mul", [graphs.need(node, 0), constant(node, "mask", mask)], shape)


_RULES: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    "Gather": _gather,
    "GatherND": _gather_nd,
    "GatherElements": _gather_elements,
    "Where": _where,
    "Trilu": _trilu,
}
