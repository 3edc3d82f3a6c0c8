"""Bicubic: photos downscaled as by MATLAB, the standard input of super resolution (see ``data.resize``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.models.data.degrade import Degraded
from clearport.models.data.resize import bicubic_downscale

if TYPE_CHECKING:
    import numpy as np

    from clearport.pictures.images import Image8


class Bicubic:
    """Downscales a photo by ``scale``, deterministically."""

    reduces = True

    def __init__(self, seed: int, scale: int) -> None:
        del seed
        self.scale = scale

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """uint8 RGB (H, W, 3), H and W multiples of the scale, to (H/scale, W/scale, 3)."""
        del rng
        return Degraded(bicubic_downscale(photo, self.scale))


DEGRADER = Bicubic
