"""Pictures embedded in a page as ``data:`` URLs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.pictures.images import Image8

HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""Colors of errors from none to the largest: six of Matplotlib's colormap "inferno" (CC0), with uniform lightness."""


@dataclass(frozen=True)
class Picture:
    """A picture as a ``data:`` URL. ``label`` is a short description."""

    name: str
    label: str
    address: str
    height: int
    width: int


def embedded(name: str, label: str, pixels: Image8) -> Picture:
    """Pixels uint8 (H, W), (H, W, 3) or (H, W, 4) as a lossless picture; equal pixels give equal URLs."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
    address = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(name, label, address, pixels.shape[0], pixels.shape[1])


def scale() -> Picture:
    """The color bar of ``heat`` from none to the largest error."""
    import numpy as np

    row = heat(np.linspace(0, 1, 96)[None])
    return embedded("scale", "from black over red and yellow to white", row.repeat(10, axis=0))


def heat(shares: Array) -> Image8:
    """Shares 0..1 (H, W) as uint8 RGB of ``HEAT``."""
    import numpy as np

    colors, at = np.asarray(HEAT, np.float64), np.linspace(0, 1, len(HEAT))
    return np.stack([np.rint(np.interp(shares, at, colors[:, i])) for i in range(3)], axis=-1).astype(np.uint8)
