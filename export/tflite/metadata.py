"""TFLite metadata: the meaning of input and output values, in the format that Android's tools read.

The table is ``metadata_schema.fbs`` 1.1.0 of tflite-support (file identifier ``M001``); its Python package is no
longer maintained, so the few tables that an image model needs are written and read here with flatbuffers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import flatbuffers
from flatbuffers import encode, number_types, table

from clearport.base import TensorSpec

NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"
_PARSER_VERSION = "1.0.0"
_FEATURE, _IMAGE, _NORMALIZATION = 1, 2, 1
"""``ContentProperties.FeatureProperties`` and ``ImageProperties``, ``ProcessUnitOptions.NormalizationOptions``."""
_UNKNOWN, _RGB, _GRAYSCALE = 0, 1, 2
"""``ColorSpaceType``."""
_UNITS, _STATS = 4, 5
"""Fields of a tensor."""
_AXES = 4
_SPACES = {"RGB": _RGB, "Y": _GRAYSCALE}


@dataclass(frozen=True)
class Described:
    """One input or output: of a picture, a pixel of 0..255 becomes the real value ``(pixel - mean) / std``.

    Real values lie in ``low``..``high``. ``mean`` and ``std`` are None for tensors other than pictures, ``low`` and
    ``high`` if no bounds are known.
    """

    name: str
    description: str
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    color_space: int = _RGB

    @classmethod
    def of(cls, spec: TensorSpec) -> Described:
        """The metadata of one tensor."""
        number = "the real value itself"
        if spec.scale is not None and spec.zero_point is not None:
            number = f"real value = (q - {spec.zero_point}) * {spec.scale:.9g}"
        if not spec.is_picture:
            low, high = spec.value_range or (None, None)
            layout = f", {spec.layout}" if len(spec.shape) == _AXES else ""
            return cls(spec.name, f"{spec.kind}{layout}, {spec.dtype}; {number}", None, None, low, high, _UNKNOWN)
        low, high = spec.span
        text = f"{spec.color} image, {spec.layout}, {spec.dtype}; {number}; black is {low:g}, full intensity {high:g}"
        space = _SPACES.get(spec.color, _UNKNOWN)
        return cls(spec.name, text, -low / spec.pixel_step, 1 / spec.pixel_step, low, high, space)


@dataclass(frozen=True)
class Metadata:
    """The metadata of a model."""

    name: str
    description: str
    inputs: tuple[Described, ...]
    outputs: tuple[Described, ...]


def pack(metadata: Metadata) -> bytes:
    """The bytes of the ``TFLITE_METADATA`` buffer."""
    b = flatbuffers.Builder(1024)
    inputs = _tables(b, [_tensor(b, t) for t in metadata.inputs])
    outputs = _tables(b, [_tensor(b, t) for t in metadata.outputs])
    subgraph = _tables(b, [_table(b, 7, {2: inputs, 3: outputs})])
    strings = {0: b.CreateString(metadata.name), 1: b.CreateString(metadata.description)}
    root = _table(b, 8, strings | {3: subgraph, 7: b.CreateString(_PARSER_VERSION)})
    b.Finish(root, IDENTIFIER)
    return bytes(b.Output())


def unpack(data: bytes) -> Metadata:
    """The metadata that ``pack`` wrote, or any other writer of the schema.

    Raises:
        ValueError: the bytes are not TFLite metadata.
    """
    if data[4:8] != IDENTIFIER:
        raise ValueError(f"not TFLite metadata: identifier {data[4:8]!r}, expected {IDENTIFIER!r}")
    root = table.Table(data, encode.Get(number_types.UOffsetTFlags.packer_type, data, 0))
    subgraph = _children(root, 3)[0]
    inputs, outputs = (tuple(map(_read_tensor, _children(subgraph, field))) for field in (2, 3))
    return Metadata(_text(root, 0), _text(root, 1), inputs, outputs)


def _table(b: flatbuffers.Builder, fields: int, offsets: dict[int, int], numbers: dict[int, int] | None = None) -> int:
    """A table with references to other objects and single-byte ``numbers`` (enums), by field number."""
    b.StartObject(fields)
    for field, offset in offsets.items():
        b.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, number in (numbers or {}).items():
        b.PrependUint8Slot(field, number, 0)
    return int(b.EndObject())


def _tables(b: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _floats(b: flatbuffers.Builder, *numbers: float) -> int:
    b.StartVector(4, len(numbers), 4)
    for number in reversed(numbers):
        b.PrependFloat32(number)
    return int(b.EndVector())


def _tensor(b: flatbuffers.Builder, tensor: Described) -> int:
    fields, units = {}, []
    if tensor.mean is not None and tensor.std is not None:
        image = _table(b, 2, {}, {0: tensor.color_space})
        fields[3] = _table(b, 3, {1: image}, {0: _IMAGE})
        normalization = _table(b, 2, {0: _floats(b, tensor.mean), 1: _floats(b, tensor.std)})
        units = [_table(b, 2, {1: normalization}, {0: _NORMALIZATION})]
    else:
        fields[3] = _table(b, 3, {1: _table(b, 0, {})}, {0: _FEATURE})
    if tensor.low is not None and tensor.high is not None:
        fields[_STATS] = _table(b, 2, {0: _floats(b, tensor.high), 1: _floats(b, tensor.low)})
    strings = {0: b.CreateString(tensor.name), 1: b.CreateString(tensor.description)}
    if units:
        fields[_UNITS] = _tables(b, units)
    return _table(b, 7, strings | dict(sorted(fields.items())))


def _read_tensor(tensor: table.Table) -> Described:
    mean = std = low = high = None
    color = _UNKNOWN
    if tensor.Offset(4 + 2 * _STATS):
        stats = _child(tensor, _STATS)
        low, high = _float(stats, 1), _float(stats, 0)
    if tensor.Offset(4 + 2 * _UNITS):
        normalization = _child(_children(tensor, _UNITS)[0], 1)
        mean, std = _float(normalization, 0), _float(normalization, 1)
        image = _child(_child(tensor, 3), 1)
        place = image.Offset(4)
        color = image.Get(number_types.Uint8Flags, place + image.Pos) if place else _UNKNOWN
    return Described(_text(tensor, 0), _text(tensor, 1), mean, std, low, high, color)


def _place(owner: table.Table, field: int) -> int:
    place = int(owner.Offset(4 + 2 * field))
    if not place:
        raise ValueError(f"TFLite metadata lacks field {field} of a table")
    return place


def _child(owner: table.Table, field: int) -> table.Table:
    return table.Table(owner.Bytes, owner.Indirect(_place(owner, field) + owner.Pos))


def _children(owner: table.Table, field: int) -> list[table.Table]:
    place = _place(owner, field)
    start = owner.Vector(place)
    return [table.Table(owner.Bytes, owner.Indirect(start + 4 * i)) for i in range(owner.VectorLen(place))]


def _float(owner: table.Table, field: int) -> float:
    return float(owner.Get(number_types.Float32Flags, owner.Vector(_place(owner, field))))


def _text(owner: table.Table, field: int) -> str:
    return str(owner.String(_place(owner, field) + owner.Pos).decode())
