"""Reduce tensors of more than four axes to four, the maximum of most runtimes, GPUs and NPUs.

Given: windows of attention, heads, groups and frames as axes of their own, five to eight of them, at a fixed size.
Result: axes of size 1 are dropped; where more than four are left, those that stay adjacent are merged, with a Reshape
before and after; a Transpose that still has more than four becomes several, each of at most four. Other cases stay.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, each_float, fixed, insert, reshaped
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Graph

_MOST = 4
_UNARY = (
    *("Abs", "Ceil", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu"),
    *("Log", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softplus", "Sqrt", "Tanh"),
)
_BROADCASTING = ("Add", "Div", "Max", "Min", "Mul", "Pow", "Sub")

Runs = list[list[int]]
"""Groups of axes, each of which becomes one axis; axes of size 1 are in none."""


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    if not any(_is_deep(node) for node in graph.model.graph):
        return graph
    return each_float(graph, {op: _of_deep(rule) for op, rule in _RULES.items()})


def runs(sizes: Sequence[int], marks: Sequence[Hashable], alone: Sequence[int] = ()) -> Runs:
    """The axes that are longer than 1, and ``alone``; if more than four, adjacent ones with the same mark form one
    group, except ``alone``.
    """
    kept = [axis for axis, size in enumerate(sizes) if size != 1 or axis in alone]
    if len(kept) <= _MOST:
        return [[axis] for axis in kept] or [[0]]
    found: Runs = []
    for axis in kept:
        last = found[-1][-1] if found else None
        if last is None or {axis, last} & set(alone) or marks[last] != marks[axis]:
            found.append([axis])
        else:
            found[-1].append(axis)
    return found


def _is_deep(node: ir.Node) -> bool:
    values = [*node.outputs, *node.inputs]
    return any(value is not None and value.shape is not None and len(value.shape) > _MOST for value in values)


def _of_deep(rule: Callable[[ir.Node], ir.Value | None]) -> Callable[[ir.Node], ir.Value | None]:
    return lambda node: rule(node) if _is_deep(node) and fixed(node.outputs[0]) is not None else None


def _sized(value: ir.Value, groups: Runs, rank: int) -> tuple[int, ...]:
    """The sizes of a value (axes aligned right) after merging the groups."""
    given = fixed(value) or ()
    whole = (1,) * (rank - len(given)) + given
    return tuple(math.prod(whole[axis] for axis in group) for group in groups)


def _merged(node: ir.Node, value: ir.Value, groups: Runs, rank: int) -> ir.Value:
    shape, array = _sized(value, groups, rank), graphs.constant(value)
    return reshaped(node, value, shape) if array is None else constant(node, "operand", array.reshape(shape))


def _whole(node: ir.Node, result: ir.Value) -> ir.Value:
    return reshaped(node, result, fixed(node.outputs[0]) or ())


def _attributes(node: ir.Node, **changed: object) -> dict[str, object]:
    return {name: attribute.value for name, attribute in node.attributes.items()} | changed


def _elementwise(node: ir.Node) -> ir.Value | None:
    shape = fixed(node.outputs[0]) or ()
    count = len(node.inputs) if node.op_type in _BROADCASTING else 1
    operands = [graphs.need(node, index) for index in range(count)]
    if any(fixed(value) is None for value in operands):
        return None
    groups = _alike(shape, operands)
    if len(groups) > _MOST:
        operands = [_spread(node, value, shape) for value in operands]
        groups = _alike(shape, operands)
    if len(groups) > _MOST:
        return None
    inputs = [_merged(node, value, groups, len(shape)) for value in operands]
    sizes = _sized(node.outputs[0], groups, len(shape))
    return _whole(node, insert(node, node.op_type, [*inputs, *node.inputs[count:]], sizes, _attributes(node)))


def _alike(shape: Sequence[int], operands: Sequence[ir.Value]) -> Runs:
    """Groups of axes with the same broadcasting."""
    padded = [(1,) * (len(shape) - len(given)) + given for given in (fixed(value) or () for value in operands)]
    groups = runs(shape, [tuple(size[axis] == 1 for size in padded) for axis in range(len(shape))])
    if len(groups) == 1 and len(groups[0]) > 1:  # rank-1 values look like shapes to some targets, and have no int8 form
        return [groups[0][:1], groups[0][1:]]
    return groups


def _spread(node: ir.Node, value: ir.Value, shape: Sequence[int]) -> ir.Value:
    """A constant expanded to its broadcast shape."""
    array = graphs.constant(value)
    return value if array is None else constant(node, "operand", np.broadcast_to(array, shape))


def _reduction(node: ir.Node) -> ir.Value | None:
    source, axes = graphs.need(node, 0), graphs.constant(graphs.operand(node, 1))
    shape = fixed(source)
    if shape is None or axes is None:
        return None
    over = {int(axis) % len(shape) for axis in axes}
    groups = runs(shape, [axis in over for axis in range(len(shape))])
    if len(groups) > _MOST:
        return None
    places = [place for place, group in enumerate(groups) if group[0] in over and shape[group[0]] > 1]
    merged = _merged(node, source, groups, len(shape))
    if not places:
        return _whole(node, merged)
    sizes = [1 if place in places else n for place, n in enumerate(fixed(merged) or ())]
    return _whole(node, insert(node, node.op_type, [merged, constant(node, "axes", places)], sizes, {"keepdims": 1}))


def _along(node: ir.Node) -> ir.Value | None:
    """Softmax, Concat and Gather: one axis is special."""
    shape = fixed(graphs.need(node, 0))
    if shape is None:
        return None
    axis = graphs.attr_int(node, "axis", -1 if node.op_type == "Softmax" else 0) % len(shape)
    groups = runs(shape, [0] * len(shape), [axis])
    count = len(node.inputs) if node.op_type == "Concat" else 1
    inputs = [_merged(node, graphs.need(node, index), groups, len(shape)) for index in range(count)]
    if node.op_type == "Gather" and len(fixed(graphs.need(node, 1)) or ()) != 1:
        return None
    sizes = _sized(node.outputs[0], groups, len(shape))
    changed = _attributes(node, axis=groups.index([axis]))
    return _whole(node, insert(node, node.op_type, [*inputs, *node.inputs[count:]], sizes, changed))


def _slice(node: ir.Node) -> ir.Value | None:
    source, shape = graphs.need(node, 0), fixed(graphs.need(node, 0))
    given = [graphs.constant(graphs.operand(node, index)) for index in range(1, 5)]
    if shape is None or given[0] is None or given[1] is None:
        return None
    axes = [int(n) % len(shape) for n in (range(len(given[0])) if given[2] is None else given[2])]
    groups = runs(shape, [0] * len(shape), axes)
    if len(groups) > _MOST:
        return None
    places = [groups.index([axis]) for axis in axes]
    steps = [1] * len(axes) if given[3] is None else given[3].tolist()
    cuts = [constant(node, "cut", numbers) for numbers in (given[0].tolist(), given[1].tolist(), places, steps)]
    merged = _merged(node, source, groups, len(shape))
    return _whole(node, insert(node, "Slice", [merged, *cuts], _sized(node.outputs[0], groups, len(shape))))


def _pad(node: ir.Node) -> ir.Value | None:
    source, shape, given = graphs.need(node, 0), fixed(graphs.need(node, 0)), graphs.constant(graphs.need(node, 1))
    if shape is None or given is None:
        return None
    named = graphs.constant(graphs.operand(node, 3))
    amounts = np.zeros((2, len(shape)), int)
    amounts[:, range(len(shape)) if named is None else named.astype(int)] = given.reshape(2, -1)
    grown = [axis for axis in range(len(shape)) if amounts[:, axis].any()]
    groups = runs(shape, [0] * len(shape), grown)
    if len(groups) > _MOST:
        return None
    pads = np.array([[amounts[side, group[0]] if group[0] in grown else 0 for group in groups] for side in (0, 1)])
    inputs = [_merged(node, source, groups, len(shape)), constant(node, "pads", pads.reshape(-1).tolist())]
    inputs += [value for value in node.inputs[2:3] if value is not None]
    sizes = _sized(node.outputs[0], groups, len(shape))
    return _whole(node, insert(node, "Pad", inputs, sizes, _attributes(node)))


def _expand(node: ir.Node) -> ir.Value | None:
    source, shape = graphs.need(node, 0), fixed(node.outputs[0]) or ()
    before = fixed(source)
    if before is None:
        return None
    padded = (1,) * (len(shape) - len(before)) + before
    groups = runs(shape, [size == 1 for size in padded])
    if len(groups) > _MOST:
        return None
    sizes = _sized(node.outputs[0], groups, len(shape))
    merged = _merged(node, source, groups, len(shape))
    return _whole(node, insert(node, "Expand", [merged, constant(node, "shape", list(sizes))], sizes))


def _product(node: ir.Node) -> ir.Value | None:
    """MatMul: the axes before the last two broadcast; with a single matrix they count as rows."""
    left, right = (graphs.need(node, index) for index in (0, 1))
    shape, sides = fixed(node.outputs[0]) or (), [fixed(left), fixed(right)]
    if sides[0] is None or sides[1] is None or min(map(len, filter(None, sides))) < 2:
        return None
    if len(sides[1]) == 2:
        rows = reshaped(node, left, (math.prod(sides[0][:-1]), sides[0][-1]))
        return _whole(node, insert(node, "MatMul", [rows, right], (math.prod(shape[:-1]), shape[-1])))
    rank = len(shape)
    padded = [(1,) * (rank - len(given)) + given for given in sides if given is not None]
    marks = [tuple(size[axis] == 1 for size in padded) for axis in range(rank)]
    groups = runs(shape, marks, [rank - 2, rank - 1])
    if len(groups) > _MOST:
        return None
    inputs = [_merged(node, value, groups, rank) for value in (left, right)]
    return _whole(node, insert(node, "MatMul", inputs, _sized(node.outputs[0], groups, rank)))


def _transpose(node: ir.Node) -> ir.Value | None:
    source = graphs.need(node, 0)
    shape = fixed(source)
    if shape is None:
        return None
    perm = graphs.attr_ints(node, "perm", tuple(reversed(range(len(shape)))))
    groups = _moved_together([axis for axis in perm if shape[axis] > 1])
    first = sorted(groups, key=lambda group: group[0])
    order = tuple(first.index(group) for group in groups)
    value = reshaped(node, source, [math.prod(shape[axis] for axis in group) for group in first] or [1])
    for step in _steps(order):
        value = _turned(node, value, step)
    return _whole(node, value)


def _moved_together(perm: Sequence[int]) -> Runs:
    """Axes of size > 1 in their new order; axes adjacent both before and after are in one group."""
    found: Runs = []
    rank = sorted(perm)
    for axis in perm:
        if found and rank.index(axis) == rank.index(found[-1][-1]) + 1:
            found[-1].append(axis)
        else:
            found.append([axis])
    return found


def _turned(node: ir.Node, value: ir.Value, perm: Sequence[int]) -> ir.Value:
    """One Transpose by ``perm`` through at most four merged axes; input and result keep their ranks."""
    shape = fixed(value) or ()
    groups = _moved_together(perm)
    first = sorted(groups, key=lambda group: group[0])
    few = reshaped(node, value, [math.prod(shape[axis] for axis in group) for group in first])
    order = [first.index(group) for group in groups]
    if order != sorted(order):
        after = [(fixed(few) or ())[axis] for axis in order]
        few = insert(node, "Transpose", [few], after, {"perm": order})
    return reshaped(node, few, [shape[axis] for axis in perm])


@functools.cache
def _steps(order: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The shortest sequence of permutations of at most four blocks each whose composition is ``order``."""
    count = len(order)
    start = tuple(range(count))
    known: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {start: ()}
    waiting = [start]
    while waiting and order not in known:
        now = waiting.pop(0)
        for move in _moves(count):
            after = tuple(now[axis] for axis in move)
            if after not in known:
                known[after] = (*known[now], move)
                waiting.append(after)
    return known[order]


@functools.cache
def _moves(count: int) -> tuple[tuple[int, ...], ...]:
    """Every permutation of ``count`` axes that keeps together at most four blocks."""
    found: dict[tuple[int, ...], None] = {}
    for parts in range(1, min(_MOST, count) + 1):
        for ends in itertools.combinations(range(1, count), parts - 1):
            bounds = (0, *ends, count)
            blocks = [range(a, b) for a, b in itertools.pairwise(bounds)]
            for order in itertools.permutations(blocks):
                found[tuple(axis for block in order for axis in block)] = None
    return tuple(found)


_RULES: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    **dict.fromkeys((*_UNARY, *_BROADCASTING), _elementwise),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"), _reduction),
    **dict.fromkeys(("Concat", "Gather", "Softmax"), _along),
    "Expand": _expand,
    "MatMul": _product,
    "Pad": _pad,
    "Slice": _slice,
    "Transpose": _transpose,
}
