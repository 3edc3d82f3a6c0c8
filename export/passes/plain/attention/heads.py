"""Parts of a matrix product as products of their own, and a scalar factor behind one as part of its weights.

Given: query, key and value of attention: a product with a constant matrix, a bias, a Reshape, a Transpose, and a Slice
for each of the three; a scalar factor behind one of them. Result: a product for each, with its own columns of matrix
and bias, and no Slice; the factor in the weights. Slices of more than four axes move in front of Reshape and Transpose
even where they find no product.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from clearport.export.passes.rewriting import constant, fixed, insert, reshaped, substitute
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph


_MOST = 4
"""Axes that targets take."""


@dataclass(frozen=True)
class Part:
    """The places from ``start`` to before ``end`` of one axis."""

    axis: int
    start: int
    end: int

    def of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes of the part of a value with these sizes."""
        return (*shape[: self.axis], self.end - self.start, *shape[self.axis + 1 :])


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    if not any(node.op_type == "MatMul" for node in graph.model.graph):
        return graph
    result = graphs.clone(graph)
    for value in [value for node in tuple(result.model.graph) for value in node.outputs]:
        _split(value)
    for node in tuple(result.model.graph):
        if node.op_type == "Mul":
            _scale(node)
    return result


def _split(value: ir.Value) -> None:
    readers = [use.node for use in value.uses()]
    shape, maker = fixed(value), graphs.producer(value)
    parts = [_part_of(node) for node in readers]
    known = [part for part in parts if part is not None]
    if shape is None or maker is None or value.is_graph_output() or not known or len(known) < len(parts):
        return
    ends = sorted((part.start, part.end) for part in known)
    if len({part.axis for part in known}) > 1 or any(a[1] > b[0] for a, b in itertools.pairwise(ends)):
        return
    if len(shape) <= _MOST and not _of_product(maker):
        return
    for node, part in zip(readers, known, strict=True):
        found = _above(node, maker, part)
        if found is not None:
            substitute(node, found)


def _of_product(maker: ir.Node) -> bool:
    """Whether a product with a constant matrix lies behind steps that parts can be taken in front of."""
    while maker.op_type in _RULES and maker.op_type != "MatMul":
        behind = [value for value in maker.inputs if value is not None and graphs.producer(value) is not None]
        before = graphs.producer(behind[0]) if len(behind) == 1 else None
        if before is None or graphs.only_consumer(behind[0]) is None:
            return False
        maker = before
    return maker.op_type == "MatMul" and graphs.constant(graphs.need(maker, 1)) is not None


def _part_of(node: ir.Node) -> Part | None:
    """What a Slice of one axis in single steps keeps, if all of it is known."""
    shape = fixed(graphs.need(node, 0)) if node.op_type == "Slice" else None
    given = [graphs.constant(graphs.operand(node, index)) for index in range(1, 5)]
    if shape is None or given[0] is None or given[1] is None or given[0].size != 1:
        return None
    if given[3] is not None and given[3].item() != 1:
        return None
    axis = 0 if given[2] is None else int(given[2].item()) % len(shape)
    start, end, _ = slice(int(given[0].item()), int(given[1].item())).indices(shape[axis])
    return Part(axis, start, end) if end > start else None


def _taken(near: ir.Node, value: ir.Value, part: Part) -> ir.Value:
    """A part of a value: computed alone if nothing else reads the value, else by a Slice."""
    shape, maker = fixed(value) or (), graphs.producer(value)
    if part.of(shape) == shape:
        return value
    array = graphs.constant(value)
    if array is not None:
        return constant(near, "part", array.take(range(part.start, part.end), part.axis))
    found = _above(near, maker, part) if maker is not None and graphs.only_consumer(value) is not None else None
    if found is not None:
        return found
    cuts = [constant(near, "cut", [n]) for n in (part.start, part.end, part.axis, 1)]
    return insert(near, "Slice", [value, *cuts], part.of(shape))


