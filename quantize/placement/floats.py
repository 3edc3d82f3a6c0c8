"""The choice of operators that compute in int8 or stay in float.

An operator that has no int8 kernel everywhere, or that would lose too much in 8 bits (divisions, powers,
exponentials, normalizations), is a float fallback region in an int8 network. So is every cheap operator whose only
consumers or only producers are in such a region: conversion to int8 and back would cost more than it saves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.graph import nodes as graphs
from clearport.operators import table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Set

    import onnx_ir as ir

    from clearport.base import Graph

_MOST_AXES = 4


@dataclass(frozen=True)
class _Link:
    """The facts that decide whether a node joins the float nodes around it; names of nodes.

    Attributes:
        name: its own.
        is_float: whether it has no int8 form as used here.
        reads: the producers of its inputs; None: it does not follow them, or it reads a graph input.
        read_by: the consumers of its outputs; None: it does not follow them, or it writes a graph output.
    """

    name: str
    is_float: bool
    reads: frozenset[str] | None
    read_by: frozenset[str] | None

    def follows(self, found: Set[str]) -> bool:
        """Whether a cheap operator has only float inputs or only float consumers."""
        return any(others is not None and others <= found for others in (self.reads, self.read_by))


class Placement:
    """Finds the float nodes of one graph, repeatedly."""

    def __init__(self, graph: Graph) -> None:
        self._links = [_link(node) for node in graphs.computed(graph.model.graph)]

    def floats(self, chosen: Collection[str] = ()) -> frozenset[str]:
        """The names of the float nodes: ``chosen`` ones, mandatory ones, and neighbors that join them."""
        found = {link.name for link in self._links if link.is_float or link.name in chosen}
        while True:
            more = {link.name for link in self._links if link.name not in found and link.follows(found)}
            if not more:
                return frozenset(found)
            found |= more


def floats(graph: Graph, chosen: Collection[str] = ()) -> frozenset[str]:
    """The names of the float nodes: ``chosen`` ones, mandatory ones, and neighbors that join them."""
    return Placement(graph).floats(chosen)


def _link(node: ir.Node) -> _Link:
    writers = [value.producer() for value in data_inputs(node)]
    readers = [reader for value in node.outputs for reader in graphs.consumers(value)]
    leaves = any(value.is_graph_output() for value in node.outputs)
    reads = None if is_convolution(node) or None in writers else frozenset(name_of(w) for w in writers if w is not None)
    read_by = frozenset(map(name_of, readers)) if table.of(node).elementwise and readers and not leaves else None
    return _Link(name_of(node), not can_be_int8(node), reads, read_by)


def float_inputs(graph: Graph, floats: Collection[str]) -> set[str]:
    """The inputs that stay unquantized: those without floating-point channels, or read by float nodes only.

    Pictures are int8 always.
    """
    found = set()
    for value, spec in zip(graph.model.graph.inputs, graph.inputs, strict=True):
        readers = graphs.consumers(value)
        many = value.shape is not None and 1 < len(value.shape) <= _MOST_AXES
        int8 = many and _can_be_int8(value) and any(name_of(node) not in floats for node in readers)
        if not spec.is_picture and not int8:
            found.add(spec.name)
    return found


def can_be_int8(node: ir.Node) -> bool:
    """Whether the operator, as used here, has an int8 form on every target."""
    form = table.of(node).int8
    if form is None or len(node.outputs) != 1:
        return False
    if any(graphs.constant(graphs.operand(node, index)) is None for index in form.constants):
        return False
    if form.when is not None and not form.when(node):
        return False
    values = [*node.outputs, *data_inputs(node)]
    return bool(data_inputs(node)) and all(map(_can_be_int8, values))


def _can_be_int8(value: ir.Value) -> bool:
    """Whether a value is floating point and of low enough rank; sizes computed from a shape are integers."""
    real = value.dtype is None or value.dtype.is_floating_point()
    return real and value.shape is not None and 1 < len(value.shape) <= _MOST_AXES


def is_convolution(node: ir.Node) -> bool:
    """Whether the node is a convolution, transposed or not."""
    return table.of(node).kind == "convolution"


def is_plain_convolution(node: ir.Node) -> bool:
    """Whether the node is a convolution that is not transposed."""
    return is_convolution(node) and not table.of(node).transposed


def data_inputs(node: ir.Node) -> list[ir.Value]:
    """The inputs of an operator that carry pixels or features: neither constant nor omitted."""
    return [v for v in node.inputs if v is not None and graphs.constant(v) is None]


def name_of(node: ir.Node) -> str:
    """A node's key in a set of nodes: its name, else its first output's."""
    return node.name or graphs.name_of(node.outputs[0])


def tails(graph: Graph, most: int) -> list[frozenset[str]]:
    """Candidate float tails of a network, smallest first.

    Everything after the last convolution; the same with the last convolution; and so on, for the last ``most``.
    """
    layers = [node for node in graph.model.graph if is_convolution(node)]
    if not layers:
        return []
    found = [frozenset(_descendants(layers[-1:]))]
    for count in range(1, min(most, len(layers) - 1) + 1):
        last = layers[-count:]
        found.append(frozenset(_descendants(last) | {name_of(node) for node in last}))
    return found


def fine(graph: Graph) -> frozenset[str]:
    """What follows the last convolution of a network of high dynamic range: its output has more than 256 levels."""
    found = tails(graph, 0) if any(spec.transfer for spec in graph.outputs) else []
    return found[0] if found else frozenset()


def _descendants(nodes: Iterable[ir.Node]) -> set[str]:
    """The names of all nodes downstream of ``nodes``."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        for value in waiting.pop().outputs:
            for reader in graphs.consumers(value):
                if name_of(reader) not in found:
                    found.add(name_of(reader))
                    waiting.append(reader)
    return found
