"""PSNR against ground truth, with its protocol in the arguments.

``RGB`` uses the mean squared error over the three channels, ``Y`` that of the ITU-R BT.601 luma in 16..235 (MATLAB's
``rgb2ycbcr``), unrounded. Both compare 8-bit pictures: a network's output is first clipped to 0..255 and rounded
(``to_levels``). ``border`` pixels are cropped on every side (super resolution: the scale).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from clearport.pictures.images import Image8

Space = Literal["RGB", "Y"]

_LUMA = np.array([65.481, 128.553, 24.966]) / 255.0


def to_levels(values: npt.NDArray[Any]) -> Image8:
    """Real values on the 0..255 scale to uint8: clipped, rounded (halves to even)."""
    levels: Image8 = np.rint(np.clip(values, 0.0, 255.0)).astype(np.uint8)
    return levels


def luma(image: Image8) -> npt.NDArray[np.float64]:
    """uint8 RGB (H, W, 3) to BT.601 luma (H, W), float64 in 16..235."""
    return np.asarray(image.astype(np.float64) @ _LUMA + 16.0)


def psnr_db(a: Image8, b: Image8, border: int, space: Space = "RGB") -> float:
    """Peak signal-to-noise ratio in dB (peak 255) of two uint8 RGB pictures (H, W, 3); infinite if they are equal.

    Raises:
        ValueError: the shapes differ, or nothing is left inside the border.
    """
    if a.shape != b.shape or a.ndim != 3 or a.shape[2] != 3:
        raise ValueError(f"expected two pictures of the same (H, W, 3), got {a.shape} and {b.shape}")
    height, width = a.shape[:2]
    if min(height, width) <= 2 * border:
        raise ValueError(f"a border of {border} leaves nothing of {height}x{width}")
    inside = (slice(border, height - border), slice(border, width - border))
    left, right = (luma(x[inside]) if space == "Y" else x[inside].astype(np.float64) for x in (a, b))
    error = float(np.mean((left - right) ** 2))
    return float("inf") if error == 0.0 else 10.0 * float(np.log10(255.0**2 / error))
