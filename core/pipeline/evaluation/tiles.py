"""The worst tile of each artifact as a picture: ground truth, PyTorch, the file, and the difference of these two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.runtime import tile_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.pictures.images import Image8
    from clearport.runtime.quality import ImageScore, QualityReport
    from clearport.runtime.tile_errors import WorstTile

ENLARGED, AMPLIFIED = 4, 16
_GAP, _LINE = 6, 18
_GROUND = 238


@dataclass(frozen=True)
class TileCrop:
    """The worst tile of one artifact, uint8 RGB (H, W, 3) each."""

    subject: str
    tile: WorstTile
    truth: Image8
    restored: Image8


class Watch:
    """Keeps crops of the tile with the largest loss against a baseline, while an artifact is evaluated."""

    def __init__(self, subject: str, baseline: QualityReport) -> None:
        self._subject, self._better = subject, {score.name: score for score in baseline.images}
        self.crop: TileCrop | None = None

    def __call__(self, score: ImageScore, restored: Image8, truth: Image8) -> None:
        """Update with one picture."""
        tile = tile_errors.worst(score.name, score.tiles, self._better[score.name].tiles)
        if self.crop is None or tile.drop_db > self.crop.tile.drop_db:
            self.crop = TileCrop(self._subject, tile, tile.of(truth).copy(), tile.of(restored).copy())


def sheet(crops: Sequence[TileCrop], baseline: Mapping[str, Image8]) -> Image8:
    """One row per artifact, uint8 RGB (H, W, 3): ground truth, PyTorch, the file, and the difference of these two.

    ``baseline``: picture -> PyTorch's output, for every picture that has a crop.
    """
    rows = [_row(crop, crop.tile.of(baseline[crop.tile.image])) for crop in crops]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=_GROUND) for row in rows]
    return np.concatenate(padded)


def _row(crop: TileCrop, better: Image8) -> Image8:
    difference = np.abs(crop.restored.astype(np.int16) - better) * AMPLIFIED
    parts = (crop.truth, better, crop.restored, np.minimum(difference, 255).astype(np.uint8))
    framed = [np.pad(_enlarged(part), ((0, _GAP), (_GAP, 0), (0, 0)), constant_values=_GROUND) for part in parts]
    pictures = np.concatenate(framed, axis=1)
    tile = crop.tile
    said = (
        f"{crop.subject}: {tile.image}, x {tile.left}, y {tile.top}: {tile.psnr_db:.2f} dB, "
        f"PyTorch {tile.baseline_psnr_db:.2f} dB.  Truth, PyTorch, file, |difference| x {AMPLIFIED}"
    )
    return np.concatenate([_text(said, pictures.shape[1]), pictures])


def _enlarged(image: Image8) -> Image8:
    return image.repeat(ENLARGED, 0).repeat(ENLARGED, 1)


def _text(said: str, width: int) -> Image8:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(11)
    strip = Image.new("RGB", (max(width, int(font.getlength(said)) + 2 * _GAP), _LINE), (_GROUND,) * 3)
    ImageDraw.Draw(strip).text((_GAP, 2), said, fill=(20, 20, 20), font=font)
    return np.asarray(strip)[:, :width]
