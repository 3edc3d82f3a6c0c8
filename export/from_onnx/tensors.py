"""Consistency checks of an ONNX file's tensors: sizes, dtypes, and data in one place only.

External data are loaded; a path that leads out of the file's folder is refused.
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

import onnx
from onnx import helper

from clearport.disk.files import explain
from clearport.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = (1 << 31) - 1
"""Maximum bytes of a protobuf message, and so of an ONNX file with inline data."""

_FORMATS = frozenset(
    {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.BFLOAT16,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.BOOL,
        onnx.TensorProto.INT8,
        onnx.TensorProto.UINT8,
        onnx.TensorProto.INT16,
        onnx.TensorProto.UINT16,
        onnx.TensorProto.INT32,
        onnx.TensorProto.UINT32,
        onnx.TensorProto.INT64,
        onnx.TensorProto.UINT64,
        onnx.TensorProto.INT4,
        onnx.TensorProto.UINT4,
    }
)
_HALVES = frozenset({onnx.TensorProto.INT4, onnx.TensorProto.UINT4})
"""Formats of which a byte holds two numbers."""
_TYPED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def complete(model: onnx.ModelProto, path: Path) -> None:
    """Check every tensor of a model, and load its external data in place.

    Raises:
        BadInput: a tensor is inconsistent, or its data cannot be read.
    """
    total = 0
    for tensor in tensors(model):
        total += _bytes_of(tensor, path)
        if total > MOST_BYTES:
            raise BadInput(f"{path}: its tensors exceed 2 GiB, the limit here")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _read_beside(tensor, path)
        _check_data(tensor, path)


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a model: initializers and constants in attributes, including functions and subgraphs."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _of_node(node)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _of_node(node)


def _of_node(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            yield attribute.t
        yield from attribute.tensors
        graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else []
        for graph in (*graphs, *attribute.graphs):
            yield from _of_graph(graph)


def _bytes_of(tensor: onnx.TensorProto, path: Path) -> int:
    """Expected size of a tensor in bytes."""
    if tensor.data_type not in _FORMATS:
        name = onnx.TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in _known() else tensor.data_type
        raise _wrong(tensor, path, f"its number format is {name}, which no target has")
    if any(n < 0 for n in tensor.dims):
        raise _wrong(tensor, path, f"its shape {list(tensor.dims)} has a negative side")
    size = _stored(tensor) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    if size > MOST_BYTES:
        raise _wrong(tensor, path, f"its shape {list(tensor.dims)} takes {size:,} bytes, more than 2 GiB")
    return int(size)


def _stored(tensor: onnx.TensorProto) -> int:
    """How many items the numbers of a tensor take."""
    count: int = math.prod(tensor.dims)
    return -(-count // 2) if tensor.data_type in _HALVES else count


def _known() -> list[int]:
    return list(onnx.TensorProto.DataType.values())


def _check_data(tensor: onnx.TensorProto, path: Path) -> None:
    typed = [field for field in _TYPED if len(getattr(tensor, field))]
    if tensor.HasField("raw_data") and typed:
        raise _wrong(tensor, path, f"it has both raw data and {typed[0]}: which of the two counts is not said")
    if len(typed) > 1:
        raise _wrong(tensor, path, f"it has both {typed[0]} and {typed[1]}: which of the two counts is not said")
    count = _stored(tensor)
    if not typed:
        wanted, found, unit = _bytes_of(tensor, path), len(tensor.raw_data), "bytes"
    else:
        wanted, found, unit = count, len(getattr(tensor, typed[0])), "numbers"
    if found != wanted:
        shape = "x".join(map(str, tensor.dims)) or "one number"
        raise _wrong(tensor, path, f"it has {found:,} {unit}, and its shape {shape} asks for {wanted:,}")


def _read_beside(tensor: onnx.TensorProto, path: Path) -> None:
    told = {entry.key: entry.value for entry in tensor.external_data}
    data = place_of(tensor, path)
    wanted = _bytes_of(tensor, path)
    offset, length = (_count(tensor, told.get(key, ""), key, path) for key in ("offset", "length"))
    if length not in {None, wanted}:
        raise _wrong(tensor, path, f"it has {length:,} bytes in {data.name}, and its shape asks for {wanted:,}")
    if tensor.HasField("raw_data") or any(len(getattr(tensor, field)) for field in _TYPED):
        raise _wrong(tensor, path, f"it has data of its own and in {data.name}: which of the two counts is not said")
    try:
        with data.open("rb") as file:
            file.seek(offset or 0)
            found = file.read(wanted)
    except (OSError, OverflowError) as error:
        raise (explain(error, data) if isinstance(error, OSError) else _wrong(tensor, path, str(error))) from error
    if len(found) != wanted:
        raise _wrong(tensor, path, f"{data.name} ends before its data do")
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.DEFAULT
    tensor.raw_data = found


def location_of(tensor: onnx.TensorProto) -> str:
    """Declared location of a tensor's external data, relative to the model's folder; empty if not declared."""
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def place_of(tensor: onnx.TensorProto, path: Path) -> Path:
    """The file with a tensor's external data, which must be within the model's folder after resolving symlinks.

    Raises:
        BadInput: it leads elsewhere, or there is none.
    """
    folder, location = path.parent.resolve(), location_of(tensor)
    if not location or "\0" in location or "\\" in location:
        raise _wrong(tensor, path, f"its data are in {location!r}, which is no file name")
    if PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive or ".." in Path(location).parts:
        raise _wrong(tensor, path, f"its data are in {location!r}, outside of the folder of the model")
    data = (folder / location).resolve()
    if not data.is_relative_to(folder):
        raise _wrong(tensor, path, f"its data are in {location!r}, which leads out of the folder of the model")
    if not data.is_file():
        raise _wrong(tensor, path, f"its data are in {location!r}, and no such file beside the model")
    return data


def _count(tensor: onnx.TensorProto, text: str, key: str, path: Path) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _wrong(tensor, path, f"the {key} of its data is {text[:40]!r}, which is no number of bytes")
    return int(text)


def _wrong(tensor: onnx.TensorProto, path: Path, what: str) -> BadInput:
    return BadInput(f"{path}: tensor {tensor.name!r}: {what}")
