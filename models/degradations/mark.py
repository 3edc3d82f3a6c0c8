"""Mark: random bits to embed into a photo; the photo itself is not changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.models.data.degrade import Degraded
from clearport.models.layers.watermark import BITS

if TYPE_CHECKING:
    from clearport.pictures.images import Image8


class Mark:
    """Draws bits."""

    def __init__(self, seed: int) -> None:
        del seed  # no bank is drawn in advance

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """A photo, uint8 RGB (H, W, 3), and as truth ``bits`` (1, 1, 32), 0 or 1."""
        return Degraded(photo, {"bits": rng.integers(0, 2, (1, 1, BITS)).astype(np.float32)})


DEGRADER = Mark
