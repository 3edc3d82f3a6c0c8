"""A saved ``.mlpackage``, read back from disk: its program, constants, inputs and outputs.

Only the files count: the protobuf specification (``model.mlmodel``) and the blob file (``weight.bin``).

Blob file (MILBlob, version 2): a header of 64 bytes (count, version), then for each blob 64 bytes of metadata at the
offset that the program names (sentinel 0xDEADBEEF, data type, size in bytes, offset of the data), then the data.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.disk.json_files import read_json
from clearport.errors import BadInput, RuntimeFailure
from clearport.export.coreml.tools import messages

if TYPE_CHECKING:
    from clearport.base import Array

_SENTINEL = 0xDEADBEEF
_METADATA = struct.Struct("<IIQQ")
_IMMEDIATE = {"floats": "f4", "doubles": "f8", "ints": "i4", "longInts": "i8", "bools": "?"}


@dataclass(frozen=True)
class Result:
    """An output of an operation; an axis of size None is dynamic, and ``dtype`` is a NumPy name."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Operation:
    """One operation. ``arguments`` are names of values, or literals (numpy arrays and str)."""

    type: str
    arguments: Mapping[str, Sequence[Any]]
    result: Result


@dataclass(frozen=True)
class Name:
    """A reference to a value of the program, as opposed to a literal."""

    text: str


@dataclass(frozen=True)
class Feature:
    """An input or output. ``ranges`` are its valid sizes, per axis of (1, 3, H, W); empty if unknown."""

    name: str
    picture: bool
    color: str
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Program:
    """The contents of a package. ``returns`` are the names of the program's output values."""

    specification: int
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    input_types: Mapping[str, str]
    operations: tuple[Operation, ...]
    returns: tuple[str, ...]
    metadata: Mapping[str, str]


def read(package: Path) -> Program:
    """Read a package.

    Raises:
        RuntimeFailure: it is not a package, or a file of it is missing, truncated or damaged.
    """
    folder = package / "Data"
    path = folder / _root(package)
    spec = _specification(path)
    try:
        return _program(spec, _Blobs(folder / "com.apple.CoreML"))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RuntimeFailure(f"{path}: damaged: it says what no model says ({error!r})") from error


def _program(spec: Any, blobs: _Blobs) -> Program:
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    return Program(
        specification=spec.specificationVersion,
        inputs=tuple(_feature(f) for f in spec.description.input),
        outputs=tuple(_feature(f) for f in spec.description.output),
        input_types={i.name: _dtype(i.type.tensorType) for i in function.inputs},
        operations=tuple(_operation(op, blobs) for op in block.operations),
        returns=tuple(block.outputs),
        metadata=dict(spec.description.metadata.userDefined),
    )


def _root(package: Path) -> str:
    try:
        manifest = read_json(package / "Manifest.json", "the manifest of an .mlpackage")
        path: str = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (BadInput, KeyError, TypeError) as error:
        raise RuntimeFailure(f"{package}: not an .mlpackage: its Manifest.json cannot be read ({error})") from error
    return path


def _specification(path: Path) -> Any:
    from google.protobuf.message import DecodeError

    try:
        spec = messages("Model_pb2").Model.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise RuntimeFailure(f"{path}: the model specification cannot be read ({error})") from error
    if "main" not in spec.mlProgram.functions:
        raise RuntimeFailure(f"{path}: not an ML program with a function 'main'")
    return spec