def _above(near: ir.Node, maker: ir.Node, part: Part) -> ir.Value | None:
    """A part of what an operator gives, from a part of what it reads; None if it is not that simple."""
    rule = _RULES.get(maker.op_type)
    read = all(value is None or fixed(value) is not None for value in (*maker.inputs, *maker.outputs))
    return rule(near, maker, part) if rule is not None and read else None


def _transpose(near: ir.Node, maker: ir.Node, part: Part) -> ir.Value | None:
    source, shape = graphs.need(maker, 0), fixed(maker.outputs[0]) or ()
    perm = list(graphs.attr_ints(maker, "perm", tuple(reversed(range(len(shape))))))
    found = _taken(near, source, Part(perm[part.axis], part.start, part.end))
    return insert(near, "Transpose", [found], part.of(shape), {"perm": perm})


def _reshape(near: ir.Node, maker: ir.Node, part: Part) -> ir.Value | None:
    """The axis must be the outer part of one axis in front of the Reshape."""
    source, shape = graphs.need(maker, 0), fixed(maker.outputs[0]) or ()
    before = fixed(source) or ()
    outer = math.prod(shape[: part.axis])
    axis = next((n for n in range(len(before)) if math.prod(before[:n]) == outer and before[n] > 1), None)
    if axis is None or before[axis] % shape[part.axis]:
        return None
    inner = before[axis] // shape[part.axis]
    return reshaped(near, _taken(near, source, Part(axis, part.start * inner, part.end * inner)), part.of(shape))


def _sum(near: ir.Node, maker: ir.Node, part: Part) -> ir.Value | None:
    """A value and a constant."""
    shape = fixed(maker.outputs[0]) or ()
    computed = [value for value in maker.inputs if value is not None and graphs.constant(value) is None]
    if len(computed) != 1 or fixed(computed[0]) != shape:
        return None
    operands = [value for value in maker.inputs if value is not None]
    for index, value in enumerate(operands):
        own = fixed(value) or ()
        axis = part.axis - len(shape) + len(own)
        if axis >= 0 and own[axis] > 1:
            operands[index] = _taken(near, value, Part(axis, part.start, part.end))
    return insert(near, maker.op_type, operands, part.of(shape))


def _product(near: ir.Node, maker: ir.Node, part: Part) -> ir.Value | None:
    """A product with a constant matrix: some of its columns."""
    source, weight, shape = graphs.need(maker, 0), graphs.constant(graphs.need(maker, 1)), fixed(maker.outputs[0]) or ()
    if weight is None or weight.ndim != 2 or part.axis != len(shape) - 1:
        return None
    columns = constant(near, "columns", weight[:, part.start : part.end])
    return insert(near, "MatMul", [source, columns], part.of(shape))


_RULES = {"Add": _sum, "MatMul": _product, "Reshape": _reshape, "Transpose": _transpose}


def _scale(node: ir.Node) -> None:
    """Multiply the weights and the bias of the product in front by a scalar factor."""
    for index in (0, 1):
        value, factor = graphs.need(node, index), graphs.constant(graphs.need(node, 1 - index))
        if factor is None or factor.size != 1 or fixed(value) is None or fixed(value) != fixed(node.outputs[0]):
            continue
        if _scaled(node, value, factor.reshape(())):
            substitute(node, value)
        return


def _scaled(near: ir.Node, value: ir.Value, factor: Array) -> bool:
    maker = graphs.producer(value)
    if maker is None or graphs.only_consumer(value) is None:
        return False
    if maker.op_type in {"Reshape", "Transpose"}:
        return _scaled(near, graphs.need(maker, 0), factor)
    held = [index for index, each in enumerate(maker.inputs) if each is not None and graphs.constant(each) is not None]
    if len(held) != 1 or maker.op_type not in {"Add", "MatMul"}:
        return False
    if maker.op_type == "Add" and not _scaled(near, graphs.need(maker, 1 - held[0]), factor):
        return False
    array = graphs.need_constant(maker, held[0])
    maker.replace_input_with(held[0], constant(maker, "scaled", array * factor))
    return True
