"""Picture files of any depth and mode, decoded to 8 bits per channel."""

from __future__ import annotations

import stat
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.disk.files import explain
from clearport.errors import BadInput
from clearport.pictures.deep import Levels, read_deep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL import Image

MOST_PIXELS = 210_000_000
"""Maximum pixels, checked in the header. Phones take up to 200 megapixels; decoding needs 840 MB at this limit."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "AVIF")
_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_STRAIGHT = {"La": "LA", "LA": "LA"}
_GRAY = frozenset({"1", "L", "LA", "La"})
_KEPT = frozenset({"L", "RGB", "CMYK", "LAB"})


@dataclass(frozen=True)
class Decoded:
    """A picture of mode L, RGB, CMYK or LAB with 8 bits per channel, as it is stored.

    Attributes:
        picture: without alpha.
        alpha: uint8 (H, W), or None.
        profile: the ICC profile, if any.
        orientation: the EXIF tag, 1 to 8.
        remarks: messages on lost information.
    """

    picture: Image.Image
    alpha: Image.Image | None
    profile: bytes | None
    orientation: int
    remarks: tuple[str, ...]


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Convert any error of a decoder to BadInput that names the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings on damaged metadata; undecodable data raise
            _check_regular(path)
            yield
    except BadInput:
        raise
    except FileNotFoundError as error:
        raise explain(error, path) from error
    except UnidentifiedImageError as error:
        raise BadInput(f"{path}: not a readable picture; expected PNG, JPEG, WebP, BMP or TIFF") from error
    except Image.DecompressionBombError as error:
        raise BadInput(f"{path}: more than {MOST_PIXELS // 10**6} megapixels; split it into parts first") from error
    except Exception as error:  # on damaged files decoders raise arbitrary exceptions
        raise BadInput(f"{path}: the picture cannot be decoded ({error})") from error


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture, reading only its header.

    Raises:
        DecompressionBombError: too many pixels according to the header.
    """
    from PIL import Image

    Image.init()  # Pillow loads some formats lazily, and lacks some in some builds
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_PIXELS
    try:
        with Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN]) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            yield picture
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def decode(path: Path) -> Decoded:
    """Read a picture; of several pages or frames the first.

    Raises:
        BadInput: the file is missing, not a picture, damaged, too large, or has values without a fixed range.
    """
    with refusals(path):
        deep = read_deep(path)
        if deep is not None and deep.orientation is not None:
            return _of_levels(deep, deep.profile, deep.orientation)
        with opened(path) as header:
            profile = header.info.get("icc_profile") or None
            if deep is not None:
                return _of_levels(deep, profile, _orientation(header))
            remarks = ("only its first picture was used",) if _is_animated(header) else ()
            picture, alpha = _of_mode(header)
            return Decoded(picture, alpha, profile, _orientation(header), remarks)


def _check_regular(path: Path) -> None:
    """Refuse anything but a regular file: reading a pipe would block."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadInput(f"{path}: expected a picture file, not a folder, pipe, socket or device")


def _is_animated(header: Image.Image) -> bool:
    """Whether a viewer would show several pictures; a phone's auxiliary ones (MPO) do not count."""
    return getattr(header, "n_frames", 1) > 1 and header.format != "MPO"


def _orientation(header: Image.Image) -> int:
    try:
        found = int(header.getexif().get(0x0112, 1))
    except (ValueError, TypeError, SyntaxError, KeyError, OSError):  # EXIF does not affect the pixels
        return 1
    return found if 1 <= found <= 8 else 1


def _of_mode(header: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Convert to a mode that Pillow decodes correctly: the colors in one of the four modes, and the alpha."""
    header.load()
    if header.mode in _ALPHA or "transparency" in header.info:
        whole = header.convert(_STRAIGHT.get(header.mode, "RGBA"))
        colors = whole.convert("L" if header.mode in _GRAY else "RGB")
        return colors, whole.getchannel("A")
    return header if header.mode in _KEPT else header.convert("L" if header.mode in _GRAY else "RGB"), None


def _of_levels(deep: Levels, profile: bytes | None, orientation: int) -> Decoded:
    """Levels rounded to 8 bits."""
    import numpy as np
    from PIL import Image

    white = 2**deep.bits - 1
    table = ((np.arange(2**16, dtype=np.uint32).clip(max=white) * 255 + white // 2) // white).astype(np.uint8)
    eight, count = table[deep.values], deep.colors
    plain = eight[..., 0] if count == 1 else np.ascontiguousarray(eight[..., :count])
    picture = Image.frombytes("CMYK", plain.shape[1::-1], plain.tobytes()) if count == 4 else Image.fromarray(plain)
    alpha = Image.fromarray(eight[..., count]) if deep.mode.endswith("A") else None
    return Decoded(picture, alpha, profile, orientation, (f"{deep.bits} bits per channel rounded to 8",))
