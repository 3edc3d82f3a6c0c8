"""Low light: photos as taken by a camera with too little light.

    seen = curve(light · illumination · exposure · cast + noise),  light = curve⁻¹(photo)

Levels are first converted to linear light, with a display's curve (a power of about 2.2). Then light is reduced:
uniformly (exposure, one to six stops), spatially (illumination: a lit side, a lamp or two, corners), and by color
(lamps are not daylight). Shot noise is proportional to the root of the remaining light, and read noise is constant (the
Poisson-Gaussian model, as in arXiv 1811.11127). Another power, of 1.9 to 2.4 because cameras differ, converts back to
levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.models.data.degrade import Degraded

if TYPE_CHECKING:
    from clearport.base import Float32
    from clearport.pictures.images import Image8

_DISPLAY = 2.2
_LEAST_STOPS, _MOST_STOPS = 0.0, 6.0


class LowLight:
    """Degrades photos with random darkness."""

    def __init__(self, seed: int) -> None:
        del seed  # no bank is drawn in advance

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """A photo, uint8 RGB (H, W, 3), in low light.

        Truth is ``illumination`` (H, W, 3): the share of linear light that is left, in 0..1.
        """
        exposure = 2.0 ** -float(rng.uniform(_LEAST_STOPS, _MOST_STOPS))
        left = exposure * illumination(photo.shape[0], photo.shape[1], rng)[..., None] * cast(rng)
        light = (photo.astype(np.float32) / 255.0) ** _DISPLAY * left
        seen = np.clip(noisy(light, rng), 0.0, 1.0) ** (1.0 / float(rng.uniform(1.9, 2.4)))
        low: Image8 = np.rint(255.0 * seen).astype(np.uint8)
        return Degraded(low, {"illumination": left.astype(np.float32)})


def illumination(height: int, width: int, rng: np.random.Generator) -> Float32:
    """A smooth map (H, W) in 0.2..1 of relative illumination; constant with probability 1/2."""
    if rng.random() < 0.5:
        return np.ones((height, width), np.float32)
    side = max(height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / side
    angle = rng.uniform(0.0, 2.0 * np.pi)
    light = rng.uniform(0.0, 1.0) * (x * np.cos(angle) + y * np.sin(angle))
    for _ in range(int(rng.integers(1, 4))):
        top, left, reach = rng.uniform(-0.2, 1.2), rng.uniform(-0.2, 1.2), rng.uniform(0.2, 0.8)
        light = light + rng.uniform(0.3, 1.0) * np.exp(-((y - top) ** 2 + (x - left) ** 2) / reach**2)
    lowest, span = float(light.min()), float(np.ptp(light))
    darkest = float(rng.uniform(0.2, 0.9))
    return np.asarray(darkest + (1.0 - darkest) * (light - lowest) / max(span, 1e-6), np.float32)


def cast(rng: np.random.Generator) -> Float32:
    """Gains (3,) of red, green and blue due to the color of the light: 1 for the strongest, at least 0.8."""
    gains = rng.uniform(0.85, 1.05, 3)
    return np.asarray(gains / gains.max(), np.float32)


def noisy(light: Float32, rng: np.random.Generator) -> Float32:
    """Linear light (H, W, 3), 1 being full intensity, with shot and read noise of a random sensor; not clipped."""
    shot, read = 10.0 ** rng.uniform(-5.0, -3.3), 10.0 ** rng.uniform(-4.0, -2.8)
    deviation = np.sqrt(shot * light + read * read)
    return np.asarray(light + deviation * rng.standard_normal(light.shape, np.float32), np.float32)


DEGRADER = LowLight
