"""Diffusion: a photo at a random step of the noise schedule; the target is the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.models.data.degrade import Degraded
from clearport.models.layers.diffusion import STEPS, embedding, kept

if TYPE_CHECKING:
    from clearport.pictures.images import Image8

WIDTH = 32
"""Dimensions of the embedding of a step."""


class Diffusion:
    """Adds noise."""

    upright = 1.0
    """Crops of the single training photo are mirrored, never rotated."""

    def __init__(self, seed: int) -> None:
        del seed  # no bank is drawn in advance
        self._kept = kept()

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """A photo, uint8 RGB (H, W, 3), as truth ``noisy`` (H, W, 3) and ``time`` (1, 1, 32); ``high`` is the noise."""
        return self.at(int(rng.integers(STEPS)), photo, rng)

    def at(self, step: int, photo: Image8, rng: np.random.Generator) -> Degraded:
        """The same at a given step of the ``STEPS``."""
        noise = rng.standard_normal(photo.shape, dtype=np.float32)
        share = self._kept[step]
        noisy = np.sqrt(share) * (photo.astype(np.float32) / 127.5 - 1.0) + np.sqrt(1.0 - share) * noise
        return Degraded(photo, {"noisy": noisy, "time": embedding(step, WIDTH)[None]}, high=noise)


DEGRADER = Diffusion
