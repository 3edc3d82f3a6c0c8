"""Rewrites int8 TFLite files for Arm's Vela, which lacks DEPTH_TO_SPACE and SPACE_TO_DEPTH.

DEPTH_TO_SPACE's input channels form ``block`` groups, one per output row of an input row. Concatenated along the width,
(N, H, block * W, C / block), the groups have the memory layout of the output: a CONCATENATION and a RESHAPE, which
moves no data, replace the operator. The operators that produce the groups are split into one per group, back to the
convolutions, so that each writes to its final position and nothing is copied. Groups with equal weights (the upscaled
picture of a residual connection) are computed once. SPACE_TO_DEPTH is the reverse, with slices.

Vela 5.2.0 splits a pool with a stride above 3 window by window, which does not finish for large pictures. It becomes a
pool of smaller stride, followed by a STRIDED_SLICE.

Grouped convolutions stay, or become dense ones with zeros between the groups: far faster on Ethos-U85, but not on
Ethos-U55. Both forms have the integers of the original file: a zero weight adds nothing, and every value is computed
as before, in another order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from clearport.runtime.devices.ethosu.graph import FlatGraph

Form = Literal["as it is", "reworded", "dense groups", "reworded, dense groups"]
_VALUE_BY_VALUE = frozenset(
    {"ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1"}
    | {"LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH"}
)
_POOLS = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D"})
_WIDEST_STRIDE = 3
_VALID = 1
"""``Padding`` of the TFLite schema."""
_DENSE_VERSION = 3
"""Version of dense int8 CONV_2D; version 6 has groups."""


def forms(graph: FlatGraph) -> tuple[Form, ...]:
    """The forms that apply to a file."""
    foreign = any(_rule(graph, op) for op in graph.operators)
    grouped = any(_groups(graph, op) > 1 for op in graph.operators)
    if foreign:
        return ("reworded", "reworded, dense groups") if grouped else ("reworded",)
    return ("as it is", "dense groups") if grouped else ("as it is",)


def rewrite(graph: FlatGraph, form: Form) -> None:
    """Rewrite a file in place to one of its ``forms``."""
    if "reworded" in form:
        for op in graph.operators:
            rule = _rule(graph, op)
            if rule is not None:
                _put(graph, op, rule(graph, op))
        graph.drop_unread()
    if "dense" in form:
        for op in graph.operators:
            if _groups(graph, op) > 1:
                _fill(graph, op)


def _rule(graph: FlatGraph, op: Any) -> Callable[[FlatGraph, Any], list[Any]] | None:
    """The rewrite rule of an operator; None if it may stay."""
    kind = graph.kind(op)
    if kind == "DEPTH_TO_SPACE":
        return _to_space
    if kind == "SPACE_TO_DEPTH":
        return _to_depth
    if kind in _POOLS and op.builtinOptions.padding == _VALID:
        return _pool if max(op.builtinOptions.strideH, op.builtinOptions.strideW) > _WIDEST_STRIDE else None
    return None


def _groups(graph: FlatGraph, op: Any) -> int:
    """A convolution's number of groups."""
    if graph.kind(op) != "CONV_2D":
        return 1
    return graph.dims(int(op.inputs[0]))[3] // graph.dims(int(op.inputs[1]))[3]


