"""Makes files in ONNX Runtime's own format (.ort) deterministic.

ONNX Runtime keeps the kernels' type constraints in a hash table and writes them in its order, which changes from run
to run. Everything else in the file is deterministic. The file is a FlatBuffer (schema:
onnxruntime/core/flatbuffers/schema/ort.fbs)::

    InferenceSession { ort_version, model, (deprecated), kernel_type_str_resolver }
    KernelTypeStrResolver { [ { op_id, [ { kernel_type_str, [ { arg_type, index } ] } ] } ] }

FlatBuffers are written back to front: the session's table comes first, then the resolver, then the model, whose
own table is its first part. So the head of the file, up to the model, is rewritten with a sorted resolver.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import flatbuffers
from flatbuffers import encode, number_types, packer
from flatbuffers.table import Table

_ALIGNMENT = 64  # the rest of the file moves by a multiple of this, so that arrays in it stay aligned
_IDENTIFIER = b"ORTM"
_VERSION, _MODEL, _RESOLVER = 4, 6, 10  # vtable offsets of the fields of InferenceSession
_FIRST, _SECOND = 4, 6  # vtable offsets of the first and second field of the resolver's tables


# Of the new head: root and identifier (8 bytes), the session's vtable (12), padding, its table (16), the resolver.
_VTABLE_AT, _SESSION_AT, _RESOLVER_AT = 8, 20, 40
_SESSION_VTABLE = (12, 16, 4, 8, 0, 12)  # sizes of vtable and table, then where each of the four fields is


class _Constraint(NamedTuple):
    """The arguments of an operator that share one type: (kind, index) each."""

    name: bytes
    arguments: tuple[tuple[int, int], ...]


class _Operator(NamedTuple):
    identifier: bytes
    constraints: tuple[_Constraint, ...]


def canonical(data: bytes) -> bytes:
    """The same .ort file with its type constraints in sorted order.

    Raises:
        ValueError: ``data`` is no .ort file, or one in another layout than this module knows.
    """
    buffer = bytearray(data)
    if buffer[4:8] != _IDENTIFIER:
        raise ValueError("not a file in ONNX Runtime's ORT format")
    session = Table(buffer, encode.Get(packer.uoffset, buffer, 0))
    version, model, resolver = (_target(session, field) for field in (_VERSION, _MODEL, _RESOLVER))
    # The model's vtable precedes its table, unless another table of the model has one like it.
    start = min(model, model - encode.Get(packer.soffset, buffer, model))
    if not session.Pos < resolver < start < version:
        raise ValueError("the sections of this .ort file are in an unknown order")
    operators = sorted(_operators(Table(buffer, resolver)))
    return _head(operators, model - start, version - start, start) + data[start:]


def _target(table: Table, field: int) -> int:
    """The offset of the table or string that a field refers to."""
    offset = table.Offset(field)
    if offset == 0:
        raise ValueError("a section of the .ort file is missing")
    return int(table.Indirect(table.Pos + offset))


def _elements(table: Table, field: int) -> Iterator[Table]:
    offset = table.Offset(field)
    for index in range(table.VectorLen(offset) if offset else 0):
        yield Table(table.Bytes, table.Indirect(table.Vector(offset) + 4 * index))


def _string(table: Table, field: int) -> bytes:
    offset = table.Offset(field)
    return bytes(table.String(table.Pos + offset)) if offset else b""


def _number(table: Table, field: int, kind: object) -> int:
    offset = table.Offset(field)
    return int(table.Get(kind, table.Pos + offset)) if offset else 0


def _operators(resolver: Table) -> Iterator[_Operator]:
    for operator in _elements(resolver, _FIRST):
        constraints = (
            _Constraint(_string(c, _FIRST), tuple(map(_argument, _elements(c, _SECOND))))
            for c in _elements(operator, _SECOND)
        )
        yield _Operator(_string(operator, _FIRST), tuple(sorted(constraints)))


def _argument(table: Table) -> tuple[int, int]:
    return _number(table, _FIRST, number_types.Int8Flags), _number(table, _SECOND, number_types.Uint32Flags)


def _head(operators: list[_Operator], model: int, version: int, start: int) -> bytes:
    """The file up to the model: ``model`` and ``version`` are relative to it, ``start`` is its old offset."""
    resolver = _resolver(operators)
    size = _RESOLVER_AT + len(resolver)
    size += (start - size) % _ALIGNMENT
    resolver_at = _RESOLVER_AT + encode.Get(packer.uoffset, resolver, 0)
    head = bytearray(size)
    encode.Write(packer.uoffset, head, 0, _SESSION_AT)
    head[4:8] = _IDENTIFIER
    for index, value in enumerate(_SESSION_VTABLE):
        encode.Write(packer.voffset, head, _VTABLE_AT + 2 * index, value)
    encode.Write(packer.soffset, head, _SESSION_AT, _SESSION_AT - _VTABLE_AT)
    for index, target in enumerate((size + version, size + model, resolver_at), start=1):
        place = _SESSION_AT + 4 * index
        encode.Write(packer.uoffset, head, place, target - place)
    head[_RESOLVER_AT : _RESOLVER_AT + len(resolver)] = resolver
    return bytes(head)


def _resolver(operators: list[_Operator]) -> bytes:
    """The resolver as a FlatBuffer of its own."""
    builder = flatbuffers.Builder(1024)
    entries = []
    for operator in operators:
        constraints = [
            _table(builder, builder.CreateString(c.name), _vector(builder, [_pair(builder, a) for a in c.arguments]))
            for c in operator.constraints
        ]
        entries.append(_table(builder, builder.CreateString(operator.identifier), _vector(builder, constraints)))
    vector = _vector(builder, entries)
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, vector, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _pair(builder: flatbuffers.Builder, argument: tuple[int, int]) -> int:
    builder.StartObject(2)
    builder.PrependInt8Slot(0, argument[0], 0)
    builder.PrependUint32Slot(1, argument[1], 0)
    return int(builder.EndObject())


def _table(builder: flatbuffers.Builder, first: int, second: int) -> int:
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, first, 0)
    builder.PrependUOffsetTRelativeSlot(1, second, 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
