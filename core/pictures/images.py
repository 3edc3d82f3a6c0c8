"""Pictures on disk <-> uint8 RGB arrays (H, W, 3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.disk.files import atomic_path
from clearport.disk.litter import walk
from clearport.errors import BadInput
from clearport.pictures.color import to_srgb
from clearport.pictures.decode import decode, opened, refusals

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    Image8 = npt.NDArray[np.uint8]

MAX_PIXELS = 3840 * 2160
"""Maximum pixels of an exported network's input; larger pictures are processed in tiles."""

_TAIL = 1 << 16
_ROWS = 256
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Picture:
    """A picture as input of a network.

    Attributes:
        pixels: uint8 RGB (H, W, 3).
        gray: whether every pixel is gray.
        remarks: messages on lost or changed information.
    """

    pixels: Image8
    gray: bool
    remarks: tuple[str, ...]


def load_rgb(path: Path) -> Image8:
    """Read a picture as uint8 RGB of shape (H, W, 3): see ``load_picture``.

    Raises:
        BadInput: as for ``load_picture``.
    """
    return load_picture(path).pixels


def load_picture(path: Path) -> Picture:
    """Read a picture as sRGB of 8 bits, upright.

    Grayscale is repeated to three channels, palettes are expanded, alpha is dropped (colors stay as stored), more than
    8 bits are rounded, colors are converted from the embedded profile to sRGB, CMYK becomes RGB, and the EXIF
    orientation is applied. The
    page of ``serve`` does the same (``runtime/web/src/picture_io.ts``).

    Raises:
        BadInput: the file is missing, is not a picture, is damaged, has more than ``MOST_PIXELS``, or has values
            without a fixed range (floating point, 32 bit).
    """
    stored, orientation, remarks = _stored(path)
    pixels = _upright(stored, orientation)
    return Picture(pixels, is_gray(pixels), tuple(remark for remark in remarks if remark))


def _stored(path: Path) -> tuple[Image8, int, list[str]]:
    """Pixels before rotation, the orientation, and remarks; Pillow's memory is released."""
    found = decode(path)
    with refusals(path):
        converted = to_srgb(found.picture, found.profile)
        picture = converted.picture if converted.picture.mode == "RGB" else converted.picture.convert("RGB")
        seen_through = found.alpha is not None and found.alpha.getextrema()[0] != 255
        remarks = [*found.remarks, converted.remark, "its transparency was dropped" if seen_through else ""]
        return _pixels_of(picture), found.orientation, remarks


def _pixels_of(picture: Image.Image) -> Image8:
    """The pixels of an RGB picture, row by row: ``numpy.array`` would need an intermediate copy."""
    import numpy as np

    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    for top in range(0, picture.height, _ROWS):
        rows = pixels[top : top + _ROWS]
        rows[:] = np.asarray(picture.crop((0, top, picture.width, top + len(rows))))
    return pixels


def as_gray(pixels: Image8) -> Image8:
    """A picture (H, W, 3) whose three channels are its BT.601 luma, rounded."""
    import numpy as np

    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    luma = ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(np.uint8)
    return np.repeat(luma[..., None], 3, axis=2)


def is_gray(pixels: Image8) -> bool:
    """Whether every pixel of a picture (H, W, 3) is gray."""
    return all(bool((row[:, :1] == row[:, 1:]).all()) for row in pixels)  # row by row: a full mask is large


def _upright(pixels: Image8, orientation: int) -> Image8:
    """Apply an EXIF orientation, 1 to 8."""
    import numpy as np

    turned = pixels if orientation < 5 else pixels.transpose(1, 0, 2)
    flips = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return np.ascontiguousarray(turned[:: flips[0], :: flips[1]])


def save_png(path: Path, image: Image8) -> None:
    """Write uint8 pixels (H, W, C) as PNG, atomically: gray, gray and alpha, RGB or RGBA.

    The same pixels give the same bytes.
    """
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(temporary, format="PNG", compress_level=6)


def load_stored(path: Path) -> Image8:
    """The pixels (H, W, C) of a PNG written by ``save_png``: 1 to 4 channels, without conversion.

    Raises:
        BadInput: it is not such a picture.
    """
    import numpy as np

    with refusals(path), opened(path) as picture:
        if picture.mode not in _STORED:
            raise BadInput(f"{path}: expected 8-bit pixels of 1 to 4 channels, got {picture.mode}")
        pixels = np.array(picture, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


_STORED = frozenset({"L", "LA", "RGB", "RGBA"})


def is_picture(path: Path) -> bool:
    """Whether a file's suffix is that of a picture."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


_ORIENTATION, _SIDEWAYS = 0x0112, frozenset({5, 6, 7, 8})


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of ``load_rgb``'s result, read from the header.

    Raises:
        BadInput: it is not a picture.
    """
    try:
        with refusals(path), opened(path) as picture:
            width, height = picture.size
            plain = picture.format == "PNG" and "exif" not in picture.info and b"eXIf" not in _tail(path)
            upright = plain or picture.format == "TIFF"  # Pillow has rotated TIFFs; EXIF of a PNG decodes it
            turned = not upright and picture.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
            return (width, height) if turned else (height, width)
    except BadInput:
        pixels = load_rgb(path)  # which raises the proper error, or reads formats that Pillow lacks
        return pixels.shape[0], pixels.shape[1]


def looks_truncated(path: Path) -> bool:
    """Whether a JPEG or PNG file lacks its end marker; only decoding can tell whether it is complete."""
    with path.open("rb") as file:
        marker = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}.get(file.read(2))
    return marker is not None and marker not in _tail(path)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL))
        return file.read()


def find_pictures(folder: Path) -> list[Path]:
    """Every picture below ``folder``, sorted by path, without hidden files and other litter.

    Raises:
        BadInput: the folder is missing or has no pictures.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: expected a folder of pictures; no such folder")
    found = sorted(path for _, _, files in walk(folder) for path in files if is_picture(path))
    if not found:
        raise BadInput(f"{folder}: it contains no pictures; expected files ending in {', '.join(sorted(SUFFIXES))}")
    return found
