"""Which operators of a graph compute in int8, and which stay in float.

An operator that has no int8 kernel everywhere, or that would lose too much in 8 bits (divisions, powers,
exponentials, normalizations), is a float fallback region in an int8 network; so is every cheap operator that only
such a region reads, or that reads such regions alone: the way through int8 and back would cost more than it saves.
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
    """What decides whether a node belongs to the float nodes around it; names of nodes.

    Attributes:
        name: its own.
        is_float: whether it has no int8 form as it is used.
        reads: the writers of what it reads; None: it does not follow them, or it reads an input of the graph.
        read_by: the readers of what it writes; None: it does not follow them, or it writes an output of the graph.
    """

    name: str
    is_float: bool
    reads: frozenset[str] | None
    read_by: frozenset[str] | None

    def follows(self, found: Set[str]) -> bool:
        """Whether a cheap operator reads float values and nothing else, or only float nodes read what it writes."""
        return any(others is not None and others <= found for others in (self.reads, self.read_by))


class Placement:
    """Tells of one graph, many times, which nodes stay in float."""

    def __init__(self, graph: Graph) -> None:
        self._links = [_link(node) for node in graphs.computed(graph.model.graph)]

    def floats(self, chosen: Collection[str] = ()) -> frozenset[str]:
        """The names of the nodes that stay in float: those ``chosen``, those that must, and what belongs to them."""
        found = {link.name for link in self._links if link.is_float or link.name in chosen}
        while True:
            more = {link.name for link in self._links if link.name not in found and link.follows(found)}
            if not more:
                return frozenset(found)
            found |= more


def floats(graph: Graph, chosen: Collection[str] = ()) -> frozenset[str]:
    """The names of the nodes that stay in float: those ``chosen``, those that must, and what belongs to them."""
    return Placement(graph).floats(chosen)


def _link(node: ir.Node) -> _Link:
    writers = [value.producer() for value in data_inputs(node)]
    readers = [reader for value in node.outputs for reader in graphs.consumers(value)]
    leaves = any(value.is_graph_output() for value in node.outputs)
    reads = None if is_convolution(node) or None in writers else frozenset(name_of(w) for w in writers if w is not None)
    read_by = frozenset(map(name_of, readers)) if table.of(node).elementwise and readers and not leaves else None
    return _Link(name_of(node), not can_be_int8(node), reads, read_by)


def float_inputs(graph: Graph, floats: Collection[str]) -> set[str]:
    """The inputs that come as they are: those that hold no real numbers with channels, or that float nodes read alone.

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
    """Whether the operator, as it is used here, has an int8 form on every target."""
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
    """Whether a value holds real numbers, on few enough axes; sizes that are computed from a shape are integers."""
    real = value.dtype is None or value.dtype.is_floating_point()
    return real and value.shape is not None and 1 < len(value.shape) <= _MOST_AXES


def is_convolution(node: ir.Node) -> bool:
    """Whether the node is a convolution, transposed or not."""
    return table.of(node).kind == "convolution"


def is_plain_convolution(node: ir.Node) -> bool:
    """Whether the node is a convolution that is not transposed."""
    return is_convolution(node) and not table.of(node).transposed


def data_inputs(node: ir.Node) -> list[ir.Value]:
    """The inputs of an operator that carry pixels or features: neither constants nor left out."""
    return [v for v in node.inputs if v is not None and graphs.constant(v) is None]


def name_of(node: ir.Node) -> str:
    """What a node is called in a set of nodes: its name, else that of what it writes."""
    return node.name or graphs.name_of(node.outputs[0])


def tails(graph: Graph, most: int) -> list[frozenset[str]]:
    """What can stay in float at the end of a network, least first.

    All that follows from the last convolution; that and the last convolution; and so on for the last ``most``.
    """
    layers = [node for node in graph.model.graph if is_convolution(node)]
    if not layers:
        return []
    found = [frozenset(_descendants(layers[-1:]))]
    for count in range(1, min(most, len(layers) - 1) + 1):
        last = layers[-count:]
        found.append(frozenset(_descendants(last) | {name_of(node) for node in last}))
    return found


def _descendants(nodes: Iterable[ir.Node]) -> set[str]:
    """The names of all nodes that compute with what ``nodes`` write."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        for value in waiting.pop().outputs:
            for reader in graphs.consumers(value):
                if name_of(reader) not in found:
                    found.add(name_of(reader))
                    waiting.append(reader)
    return found
