"""Exposures: a bracket of -2, 0 and +2 EV of a scene of high dynamic range, made from an ordinary photo.

The photo itself is the scene. Its levels are converted to linear light, highlights are stretched (a lamp is brighter
than white), and an exposure is drawn at which the medium frame clips a part of it. Then the long frame clips the
highlights, and the short one has noisy shadows. Camera and objects move between frames: each frame shows the scene
shifted, and a patch of other content at another position. Shot and read noise (Poisson-Gaussian, arXiv 1811.11127),
clipping, the power of 1/2.2 and rounding to 8 bits convert light to pixels. The target is the scene of the medium
frame, without noise, and clipped only at four times its white.

The three frames are concatenated along the channels: short, medium, long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.models.data.degrade import Degraded
from clearport.pictures.light import GAMMA, encoded

if TYPE_CHECKING:
    from clearport.base import Array, Float32
    from clearport.pictures.images import Image8

STOPS = (-2.0, 0.0, 2.0)
_HEADROOM = 2.0 ** -STOPS[0]
_MOST_SHIFT = 6.0
"""Maximum shift between neighboring frames in pixels, as after rough alignment of a burst."""


class Exposures:
    """Makes brackets; exposure, motion and noise are drawn from the generator of each call."""

    def __init__(self, seed: int) -> None:
        del seed  # no bank is drawn in advance

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """A photo, uint8 RGB (H, W, 3), as three frames, uint8 (H, W, 9), and the scene as light (H, W, 3)."""
        light = scene(photo, rng)
        seen = moved(light, rng)
        shot, read = 10.0 ** rng.uniform(-4.3, -2.8), 10.0 ** rng.uniform(-4.0, -2.7)
        frames = [exposed(each * 2.0**stops, shot, read, rng) for each, stops in zip(seen, STOPS, strict=True)]
        return Degraded(np.concatenate(frames, axis=2), high=encoded(seen[1] / _HEADROOM))


def scene(photo: Image8, rng: np.random.Generator) -> Float32:
    """Linear light (H, W, 3), where 1 is the clipping point of the medium exposure; dithered between 8-bit levels."""
    levels = photo.astype(np.float32) + rng.uniform(-0.5, 0.5, photo.shape).astype(np.float32)
    light = (np.clip(levels, 0.0, 255.0) / 255.0) ** GAMMA
    peak = light.max(axis=2, keepdims=True)
    stretched = light * (1.0 + rng.uniform(0.0, 3.0) * peak ** rng.uniform(2.0, 6.0))
    return np.asarray(stretched * 2.0 ** rng.uniform(-0.5, 2.2), np.float32)


def moved(light: Float32, rng: np.random.Generator) -> list[Float32]:
    """The scene at three times: the camera drifts, and with probability 1/2 an object moves in front."""
    drift = rng.uniform(-1.0, 1.0, 2) * rng.uniform(0.0, _MOST_SHIFT) * (rng.random() < 0.8)
    frames = [shifted(light, *(time * drift)) for time in (-1.0, 0.0, 1.0)]
    if rng.random() < 0.5:
        return frames
    height, width = light.shape[:2]
    other = np.roll(light[:, ::-1], (height // 2, width // 3), axis=(0, 1)) * 2.0 ** rng.uniform(-2.0, 2.0)
    center, reach = rng.uniform(0.2, 0.8, 2) * (height, width), rng.uniform(0.08, 0.3, 2) * (height, width)
    speed = rng.uniform(-0.15, 0.15, 2) * (height, width)
    return [
        np.where(blob(height, width, center + time * speed, reach), shifted(other, *(time * speed)), frame)
        for time, frame in zip((-1.0, 0.0, 1.0), frames, strict=True)
    ]


def blob(height: int, width: int, center: Array, reach: Array) -> Float32:
    """An ellipse (H, W, 1), true inside."""
    y, x = np.mgrid[0:height, 0:width]
    inside = ((y - center[0]) / reach[0]) ** 2 + ((x - center[1]) / reach[1]) ** 2 <= 1.0
    return np.asarray(inside[..., None])


def shifted(light: Float32, down: float, right: float) -> Float32:
    """A picture (H, W, 3) shifted by subpixel amounts, bilinearly, with symmetric padding."""
    for axis, by in ((0, down), (1, right)):
        whole = int(np.floor(by))
        length = light.shape[axis]
        near, far = (_mirrored(np.arange(length) - whole - step, length) for step in (0, 1))
        share = np.float32(by - whole)
        light = (1 - share) * np.take(light, near, axis) + share * np.take(light, far, axis)
    return np.asarray(light, np.float32)


def exposed(light: Float32, shot: float, read: float, rng: np.random.Generator) -> Image8:
    """A camera's uint8 pixels of light (H, W, 3), 1 being the clipping point: noise, clipping, power of 1/2.2,
    rounding.
    """
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    noisy = light + np.sqrt(shot * np.clip(light, 0.0, 1.0) + read**2) * noise
    levels: Image8 = np.rint(255.0 * encoded(noisy)).astype(np.uint8)
    return levels


def _mirrored(index: Array, length: int) -> Array:
    around = np.mod(index, 2 * length)
    return np.asarray(np.minimum(around, 2 * length - 1 - around))


DEGRADER = Exposures
