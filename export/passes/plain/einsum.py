"""Decompose Einsum into matrix products.

Given: Einsum of one, two or more operands, with or without an ellipsis.
Result: for a label repeated within one operand, as in a trace, the diagonal is gathered. Operands are contracted
pairwise: labels summed in one operand only become a ReduceSum, labels in both operands and the result are MatMul's
batch axes, and without a summed label it is a Mul, with Transpose and Reshape around it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx_ir as ir

from clearport.export.passes.plain.picks import picked
from clearport.export.passes.rewriting import constant, each_float, fixed, insert, reshaped
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Graph

_SPARE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {"Einsum": _einsum})


def _einsum(node: ir.Node) -> ir.Value | None:
    values = [graphs.need(node, index) for index in range(len(node.inputs))]
    if any(fixed(value) is None for value in values):
        return None
    labels, result = _labels(graphs.attr_str(node, "equation", ""), [len(fixed(value) or ()) for value in values])
    if len(set(result)) != len(result):
        return None
    operands = [_diagonal(node, *operand) for operand in zip(values, labels, strict=True)]
    left, has = operands[0]
    for index in range(1, len(operands)):
        needed = set(result).union(*labels[index + 1 :])
        left, has = _product(node, (left, has), operands[index], needed)
    return _arranged(node, *_summed(node, left, has, set(result)), result)


def _labels(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The labels of every operand and of the result, without spaces and ellipses."""
    operands, arrow, result = equation.replace(" ", "").partition("->")
    parts = operands.split(",")
    free = [letter for letter in _SPARE if letter not in equation]
    counts = [rank - len(part.replace(".", "")) for part, rank in zip(parts, ranks, strict=True)]
    most = max(count if "." in part else 0 for part, count in zip(parts, counts, strict=True))
    filled = [
        part.replace("...", "".join(free[most - count : most])) for part, count in zip(parts, counts, strict=True)
    ]
    if arrow:
        return filled, result.replace("...", "".join(free[:most]))
    together = "".join(filled)
    once = sorted(label for label in set(together) if together.count(label) == 1 and label not in free[:most])
    return filled, "".join([*free[:most], *once])


def _diagonal(node: ir.Node, value: ir.Value, has: str) -> tuple[ir.Value, str]:
    """Without labels that are there twice: their axes, brought to the end, are one in which the diagonal has a step."""
    twice = next((label for label in has if has.count(label) > 1), None)
    if twice is None:
        return value, has
    shape = fixed(value) or ()
    pair = [axis for axis, label in enumerate(has) if label == twice][:2]
    others = [axis for axis in range(len(has)) if axis not in pair]
    after, count, rest = "".join(has[axis] for axis in others) + twice, shape[pair[0]], [shape[axis] for axis in others]
    array = graphs.constant(value)
    if array is not None:
        return _diagonal(node, constant(node, "diagonal", array.diagonal(0, *pair)), after)
    turned = insert(node, "Transpose", [value], [*rest, count, count], {"perm": [*others, *pair]})
    flat = reshaped(node, turned, (*rest, count * count))
    return _diagonal(node, picked(node, flat, len(rest), range(0, count * count, count + 1)) or flat, after)


def _product(
    node: ir.Node, left: tuple[ir.Value, str], right: tuple[ir.Value, str], needed: set[str]
) -> tuple[ir.Value, str]:
    """Contract two operands, keeping the labels that are still needed."""
    (a, has_a), (b, has_b) = left, right
    a, has_a = _summed(node, a, has_a, needed | set(has_b))
    b, has_b = _summed(node, b, has_b, needed | set(has_a))
    size = dict(zip(has_a + has_b, (fixed(a) or ()) + (fixed(b) or ()), strict=True))
    both = [label for label in has_a if label in has_b]
    beside = "".join(label for label in both if label in needed)
    inner = "".join(label for label in both if label not in needed)
    rows = "".join(label for label in has_a if label not in has_b)
    columns = "".join(label for label in has_b if label not in has_a)
    after = beside + rows + columns
    shape = [size[label] for label in after]
    if not inner:
        return _multiplied(node, (a, has_a), (b, has_b), after), after
    blocks = [math.prod(size[label] for label in part) for part in (rows, inner, columns)]
    batch = [math.prod(size[label] for label in beside)] if beside else []
    one = reshaped(node, _arranged(node, a, has_a, beside + rows + inner), [*batch, blocks[0], blocks[1]])
    two = reshaped(node, _arranged(node, b, has_b, beside + inner + columns), [*batch, blocks[1], blocks[2]])
    made = insert(node, "MatMul", [one, two], [*batch, blocks[0], blocks[2]])
    return reshaped(node, made, shape), after


def _multiplied(node: ir.Node, left: tuple[ir.Value, str], right: tuple[ir.Value, str], after: str) -> ir.Value:
    shaped: list[ir.Value] = []
    sizes: dict[str, int] = {}
    for value, has in (left, right):
        own = "".join(label for label in after if label in has)
        size = dict(zip(has, fixed(value) or (), strict=True))
        sizes |= size
        shaped.append(reshaped(node, _arranged(node, value, has, own), [size.get(label, 1) for label in after]))
    return insert(node, "Mul", shaped, [sizes[label] for label in after])


def _summed(node: ir.Node, value: ir.Value, has: str, kept: set[str]) -> tuple[ir.Value, str]:
    """Sum over the labels that are not kept."""
    axes = [axis for axis, label in enumerate(has) if label not in kept]
    if not axes:
        return value, has
    shape = fixed(value) or ()
    reduced = [1 if axis in axes else n for axis, n in enumerate(shape)]
    array = graphs.constant(value)
    if array is None:
        total = insert(node, "ReduceSum", [value, constant(node, "axes", axes)], reduced, {"keepdims": 1})
    else:
        total = constant(node, "sum", array.sum(tuple(axes), keepdims=True))
    left = [axis for axis in range(len(has)) if axis not in axes]
    return reshaped(node, total, [shape[axis] for axis in left]), "".join(has[axis] for axis in left)


def _arranged(node: ir.Node, value: ir.Value, has: str, wanted: str) -> ir.Value:
    if has == wanted:
        return value
    perm, array = [has.index(label) for label in wanted], graphs.constant(value)
    if array is not None:
        return constant(node, "turned", array.transpose(perm))
    return insert(node, "Transpose", [value], [(fixed(value) or ())[axis] for axis in perm], {"perm": perm})
