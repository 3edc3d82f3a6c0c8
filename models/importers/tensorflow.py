"""Frozen TensorFlow graphs (``.pb``): their nodes and constants, read without TensorFlow.

A frozen graph is a protocol buffer, GraphDef, whose weights are constants: nodes have a name, an operation, the names
of their inputs, and attributes. Parsing that needs the five wire types of the format and a page of code, where
TensorFlow would be a gigabyte in a separate process. Nothing in the file is run. Every length is checked before use,
and the depth is fixed, so that a damaged file causes an error, never a crash.

Field numbers are those of tensorflow/core/framework: graph.proto (node 1), node_def.proto (name 1, op 2, input 3,
attr 5), attr_value.proto (tensor 8), tensor.proto (dtype 1, shape 2, content 4, float_val 5), tensor_shape.proto
(dim 2, size 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from clearport.disk.files import explain
from clearport.errors import BadInput
from clearport.models.importers.checkpoint import is_pytorch, is_safetensors

if TYPE_CHECKING:
    from clearport.base import Float32

_FIRST_BYTE = b"\x0a"  # field 1, with a length: the first node
_LARGEST_FILE = 64 << 20
_LONGEST_VARINT = 10
_MOST_AXES = 8
_FLOAT = 1


@dataclass(frozen=True)
class Node:
    """One node: its name, operation, names of inputs, and its value if it is a float constant."""

    name: str
    op: str
    inputs: tuple[str, ...]
    value: Float32 | None


class _Damaged(ValueError):
    """The bytes are not a valid protocol buffer."""


def read_graph(path: Path) -> tuple[Node, ...] | None:
    """The nodes of a frozen TensorFlow graph in file order, or None for other files.

    Raises:
        BadInput: it begins like such a graph, but is damaged, truncated or too large.
    """
    if not path.is_file() or is_pytorch(path) or is_safetensors(path):
        return None
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise explain(error, path) from error
    nodes: list[Node] = []
    try:
        if data[:1] != _FIRST_BYTE:
            return None
        for number, field in _fields(memoryview(data)):
            if number == 1:
                nodes.append(_node(_bytes(field)))
    except _Damaged as error:
        if not nodes:
            return None
        raise BadInput(f"{path}: damaged or truncated TensorFlow graph ({error}); fetch it again") from error
    if len(data) > _LARGEST_FILE:
        raise BadInput(f"{path}: a TensorFlow graph of over {_LARGEST_FILE >> 20} MiB, larger than any supported one")
    return tuple(nodes)


def kernels(path: Path, nodes: Sequence[Node], names: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """The constants of a graph under clearport's names: convolution kernels (out, in, k, k), everything else flat.

    Args:
        path: the file, for messages.
        nodes: from ``read_graph``.
        names: name in the graph -> clearport's name.

    Raises:
        BadInput: one of them is missing, or is not a float constant.
    """
    found = {node.name: node.value for node in nodes if node.value is not None}
    missing = [name for name in names if name not in found]
    if missing:
        raise BadInput(f"{path}: a TensorFlow graph without the constants {', '.join(missing[:4])}: not this network")
    values = {own: torch.tensor(found[name]) for name, own in names.items()}
    return {own: v.permute(3, 2, 0, 1).contiguous() if v.dim() == 4 else v.flatten() for own, v in values.items()}


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an int for a varint, else its bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == 2:
            length, place = _varint(data, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise _Damaged(f"wire type {wire} at byte {place}")
        if number == 0 or length > len(data) - place:
            raise _Damaged(f"a field of {length} bytes, but {len(data) - place} are left")
        yield number, data[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(data[place : place + _LONGEST_VARINT]):
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            return value, place + i + 1
    raise _Damaged(f"a number without end at byte {place}")


def _bytes(field: int | memoryview) -> memoryview:
    if isinstance(field, int):
        raise _Damaged("a number instead of a message")
    return field


def _text(field: int | memoryview) -> str:
    try:
        return bytes(_bytes(field)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Damaged("a name that is not UTF-8") from error


def _node(data: memoryview) -> Node:
    name, op, value = "", "", None
    inputs: list[str] = []
    for number, field in _fields(data):
        if number == 1:
            name = _text(field)
        elif number == 2:
            op = _text(field)
        elif number == 3:
            inputs.append(_text(field))
        elif number == 5:
            attribute = dict(_fields(_bytes(field)))
            if 1 in attribute and 2 in attribute and _text(attribute[1]) == "value":
                value = _attribute(_bytes(attribute[2]))
    return Node(name, op, tuple(inputs), value if op == "Const" else None)


def _attribute(data: memoryview) -> Float32 | None:
    for number, field in _fields(data):
        if number == 8:
            return _tensor(_bytes(field))
    return None


def _tensor(data: memoryview) -> Float32 | None:
    """A float32 tensor, or None for another type."""
    dtype, raw = 0, b""
    shape: tuple[int, ...] = ()
    for number, field in _fields(data):
        if number == 1:
            dtype = field if isinstance(field, int) else 0
        elif number == 2:
            shape = _shape(_bytes(field))
        elif number in (4, 5):
            raw += bytes(_bytes(field))
    if dtype != _FLOAT:
        return None
    count = math.prod(shape)
    if len(raw) != 4 * count:
        raise _Damaged(f"{len(raw)} bytes for a tensor of shape {list(shape)}")
    return np.frombuffer(raw, "<f4").astype(np.float32).reshape(shape)


def _shape(data: memoryview) -> tuple[int, ...]:
    sizes: list[int] = []
    for number, field in _fields(data):
        if number == 2:
            size = dict(_fields(_bytes(field))).get(1, 0)
            if not isinstance(size, int) or size > _LARGEST_FILE or len(sizes) == _MOST_AXES:
                raise _Damaged("an invalid shape")
            sizes.append(size)
    return tuple(sizes)
