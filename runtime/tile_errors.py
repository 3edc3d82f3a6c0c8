"""Errors of a restored picture by tile: a mean over the picture hides what one corner of it shows.

Tiles are 64x64 pixels (smaller in smaller pictures), overlap by half, and end at the picture's edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.pictures.images import Image8

SIDE, STRIDE = 64, 32

INVISIBLE = 1.0
"""Squared levels of 255. A smaller mean squared error counts as this one: 48.1 dB, one level everywhere, cannot be
seen, and in flat tiles, whose errors are smaller still, ratios of errors would mean nothing."""


@dataclass(frozen=True)
class TileErrors:
    """Mean squared errors of a picture's tiles, in squared levels of 255, over RGB.

    Attributes:
        tops, lefts: where tiles begin, in pixels of the whole picture.
        height, width: of each tile.
        errors: float64, (tops, lefts).
    """

    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    height: int
    width: int
    errors: Array


@dataclass(frozen=True)
class WorstTile:
    """The tile of a data set that loses most to a baseline: where it is, and both PSNRs (dB, at most 48.1)."""

    image: str
    top: int
    left: int
    height: int
    width: int
    psnr_db: float
    baseline_psnr_db: float

    @property
    def drop_db(self) -> float:
        """What is lost, in dB; negative where even the worst tile is better than the baseline's."""
        return self.baseline_psnr_db - self.psnr_db

    def of(self, image: Image8) -> Image8:
        """The tile of a picture (H, W, 3)."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def measure(restored: Image8, truth: Image8, border: int) -> TileErrors:
    """The errors of all tiles of two uint8 pictures (H, W, 3) inside a border."""
    height, width = (n - 2 * border for n in truth.shape[:2])
    inside = (slice(border, border + height), slice(border, border + width))
    squares = np.square(restored[inside].astype(np.int32) - truth[inside]).sum(2, dtype=np.int64)
    tops, lefts, tall, wide, total = totals(squares)
    errors = total / (3 * tall * wide)
    return TileErrors(tuple(n + border for n in tops), tuple(n + border for n in lefts), tall, wide, errors)


def totals(values: Array) -> tuple[list[int], list[int], int, int, Array]:
    """Sums of ``values`` (H, W) over all tiles: tops, lefts, height, width, and the sums (tops, lefts)."""
    height, width = values.shape
    sums = np.zeros((height + 1, width + 1), values.dtype)
    sums[1:, 1:] = values.cumsum(0).cumsum(1)
    tall, wide = min(SIDE, height), min(SIDE, width)
    tops, lefts = _starts(height, tall), _starts(width, wide)
    rows, columns = np.ix_(tops, lefts)
    total = sums[rows + tall, columns + wide] - sums[rows, columns + wide] - sums[rows + tall, columns]
    return tops, lefts, tall, wide, total + sums[rows, columns]


def worst(name: str, given: TileErrors, baseline: TileErrors) -> WorstTile:
    """The tile of one picture that loses most to the same picture by a baseline; the first of equals."""
    psnr, better = (10 * np.log10(255**2 / np.maximum(each.errors, INVISIBLE)) for each in (given, baseline))
    row, column = np.unravel_index(int(np.argmax(better - psnr)), psnr.shape)
    place = given.tops[row], given.lefts[column], given.height, given.width
    return WorstTile(name, *place, float(psnr[row, column]), float(better[row, column]))


def _starts(length: int, side: int) -> list[int]:
    return sorted({*range(0, length - side + 1, STRIDE), length - side})
