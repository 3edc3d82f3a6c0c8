"""Pictures of more than 8 bits per channel, which Pillow truncates or refuses: PNG by libpng, TIFF by tifffile."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clearport.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

MOST_BYTES = 840_000_000
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SIXTEEN_BIT_PNG = (b"\x89PNG\r\n\x1a\n", 24, 16)  # the signature, and where the header has the bit depth
_UNSIGNED = 1
_PROFILE, _ORIENTATION = 34675, 274


@dataclass(frozen=True)
class Levels:
    """Stored levels of a picture.

    Attributes:
        values: (H, W, channels), 0 for black (for no ink, in CMYK).
        bits: white is ``2**bits - 1``.
        mode: ``L``, ``RGB`` or ``CMYK``, with the suffix ``A`` if the last channel is alpha.
        profile, orientation: from a TIFF file; a PNG's are read by Pillow.
    """

    values: npt.NDArray[np.uint16]
    bits: int
    mode: str
    profile: bytes | None = None
    orientation: int | None = None

    @property
    def colors(self) -> int:
        """Number of channels without alpha."""
        return {"L": 1, "LA": 1, "RGB": 3, "RGBA": 3}.get(self.mode, 4)


def read_deep(path: Path) -> Levels | None:
    """The levels of a PNG or TIFF file of more than 8 bits; None for any other file.

    Raises:
        BadInput: its values have no fixed range, its color space is not supported, or it is too large.
        Exception: any exception of the decoders for damaged files.
    """
    with path.open("rb") as file:
        head = file.read(33)
    signature, place, depth = _SIXTEEN_BIT_PNG
    if head.startswith(signature) and head[place : place + 1] == bytes([depth]):
        return _png(path, head)
    return _tiff(path) if head[:4] in _TIFF else None


def _png(path: Path, head: bytes) -> Levels:
    import imagecodecs

    width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    _check_size(path, width * height * 8)
    values = imagecodecs.png_decode(path.read_bytes())
    values = values.reshape(*values.shape[:2], -1)
    return Levels(values, 16, {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[values.shape[2]])


def _tiff(path: Path) -> Levels | None:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # warnings on damaged tags; undecodable data raise
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        bits = max(_numbers(page.bitspersample))
        if max(_numbers(page.sampleformat)) != _UNSIGNED or bits > 16:
            kind = f"{bits}-bit" if bits > 16 else "signed or floating-point"
            raise BadInput(
                f"{path}: a TIFF picture of {kind} values, which have no standard range; convert it to 8 or 16 bits"
            )
        if bits <= 8:
            return None
        _check_size(path, page.size * 2)
        mode = _mode(path, page)
        values = page.asarray()
        values = values.transpose(1, 2, 0) if page.axes == "SYX" else values
        values = values.reshape(*values.shape[:2], -1)
        if page.photometric == 0:  # white is zero
            values = (2**bits - 1) - values
        profile, orientation = page.tags.get(_PROFILE), page.tags.get(_ORIENTATION)
        return Levels(
            values, bits, mode, profile and bytes(profile.value), 1 if orientation is None else int(orientation.value)
        )


def _mode(path: Path, page: Any) -> str:
    mode = {0: "L", 1: "L", 2: "RGB", 5: "CMYK"}.get(int(page.photometric))
    count = int(page.samplesperpixel)
    if mode is None or count < len(mode) or not {"Y", "X"} <= set(page.axes) <= {"Y", "X", "S"}:
        raise BadInput(
            f"{path}: a TIFF picture of more than 8 bits in an unsupported color space; convert it to RGB first"
        )
    return mode + "A" * (count > len(mode))


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in value) if isinstance(value, tuple) else (int(value),)


def _check_size(path: Path, count: int) -> None:
    if count > MOST_BYTES:
        raise BadInput(
            f"{path}: {count // 10**6} MB of pixels of more than 8 bits, at most {MOST_BYTES // 10**6} are read; "
            "make it 8-bit first"
        )
