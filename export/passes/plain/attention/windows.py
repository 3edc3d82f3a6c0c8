"""Windows along one axis, in steps, as blocks of the step beside the first places of their neighbors.

Given: Gather with a constant table of indices whose rows and columns are regular, ``first + k + step * n`` with
``step`` at least 2, as exporters write ``unfold``. Result: Slice, Reshape and Concat on at most four axes, as many for
large pictures as for small ones; a Transpose in front moves behind them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, fixed, insert, reshaped
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array


@dataclass(frozen=True)
class Part:
    """``kept`` places from place ``skipped`` on of every block of the step, the first of which begins at ``start``."""

    start: int
    skipped: int
    kept: int


@dataclass(frozen=True)
class Windows:
    """``count`` windows of ``length`` places each, ``step`` apart, and the parts that lie beside each other in each.

    ``outer``: the table has a row per window.
    """

    step: int
    count: int
    length: int
    outer: bool
    parts: tuple[Part, ...]


def of_table(indices: Array, size: int) -> Windows | None:
    """The windows that a table selects from an axis of ``size`` places, if Slices of whole blocks give them."""
    if indices.ndim != 2 or min(indices.shape) < 2:
        return None
    table = indices % size
    down, right = (int(n) for n in (table[1, 0] - table[0, 0], table[0, 1] - table[0, 0]))
    rows, columns = table.shape
    regular = table[0, 0] + down * np.arange(rows)[:, None] + right * np.arange(columns)
    if (regular != table).any() or min(down, right) != 1 or max(down, right) < 2:
        return None
    step, outer = max(down, right), right == 1
    count, length = (rows, columns) if outer else (columns, rows)
    parts = [
        _part(int(table[0, 0]) + done, min(step, length - done), step, count * step, size)
        for done in range(0, length, step)
    ]
    return Windows(step, count, length, outer, tuple(parts)) if min(part.start for part in parts) >= 0 else None


def _part(first: int, kept: int, step: int, whole: int, size: int) -> Part:
    """``kept`` places from ``first`` on in steps; the blocks end with them where they would reach past the end."""
    return Part(first, 0, kept) if first + whole <= size else Part(first + kept - step, step - kept, kept)


def cut(node: ir.Node, source: ir.Value, axis: int, windows: Windows) -> ir.Value | None:
    """``source`` with ``axis`` as two, in the order of the table; None if its sizes are unknown."""
    origin, perm = _behind_transpose(source)
    shape = fixed(origin)
    if shape is None:
        return None
    place = perm[axis]
    tail = shape[place + 1 :]
    rest = [math.prod(tail)] if math.prod(tail) > 1 else []
    lead = _few(shape[:place], 2 - len(rest))
    line = reshaped(node, origin, (*lead, shape[place], *rest))
    parts = [_blocks(node, line, len(lead), windows, part) for part in windows.parts]
    sizes = (*lead, windows.count, windows.length, *rest)
    joined = parts[0] if len(parts) == 1 else insert(node, "Concat", parts, sizes, {"axis": len(lead) + 1})
    whole = (*shape[:place], windows.count, windows.length, *tail)
    order = [[n + (n > place)] if n != place else [n, n + 1][:: 1 if windows.outer else -1] for n in perm]
    return _turned(node, reshaped(node, joined, whole), [n for each in order for n in each])


def _behind_transpose(source: ir.Value) -> tuple[ir.Value, list[int]]:
    """What a value was transposed from, with the axis there of each of its own; else itself."""
    before, rank = graphs.producer(source), len(source.shape or ())
    if before is None or before.op_type != "Transpose":
        return source, list(range(rank))
    return graphs.need(before, 0), list(graphs.attr_ints(before, "perm", tuple(reversed(range(rank)))))


def _few(lead: Sequence[int], most: int) -> list[int]:
    """At most ``most`` axes of those in front, without those of size 1; the channels stay apart where they can."""
    long = [n for n in lead if n > 1]
    return long if len(long) <= most else [*long[: most - 1], math.prod(long[most - 1 :])]


def _blocks(node: ir.Node, line: ir.Value, axis: int, windows: Windows, part: Part) -> ir.Value:
    shape, step, count = fixed(line) or (), windows.step, windows.count
    whole = _sliced(node, line, axis, part.start, part.start + count * step)
    blocks = reshaped(node, whole, (*shape[:axis], count, step, *shape[axis + 1 :]))
    return _sliced(node, blocks, axis + 1, part.skipped, part.skipped + part.kept)


def _sliced(node: ir.Node, value: ir.Value, axis: int, start: int, end: int) -> ir.Value:
    shape = fixed(value) or ()
    if (start, end) == (0, shape[axis]):
        return value
    cuts = [constant(node, "cut", [n]) for n in (start, end, axis, 1)]
    return insert(node, "Slice", [value, *cuts], (*shape[:axis], end - start, *shape[axis + 1 :]))


def _turned(node: ir.Node, value: ir.Value, perm: list[int]) -> ir.Value:
    if perm == sorted(perm):
        return value
    shape = fixed(value) or ()
    return insert(node, "Transpose", [value], [shape[axis] for axis in perm], {"perm": perm})
