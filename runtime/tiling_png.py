"""Writes a PNG strip by strip, for pictures that are larger than memory."""

from __future__ import annotations

import struct
import zlib
from typing import IO, TYPE_CHECKING

import numpy as np

from clearport.disk.files import atomic_path
from clearport.disk.ours import PNG_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from clearport.base import Array, Size
    from clearport.pictures.images import Image8

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels of a picture -> PNG's color type: gray, gray and alpha, RGB, RGBA."""
_UP = 2  # the filter that stores the difference to the row above
_LEVEL = 6


def save_strips(path: Path, size: Size, strips: Iterable[Array], channels: int = 3, gamma: float | None = None) -> None:
    """Write uint8 ``strips`` (rows, width, channels), from top to bottom, as one PNG of ``size``, atomically.

    With ``gamma`` they are uint16, and levels are light to the power of ``1 / gamma``; else they are sRGB. The same
    pixels give the same bytes, however they are cut into strips.

    Raises:
        BadInput: the disk is full, or the place cannot be written.
        ValueError: the strips do not make up a picture of ``size``.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(_SIGNATURE)
        depth = 8 if gamma is None else 16
        _chunk(file, b"IHDR", _header(size, channels, depth))
        _chunk(file, b"tEXt", PNG_MARK)  # so that the next run knows the file for one of ours, which it may replace
        if gamma is None:
            _chunk(file, b"sRGB", b"\x01")  # relative colorimetric, as pictures are read
        else:
            _chunk(file, b"gAMA", struct.pack(">I", round(100_000 / gamma)))
        above = np.zeros((1, size.width * channels * depth // 8), np.uint8)
        packer, rows = zlib.compressobj(_LEVEL), 0
        for strip in strips:
            if strip.shape[1:] != (size.width, channels):
                raise ValueError(
                    f"a strip is {strip.shape}, expected rows of {size.width} pixels of {channels} channels"
                )
            lines = np.ascontiguousarray(strip, ">u2" if depth == 16 else np.uint8).view(np.uint8)
            lines = lines.reshape(strip.shape[0], -1)
            _chunk(file, b"IDAT", packer.compress(_filtered(lines, above)))
            above, rows = lines[-1:].copy(), rows + len(lines)
        if rows != size.height:
            raise ValueError(f"the strips have {rows} rows together, expected {size.height}")
        _chunk(file, b"IDAT", packer.flush())
        _chunk(file, b"IEND", b"")


def _header(size: Size, channels: int, depth: int) -> bytes:
    """Width, height, bit depth, color type, compression, filter method, interlace."""
    return struct.pack(">II5B", size.width, size.height, depth, CHANNELS[channels], 0, 0, 0)


def _filtered(lines: Image8, above: Image8) -> bytes:
    """Rows as PNG stores them: the number of the filter, then each byte less the one above it (modulo 256)."""
    out = np.empty((lines.shape[0], lines.shape[1] + 1), np.uint8)
    out[:, 0] = _UP
    out[:, 1:] = lines - np.concatenate([above, lines[:-1]])
    return out.tobytes()


def _chunk(file: IO[bytes], kind: bytes, data: bytes) -> None:
    if not data and kind == b"IDAT":
        return  # the packer kept it all for later
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
