"""Haze: the atmospheric scattering model on photos without depth (as RESIDE does with depth, arXiv 1712.04143).

    hazy = photo * T + A * (1 - T),  T = exp(-beta * depth)

Depth is synthetic: a ramp, usually farther at the top, with smooth hills on it, and A is nearly gray. Crops are small
relative to a scene, so their ramps are gentle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.models.data.degrade import Degraded

if TYPE_CHECKING:
    from clearport.base import Float32
    from clearport.pictures.images import Image8

_HILLS = 3


class Haze:
    """Degrades photos with haze of random density."""

    def __init__(self, seed: int) -> None:
        del seed

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """Haze on a photo, uint8 RGB (H, W, 3): truth is ``transmission`` (H, W, 1) and ``light`` (1, 1, 3)."""
        density = float(rng.uniform(0.05, 1.6))
        transmission = np.exp(-density * depth(photo.shape[0], photo.shape[1], rng)).astype(np.float32)[..., None]
        light = np.clip(rng.uniform(150, 250) + rng.uniform(-8, 8, (1, 1, 3)), 0, 255).astype(np.float32)
        seen = photo * transmission + light * (1.0 - transmission)
        low: Image8 = np.rint(np.clip(seen, 0.0, 255.0)).astype(np.uint8)
        return Degraded(low, {"transmission": transmission, "light": light})


def depth(height: int, width: int, rng: np.random.Generator) -> Float32:
    """A synthetic depth map (H, W) in 0.1..1."""
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    turn = rng.normal(0.0, 0.6)
    ground = 1.0 - (y * np.cos(turn) + x * np.sin(turn))
    for _ in range(_HILLS):
        top, left, size = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.15, 0.6)
        ground = ground + rng.uniform(-0.5, 0.5) * np.exp(-(((y - top) ** 2 + (x - left) ** 2) / size**2))
    nearest, span = float(rng.uniform(0.1, 0.7)), float(ground.max() - ground.min())
    farthest = float(rng.uniform(nearest, 1.0))
    return np.asarray(nearest + (farthest - nearest) * (ground - ground.min()) / max(span, 1e-6), np.float32)


DEGRADER = Haze
