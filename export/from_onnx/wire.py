"""Limits on an ONNX file's contents, counted in the protobuf wire format before parsing, so that no file exhausts
memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from clearport.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_NODES = 20_000
"""Maximum operators of a file. The largest restoration networks have about 5,000; each takes about 2 KB when parsed."""

MOST_ENTRIES = 200_000
"""Maximum tensors, names and value descriptions, besides operators."""

MOST_DEPTH = 16
"""Maximum nesting depth of subgraphs."""

_GRAPH, _FUNCTIONS = 7, 25  # of ModelProto
_NODE, _FUNCTION_NODE = 1, 7  # of GraphProto and FunctionProto
_ATTRIBUTE = 5  # of NodeProto
_SUBGRAPHS = (6, 11)  # of AttributeProto
_SMALL = 64
"""Nodes of at most this many bytes are not searched for subgraphs."""


class _Field(NamedTuple):
    number: int
    begin: int
    end: int


class Census:
    """Counts a file's contents and stops at the limits."""

    def __init__(self, data: memoryview, name: str) -> None:
        self._data, self._name = data, name
        self.nodes = self.entries = 0

    def take(self) -> None:
        """Count the graph and the functions of a model.

        Raises:
            BadInput: it exceeds the limits, or its bytes are not a protobuf message.
        """
        for field in self._fields(0, len(self._data)):
            if field.number == _GRAPH:
                self._graph(field, _NODE, 0)
            elif field.number == _FUNCTIONS:
                self._graph(field, _FUNCTION_NODE, 0)

    def _graph(self, graph: _Field, node: int, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise BadInput(f"{self._name}: subgraphs are nested more than {MOST_DEPTH} deep")
        for field in self._fields(graph.begin, graph.end):
            if field.number == node:
                self.nodes += 1
                self._within(field, depth)
            else:
                self.entries += 1
            if self.nodes > MOST_NODES or self.entries > MOST_ENTRIES:
                raise BadInput(
                    f"{self._name}: more than {MOST_NODES:,} operators or {MOST_ENTRIES:,} tensors and descriptions: "
                    "the limit here"
                )

    def _within(self, node: _Field, depth: int) -> None:
        if node.end - node.begin <= _SMALL:
            return
        for attribute in self._fields(node.begin, node.end):
            if attribute.number == _ATTRIBUTE and attribute.end - attribute.begin > _SMALL:
                for field in self._fields(attribute.begin, attribute.end):
                    if field.number in _SUBGRAPHS:
                        self._graph(field, _NODE, depth + 1)

    def _fields(self, begin: int, end: int) -> Iterator[_Field]:
        """The fields of the message between two offsets; fields without a length yield none."""
        while begin < end:
            key, place = self._number(begin, end)
            kind = key & 7
            if kind == 0:
                _, after = self._number(place, end)
            elif kind == 2:
                length, place = self._number(place, end)
                after = place + length
            elif kind in {1, 5}:
                after = place + (8 if kind == 1 else 4)
            else:
                raise self._broken()
            if after > end:
                raise self._broken()
            yield _Field(key >> 3, place, after)
            begin = after

    def _number(self, place: int, end: int) -> tuple[int, int]:
        """The varint at an offset, and the offset after it."""
        value = shift = 0
        while place < end and shift < 70:
            byte = self._data[place]
            value |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:
                return value, place
        raise self._broken()

    def _broken(self) -> BadInput:
        return BadInput(f"{self._name}: not an ONNX model: invalid protobuf, or the file is truncated")