class _Blobs:
    """The blob files of a package, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, bytes] = {}

    def array(self, file: str, offset: int, dtype: str, shape: tuple[int, ...]) -> Array:
        """The array whose metadata stand at ``offset``."""
        path = self._folder / file.removeprefix("@model_path/")
        data = self._bytes(path)
        if offset + _METADATA.size > len(data):
            raise RuntimeFailure(f"{path}: truncated: {len(data)} bytes, and a blob begins at {offset}")
        sentinel, _, size, start = _METADATA.unpack_from(data, offset)
        if sentinel != _SENTINEL:
            raise RuntimeFailure(f"{path}: damaged: there is no blob at {offset}")
        count = int(np.prod(shape))
        expected = count * np.dtype(dtype).itemsize
        if size != expected:
            raise RuntimeFailure(f"{path}: damaged: the blob at {offset} has {size} bytes, {expected} are expected")
        if start + size > len(data):
            raise RuntimeFailure(f"{path}: truncated: {len(data)} bytes, and a blob ends at {start + size}")
        return np.frombuffer(data, dtype, count, start).reshape(shape)

    def _bytes(self, path: Path) -> bytes:
        key = str(path)
        if key not in self._files:
            try:
                self._files[key] = path.read_bytes()
            except OSError as error:
                raise RuntimeFailure(f"{path}: the weights cannot be read ({error.strerror})") from error
        return self._files[key]


def _operation(op: Any, blobs: _Blobs) -> Operation:
    arguments: dict[str, Sequence[Any]] = {
        key: [_value(b.value, blobs) if b.WhichOneof("binding") == "value" else Name(b.name) for b in given.arguments]
        for key, given in op.inputs.items()
    }
    # "const" and the constexpr operations of iOS 16 and 17 hold their operands as attributes.
    arguments |= {key: [_value(value, blobs)] for key, value in op.attributes.items() if key != "name"}
    output = op.outputs[0]
    return Operation(
        op.type, arguments, Result(output.name, _dtype(output.type.tensorType), _shape(output.type.tensorType))
    )


def _value(value: Any, blobs: _Blobs) -> Any:
    """A literal of the specification: an array, or a str."""
    kind = value.type.tensorType
    dtype, shape = _dtype(kind), tuple(n or 0 for n in _shape(kind))
    if value.WhichOneof("value") == "blobFileValue":
        return blobs.array(value.blobFileValue.fileName, value.blobFileValue.offset, dtype, shape)
    tensor = value.immediateValue.tensor
    field = tensor.WhichOneof("value")
    if field == "strings":
        return tensor.strings.values[0]
    if field == "bytes":  # types that protobuf has no field for: fp16 and 8-bit integers
        return np.frombuffer(tensor.bytes.values, dtype).reshape(shape)
    return np.array(getattr(tensor, field).values, _IMMEDIATE[field]).astype(dtype).reshape(shape)


def _dtype(kind: Any) -> str:
    """The numpy name of a tensor's element type: FLOAT16 -> float16."""
    word: str = messages("MIL_pb2").DataType.Name(kind.dataType).lower()
    return {"string": "str"}.get(word, word)


def _shape(kind: Any) -> tuple[int | None, ...]:
    return tuple(d.constant.size if d.WhichOneof("dimension") == "constant" else None for d in kind.dimensions)


def _feature(feature: Any) -> Feature:
    if feature.type.WhichOneof("Type") == "imageType":
        image = feature.type.imageType
        color: str = image.ColorSpace.Name(image.colorSpace)
        return Feature(feature.name, True, color, _image_ranges(image))
    array = feature.type.multiArrayType
    if array.WhichOneof("ShapeFlexibility") == "shapeRange":
        ranges = tuple((r.lowerBound, r.upperBound) for r in array.shapeRange.sizeRanges)
    else:
        ranges = tuple((n, n) for n in array.shape)
    return Feature(feature.name, False, "", ranges)


def _image_ranges(image: Any) -> tuple[tuple[int, int], ...]:
    if image.WhichOneof("SizeFlexibility") == "imageSizeRange":
        sides = (image.imageSizeRange.heightRange, image.imageSizeRange.widthRange)
        spatial = tuple((side.lowerBound, side.upperBound) for side in sides)
    else:
        spatial = ((image.height, image.height), (image.width, image.width))
    channels = 1 if image.ColorSpace.Name(image.colorSpace) == "GRAYSCALE" else 3
    return ((1, 1), (channels, channels), *spatial)