def _fill(graph: FlatGraph, op: Any) -> None:
    """Make a grouped CONV_2D dense, with zero weights between groups."""
    source, kernel, *bias = (int(t) for t in op.inputs)
    groups, filters = _groups(graph, op), graph.values(kernel)
    count, height, width, depth = filters.shape
    dense = np.zeros((count, height, width, groups * depth), filters.dtype)
    for group, part in enumerate(np.split(filters, groups)):
        first = group * (count // groups)
        dense[first : first + len(part), :, :, group * depth : (group + 1) * depth] = part
    wide = graph.new_constant(dense, f"{graph.name(kernel)}/dense", kernel)
    op.inputs = np.array([source, wide, *bias], np.int32)
    op.opcodeIndex = graph.code("CONV_2D", _DENSE_VERSION)


def _put(graph: FlatGraph, op: Any, others: list[Any]) -> None:
    operators = graph.operators
    place = next(i for i, other in enumerate(operators) if other is op)
    graph.operators = [*operators[:place], *others, *operators[place + 1 :]]


def _to_space(graph: FlatGraph, op: Any) -> list[Any]:
    source, result, block = int(op.inputs[0]), int(op.outputs[0]), int(op.builtinOptions.blockSize)
    images, height, width, channels = graph.dims(source)
    name = graph.name(result)
    cut = _Cut(graph, block)
    parts = [cut.group(source, row) for row in range(block)]
    rows = graph.like(source, (images, height, block * width, channels // block), f"{name}/rows")
    return [*cut.made, graph.concatenation(parts, 2, rows), graph.reshape(rows, result, name)]


def _to_depth(graph: FlatGraph, op: Any) -> list[Any]:
    source, result, block = int(op.inputs[0]), int(op.outputs[0]), int(op.builtinOptions.blockSize)
    images, height, width, channels = graph.dims(result)
    name, depth = graph.name(result), channels // block
    rows = graph.like(source, (images, height, block * width, depth), f"{name}/rows")
    made, parts = [graph.reshape(source, rows, name)], []
    for row in range(block):
        parts.append(graph.like(source, (images, height, width, depth), f"{name}/row{row}"))
        made.append(graph.slice(rows, (0, 0, row * width, 0), parts[-1], f"{name}/row{row}"))
    return [*made, graph.concatenation(parts, 3, result)]


def _pool(graph: FlatGraph, op: Any) -> list[Any]:
    """A pool of smaller stride, followed by a STRIDED_SLICE."""
    source, result, options = int(op.inputs[0]), int(op.outputs[0]), op.builtinOptions
    images, height, width, channels = graph.dims(source)
    near, step = zip(*(_factors(stride) for stride in (options.strideH, options.strideW)), strict=True)
    windows = ((height, options.filterHeight), (width, options.filterWidth))
    sizes = [(n - window) // stride + 1 for (n, window), stride in zip(windows, near, strict=True)]
    more = graph.like(result, (images, *sizes, channels), f"{graph.name(result)}/more")
    pool = graph.copy(op, [source], more)
    pool.builtinOptions.strideH, pool.builtinOptions.strideW = near
    return [pool, graph.strided_slice(more, (1, *step, 1), result)]


def _factors(stride: int) -> tuple[int, int]:
    """The largest supported divisor of a stride, and the remaining factor."""
    near = max(n for n in range(1, _WIDEST_STRIDE + 1) if stride % n == 0)
    return near, stride // near


class _Cut:
    """Splits a tensor into groups of channels; ``made`` are the new operators, in order."""

    def __init__(self, graph: FlatGraph, groups: int) -> None:
        self.made: list[Any] = []
        self._graph, self._groups = graph, groups
        self._done: dict[tuple[object, ...], int] = {}

    def group(self, tensor: int, number: int) -> int:
        """The tensor of one group of channels."""
        graph = self._graph
        op = graph.writer(tensor)
        if op is not None and graph.readers(tensor) == 1:
            if graph.kind(op) == "CONV_2D" and _groups(graph, op) == 1:
                return self._convolution(op, number)
            if graph.kind(op) in _VALUE_BY_VALUE and all(graph.dims(int(t)) == graph.dims(tensor) for t in op.inputs):
                return self._value_by_value(op, number)
        return self._slice(tensor, number)

    def _dims(self, tensor: int) -> tuple[int, ...]:
        *others, channels = self._graph.dims(tensor)
        return (*others, channels // self._groups)

    def _copy(self, op: Any, inputs: list[int], number: int, key: tuple[object, ...]) -> int:
        """A copy of the operator with other inputs and one group of its output; reused if an identical one exists."""
        if key not in self._done:
            old = int(op.outputs[0])
            new = self._graph.like(old, self._dims(old), f"{self._graph.name(old)}/{number}")
            made = self._graph.copy(op, inputs, new)
            self.made.append(made)
            self._done[key] = new
        return self._done[key]

    def _value_by_value(self, op: Any, number: int) -> int:
        inputs = [self.group(int(t), number) for t in op.inputs]
        return self._copy(op, inputs, number, (int(op.outputs[0]), *inputs))

    def _convolution(self, op: Any, number: int) -> int:
        """A CONV_2D with the filters of one group."""
        graph = self._graph
        source, *constants = (int(t) for t in op.inputs)
        size = graph.dims(constants[0])[0] // self._groups
        part = slice(number * size, (number + 1) * size)
        arrays = [graph.values(t)[part] for t in constants]
        scales = np.asarray(graph.tensor(constants[0]).quantization.scale)
        key = (
            int(op.outputs[0]),
            *(a.tobytes() for a in arrays),
            (scales[part] if scales.size > 1 else scales).tobytes(),
        )
        if key in self._done:
            return self._done[key]
        names = [f"{graph.name(t)}/{number}" for t in constants]
        new = [graph.new_constant(a, n, t, part) for a, n, t in zip(arrays, names, constants, strict=True)]
        return self._copy(op, [source, *new], number, key)

    def _slice(self, tensor: int, number: int) -> int:
        key = (tensor, number)
        if key not in self._done:
            dims, name = self._dims(tensor), f"{self._graph.name(tensor)}/{number}"
            new = self._graph.like(tensor, dims, name)
            self.made.append(self._graph.slice(tensor, (0, 0, 0, number * dims[-1]), new, name))
            self._done[key] = new
        return self._done[key]
