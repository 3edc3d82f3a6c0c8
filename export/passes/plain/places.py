"""Gathers, scatters and OneHot with computed indices, as arithmetic.

Given: GatherElements and OneHot; ScatterElements with a reduction (add, max, min), with one index per row, or with the
(distinct) indices of a TopK: masks of sparse attention and gates of mixture-of-experts. Result: one-hot rows, computed
from the distance of each position to the index, and sums (or maxima, minima) of their products with the data read or
written; positions without an index keep their values.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, each_float, fixed, insert, reshaped
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph

_MOST = 1 << 22
"""Maximum elements of the one-hot rows: beyond it a target's own operator would be needed."""
_REDUCTIONS = frozenset({"none", "add", "max", "min"})
_FAR = 6e4
"""Larger than any feature, and within float16's range."""
_SAME_PLACES = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice"})


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {"GatherElements": _gathered, "OneHot": _marked, "ScatterElements": _scattered})


@dataclass(frozen=True)
class _Rows:
    """Arrangement of an operator's axes as rows: the indexed axis is last."""

    shape: tuple[int, ...]
    counts: tuple[int, ...]
    axis: int

    @property
    def turn(self) -> list[int]:
        return [*(k for k in range(len(self.shape)) if k != self.axis), self.axis]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of rows, indices per row, and elements per row."""
        rows = math.prod(n for k, n in enumerate(self.shape) if k != self.axis)
        return rows, self.counts[self.axis], self.shape[self.axis]

    def turned(self, node: ir.Node, value: ir.Value, *, whole: bool) -> ir.Value:
        sizes = self.shape if whole else self.counts
        return _turned(node, value, self.turn, tuple(sizes[k] for k in self.turn))

    def back(self, node: ir.Node, value: ir.Value, *, whole: bool) -> ir.Value:
        sizes = self.shape if whole else self.counts
        apart = reshaped(node, value, tuple(sizes[k] for k in self.turn))
        return _turned(node, apart, [self.turn.index(k) for k in range(len(sizes))], sizes)


def _rows(node: ir.Node) -> _Rows | None:
    """None if sizes are dynamic, rows are only partly indexed, or the cost would be too high."""
    shape, counts = fixed(graphs.need(node, 0)), fixed(graphs.need(node, 1))
    if not shape or counts is None:
        return None
    axis = graphs.attr_int(node, "axis", 0) % len(shape)
    found = _Rows(shape, counts, axis)
    same = all(n == counts[k] for k, n in enumerate(shape) if k != axis)
    return found if same and math.prod(found.sizes) <= _MOST else None


def _gathered(node: ir.Node) -> ir.Value | None:
    found = _rows(node)
    if found is None or graphs.constant(graphs.need(node, 1)) is not None:
        return None
    rows, count, length = found.sizes
    ones = _ones(node, found.turned(node, _numbers(node, graphs.need(node, 1)), whole=False), found.sizes)
    numbers = reshaped(node, found.turned(node, graphs.need(node, 0), whole=True), (rows, 1, length))
    return found.back(node, _total(node, _both(node, "Mul", ones, numbers), 2, (rows, count)), whole=False)


def _marked(node: ir.Node) -> ir.Value | None:
    places, depth, values = graphs.need(node, 0), graphs.scalar(graphs.operand(node, 1)), graphs.operand(node, 2)
    shape, ends = fixed(places), graphs.constant(values)
    if shape is None or depth is None or ends is None or math.prod(shape) * depth > _MOST:
        return None
    count, length = math.prod(shape), int(depth)
    ones = _ones(node, _numbers(node, places), (1, count, length))
    off, on = (float(end) for end in ends.reshape(-1))
    if (off, on) != (0.0, 1.0):
        ones = _both(node, "Mul", ones, constant(node, "step", np.array(on - off)))
        ones = _both(node, "Add", ones, constant(node, "off", np.array(off)))
    axis = graphs.attr_int(node, "axis", -1) % (len(shape) + 1)
    perm = [*range(axis), len(shape), *range(axis, len(shape))]
    sizes = (*shape[:axis], length, *shape[axis:])
    return _typed(node, _turned(node, reshaped(node, ones, (*shape, length)), perm, sizes))


def _typed(node: ir.Node, value: ir.Value) -> ir.Value:
    """Cast to the dtype of an operator's output."""
    dtype = node.outputs[0].dtype
    if dtype is None or dtype == ir.DataType.FLOAT:
        return value
    integers = insert(node, "Cast", [value], fixed(value), {"to": int(dtype)})
    integers.type = ir.TensorType(dtype)
    return integers


