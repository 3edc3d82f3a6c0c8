"""Forgery: photos of which, with probability 1/2, a part is replaced, for detectors of forged pictures.

The part comes from the photo itself, in other colors, shifted, resampled, blurred or sharpened, and is blended in with
a soft border, as in self-blended images (arXiv 2204.08376); no faces are needed or used. Real and forged photos get the
same JPEG compression, so that it reveals nothing. Cues are those of face swaps: a seam, and inconsistent colors, noise
and sharpness. It is a substitute for training and testing the pipeline: results on it do not transfer to
FaceForensics++ or other real forgeries.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from clearport.models.data.degrade import Degraded
from clearport.models.data.resize import bicubic_resize
from clearport.models.degradations.camera import blur_kernel, convolved, through_jpeg, to_8bit
from clearport.models.degradations.exposures import shifted

if TYPE_CHECKING:
    from clearport.base import Float32
    from clearport.pictures.images import Image8

_CELLS = 7


class Forgery:
    """Forges half of the photos; which, and how, is drawn from the generator of each call."""

    def __init__(self, seed: int) -> None:
        del seed  # no bank is drawn in advance

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """A photo, uint8 RGB (H, W, 3), forged or not.

        Truth is ``label`` (1, 1, 1), 0 real or 1 fake, and ``forged`` (7, 7, 1): the forged share of each cell.
        """
        fake = bool(rng.random() < 0.5)
        seen, mask = photo, np.zeros((*photo.shape[:2], 1), np.float32)
        if fake:
            mask = soft_mask(photo.shape[0], photo.shape[1], rng)
            other = altered(photo, rng).astype(np.float32)
            seen = to_8bit(mask * other + (1.0 - mask) * photo)
        made = through_jpeg(seen, int(rng.integers(60, 96))) if rng.random() < 0.7 else seen
        truth = {"label": np.full((1, 1, 1), float(fake), np.float32), "forged": _cells(mask)}
        return Degraded(made, truth)


def soft_mask(height: int, width: int, rng: np.random.Generator) -> Float32:
    """An ellipse (H, W, 1) with a soft border, 1 inside, that covers a tenth to a half of the picture."""
    center, reach = rng.uniform(0.35, 0.65, 2) * (height, width), rng.uniform(0.2, 0.4, 2) * (height, width)
    y, x = np.mgrid[0:height, 0:width]
    distance = np.sqrt(((y - center[0]) / reach[0]) ** 2 + ((x - center[1]) / reach[1]) ** 2)
    soft = float(rng.uniform(0.03, 0.2))
    return np.asarray(np.clip((1.0 + soft / 2 - distance) / soft, 0.0, 1.0)[..., None], np.float32)


def altered(photo: Image8, rng: np.random.Generator) -> Image8:
    """The photo shifted by some pixels, with slightly changed colors, and resampled, blurred or sharpened."""
    levels = shifted(photo.astype(np.float32), *rng.uniform(-6.0, 6.0, 2))
    levels = levels * rng.uniform(0.85, 1.15, 3).astype(np.float32) + rng.uniform(-12.0, 12.0, 3).astype(np.float32)
    how = int(rng.integers(3))
    if how == 0:
        height, width = photo.shape[:2]
        share = rng.uniform(0.4, 0.8)
        small = bicubic_resize(to_8bit(levels), round(height * share), round(width * share))
        return bicubic_resize(small, height, width)
    soft = convolved(levels, blur_kernel(rng, 0.6, 1.4))
    return to_8bit(soft if how == 1 else levels + float(rng.uniform(0.4, 1.2)) * (levels - soft))


def _cells(mask: Float32) -> Float32:
    """A mask (H, W, 1) averaged over a grid of 7x7 cells."""
    rows, columns = (np.linspace(0, n, _CELLS + 1).astype(int) for n in mask.shape[:2])
    parts = [[mask[a:b, c:d].mean() for c, d in pairwise(columns)] for a, b in pairwise(rows)]
    return np.asarray(parts, np.float32)[..., None]


DEGRADER = Forgery
