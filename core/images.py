"""Pictures on disk <-> uint8 RGB arrays (H, W, 3)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.base import BadInput
from clearport.files import atomic_path, explain
from clearport.litter import walk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image8 = npt.NDArray[np.uint8]

_TAIL = 1 << 16
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})


def load_rgb(path: Path) -> Image8:
    """Read a picture as uint8 RGB of shape (H, W, 3).

    Greyscale is repeated, palettes are expanded, alpha is dropped (the colours stay as stored), 16 bit is
    scaled to 8 with rounding, and an EXIF orientation is applied.

    Raises:
        BadInput: the file is missing, is not a picture, or is truncated.
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                opened.load()
                picture = ImageOps.exif_transpose(opened)
    except FileNotFoundError as error:
        raise explain(error, path) from error
    except UnidentifiedImageError as error:
        raise BadInput(f"{path}: not a picture that can be read; expected PNG, JPEG, WebP, BMP or TIFF") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadInput(f"{path}: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise BadInput(f"{path}: the picture cannot be decoded ({error})") from error
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_deep_grey(np.asarray(picture), path)
    return np.array(picture.convert("RGB"), dtype=np.uint8)  # a copy: the picture's own memory cannot be written


def _from_deep_grey(grey: npt.NDArray[np.generic], path: Path) -> Image8:
    import numpy as np

    if not np.issubdtype(grey.dtype, np.integer):
        raise BadInput(f"{path}: floating-point pictures have no fixed range; convert it to 8 or 16 bit first")
    levels = np.clip(grey.astype(np.int64), 0, 65535)
    eight = ((levels * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(eight[..., None], 3, axis=2)


def save_png(path: Path, image: Image8) -> None:
    """Write uint8 RGB (H, W, 3) as PNG, atomically; the same pixels give the same bytes."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", compress_level=6)


def is_picture(path: Path) -> bool:
    """Whether a file is called like a picture."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


_ORIENTATION, _SIDEWAYS = 0x0112, frozenset({5, 6, 7, 8})


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture as ``load_rgb`` gives it, read from its header.

    Raises:
        BadInput: it is not a picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            width, height = picture.size
            plain = picture.format == "PNG" and "exif" not in picture.info and b"eXIf" not in _tail(path)
            turned = not plain and picture.getexif().get(_ORIENTATION, 1) in _SIDEWAYS  # which decodes such a PNG
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return (load_rgb(path).shape[0], load_rgb(path).shape[1])  # which says what is wrong with it
    return (width, height) if turned else (height, width)


def looks_truncated(path: Path) -> bool:
    """Whether a JPEG or PNG file ends without its end marker; it may still be whole, which only decoding tells."""
    with path.open("rb") as file:
        marker = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}.get(file.read(2))
    return marker is not None and marker not in _tail(path)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL))
        return file.read()


def find_pictures(folder: Path) -> list[Path]:
    """Every picture below ``folder``, sorted by path; hidden files and other litter are passed over.

    Raises:
        BadInput: the folder is missing or holds no picture.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: expected a folder of pictures, and there is none at this path")
    found = sorted(path for _, _, files in walk(folder) for path in files if is_picture(path))
    if not found:
        raise BadInput(f"{folder}: no pictures in it; expected files ending in {', '.join(sorted(SUFFIXES))}")
    return found