def _scattered(node: ir.Node) -> ir.Value | None:
    data, places, updates = (graphs.need(node, index) for index in range(3))
    found, reduction = _rows(node), graphs.attr_str(node, "reduction", "none")
    if found is None or reduction not in _REDUCTIONS or updates.dtype != ir.DataType.FLOAT:
        return None
    rows, count, length = found.sizes
    if reduction == "none" and count > 1 and not _made_by(places, {"TopK"}):
        return None
    ones = _ones(node, found.turned(node, _numbers(node, places), whole=False), found.sizes)
    given = reshaped(node, found.turned(node, updates, whole=False), (rows, count, 1))
    array = graphs.constant(data)
    before = reshaped(node, found.turned(node, data, whole=True), (rows, length))
    if reduction in {"max", "min"}:
        return found.back(node, _farthest(node, ones, given, before, reduction), whole=True)
    written = _total(node, _both(node, "Mul", ones, given), 1, (rows, length))
    if reduction == "none" and (array is None or array.any()):  # positions that are not written keep their values
        taken = _total(node, ones, 1, (rows, length))
        free = _both(node, "Sub", constant(node, "one", np.array(1.0)), taken)
        before = _both(node, "Mul", before, free)
    if array is None or array.any():
        written = _both(node, "Add", before, written)
    return found.back(node, written, whole=True)


def _farthest(node: ir.Node, ones: ir.Value, given: ir.Value, before: ir.Value, reduction: str) -> ir.Value:
    """(rows, length): maximum or minimum of old and written values at each index."""
    sign = 1.0 if reduction == "max" else -1.0
    free = _both(node, "Sub", ones, constant(node, "one", np.array(1.0)))  # 0 at its place, else -1
    far = _both(node, "Mul", free, constant(node, "far", np.array(sign * _FAR)))
    through = _both(node, "Add", _both(node, "Mul", ones, given), far)
    axis = constant(node, "axis", [1])
    rows, length = fixed(before) or (1, 1)
    op = "ReduceMax" if reduction == "max" else "ReduceMin"
    found = reshaped(node, insert(node, op, [through, axis], (rows, 1, length), {"keepdims": 1}), (rows, length))
    return _both(node, "Max" if reduction == "max" else "Min", before, found)


def _made_by(places: ir.Value, makers: Collection[str]) -> bool:
    """Whether indices come from a given operator, in any order."""
    producer = places.producer()
    while producer is not None and producer.op_type in _SAME_PLACES:
        producer = graphs.need(producer, 0).producer()
    return producer is not None and producer.op_type in makers


def _numbers(node: ir.Node, places: ir.Value) -> ir.Value:
    """Indices as float32."""
    array = graphs.constant(places)
    if array is not None:
        return constant(node, "places", array.astype(np.float32))
    numbers = insert(node, "Cast", [places], fixed(places), {"to": int(ir.DataType.FLOAT)})
    numbers.type = ir.TensorType(ir.DataType.FLOAT)
    return numbers


def _turned(node: ir.Node, value: ir.Value, perm: list[int], shape: tuple[int, ...]) -> ir.Value:
    if perm == sorted(perm):
        return value
    array = graphs.constant(value)
    if array is not None:
        return constant(node, "turned", array.transpose(perm))
    return insert(node, "Transpose", [value], shape, {"perm": perm})


def _ones(node: ir.Node, numbers: ir.Value, sizes: tuple[int, int, int]) -> ir.Value:
    """(rows, count, length): one-hot of each index; negative indices count from the end."""
    rows, count, length = sizes
    each = reshaped(node, numbers, (rows, count, 1))
    ones = _near(node, each, np.arange(length))
    if _made_by(numbers, {"ArgMax", "ArgMin", "TopK"}):
        return ones
    return _both(node, "Add", ones, _near(node, each, np.arange(-length, 0)))


def _near(node: ir.Node, each: ir.Value, counted: Array) -> ir.Value:
    apart = _both(node, "Sub", each, constant(node, "counted", counted.reshape(1, 1, -1).astype(np.float32)))
    far = insert(node, "Abs", [apart], fixed(apart))
    ends = [constant(node, "bound", np.array(end)) for end in (0.0, 1.0)]
    near = insert(node, "Clip", [far, *ends], fixed(far))
    return _both(node, "Sub", constant(node, "one", np.array(1.0)), near)


def _both(node: ir.Node, op: str, one: ir.Value, other: ir.Value) -> ir.Value:
    return insert(node, op, [one, other], np.broadcast_shapes(fixed(one) or (), fixed(other) or ()))


def _total(node: ir.Node, value: ir.Value, axis: int, shape: tuple[int, int]) -> ir.Value:
    """The sum over an axis, which is dropped."""
    before = fixed(value) or (1, 1, 1)
    if before[axis] == 1:
        return reshaped(node, value, shape)
    kept = tuple(1 if k == axis else n for k, n in enumerate(before))
    total = insert(node, "ReduceSum", [value, constant(node, "axis", [axis])], kept, {"keepdims": 1})
    return reshaped(node, total, shape)
