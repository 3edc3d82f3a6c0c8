"""Messages between the parent and its worker: a length, a JSON head, and the raw bytes of named arrays.

    uint32 little-endian   bytes of the head
    head                   JSON object; "arrays" lists {"name", "dtype", "shape"} in the order of the bytes
    bytes                  C-contiguous arrays, concatenated

Nothing is pickled: the worst that a corrupted worker can send is a message that is refused.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Array

_LENGTH = struct.Struct("<I")
_HEAD_LIMIT = 1 << 24  # 16 MiB: a longer head is not ours
_ARRAY_LIMIT = 1 << 36  # 64 GiB: a larger array is a garbled shape
_KINDS = "biuf"  # bool, int, unsigned, float: all that runtimes for pictures give


class GarbledError(Exception):
    """The stream does not contain a valid message, or ends within one."""


def send(stream: IO[bytes], head: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> None:
    """Write one message and flush it.

    Raises:
        TypeError: an array is not numeric.
        OSError: the other side has closed the stream.
    """
    contiguous = {name: np.asarray(a, order="C") for name, a in (arrays or {}).items()}
    for name, array in contiguous.items():
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"tensor {name!r} is {array.dtype}, expected numbers")
    listing = [{"name": n, "dtype": a.dtype.str, "shape": list(a.shape)} for n, a in contiguous.items()]
    data = json.dumps({**head, "arrays": listing}).encode()
    stream.write(_LENGTH.pack(len(data)) + data)
    for array in contiguous.values():
        stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, Array]] | None:
    """Read one message: its head and arrays; None at the end of the stream.

    Raises:
        GarbledError: the data are not a message.
    """
    prefix = stream.read(_LENGTH.size)
    if not prefix:
        return None
    length = _LENGTH.unpack(prefix)[0] if len(prefix) == _LENGTH.size else 0
    if not 0 < length <= _HEAD_LIMIT:
        raise GarbledError(f"a message cannot start with {prefix!r}")
    try:
        head = json.loads(stream.read(length))
        listing = head.pop("arrays")
        arrays = {str(item["name"]): _read_array(stream, item["dtype"], item["shape"]) for item in listing}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise GarbledError(f"a message cannot be read: {error}") from error
    return head, arrays


def _read_array(stream: IO[bytes], dtype_name: str, shape: list[int]) -> Array:
    dtype = np.dtype(dtype_name)
    size = math.prod(int(n) for n in shape) * dtype.itemsize
    if dtype.kind not in _KINDS or any(n < 0 for n in shape) or size > _ARRAY_LIMIT:
        raise GarbledError(f"an array cannot be {dtype_name!r} of shape {shape}")
    array = np.empty(tuple(shape), dtype)
    flat = array.reshape(-1).view(np.uint8)
    if stream.readinto(flat.data) != size:  # type: ignore[attr-defined]  # IO lacks it, buffered files have it
        raise GarbledError("the stream ended within an array")
    return array
