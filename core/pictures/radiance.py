"""Radiance pictures (``.hdr``): linear light, three channels with one exponent a pixel, by imagecodecs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.disk.files import write_bytes
from clearport.disk.json_files import read_bytes
from clearport.disk.ours import RADIANCE_MARK
from clearport.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Array, Float32

SUFFIX = ".hdr"
_MAGIC = b"#?RADIANCE\n"


def save(path: Path, light: Array) -> None:
    """Write linear light (H, W, 3), atomically; the same light gives the same bytes. Pixels keep 8 bits of mantissa.

    Raises:
        BadInput: the path cannot be written.
    """
    import imagecodecs

    made = bytes(imagecodecs.rgbe_encode(np.ascontiguousarray(light, np.float32)))
    write_bytes(path, RADIANCE_MARK + made.removeprefix(_MAGIC))


def load(path: Path) -> Float32:
    """The linear light (H, W, 3) of a Radiance picture.

    Raises:
        BadInput: the file is missing, or not a Radiance picture.
    """
    import imagecodecs

    data = read_bytes(path)
    try:
        light = np.asarray(imagecodecs.rgbe_decode(data), np.float32)
    except (imagecodecs.RgbeError, ValueError) as error:
        raise BadInput(f"{path}: not a readable Radiance picture (.hdr): {error}") from error
    if light.ndim != 3 or light.shape[2] != 3:
        raise BadInput(f"{path}: expected three channels, got an array {light.shape}")
    return light
