"""Composites: an object with a soft border in front of a photo, and clicks on it; the target is its alpha.

No matting data set has a license that allows shipping weights trained on it, so objects are synthetic: a smooth random
shape, with a border from sharp to some pixels wide, sometimes with strands, filled with another part of the photo
(mirrored, shifted, in other colors) or with a gradient. Often a second object, part of the background, is beside or
behind it. At least one click is on the foreground; further ones, on or off it, have a probability of 1/6 each (as in
the paper).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.models.data.degrade import Degraded
from clearport.models.layers.matting import COARSE, RADIUS

if TYPE_CHECKING:
    from clearport.base import Array, Float32
    from clearport.pictures.images import Image8

_MORE = 1.0 / 6.0


class Composite:
    """Makes composites; shapes, fillings and clicks are drawn from the generator of each call."""

    def __init__(self, seed: int) -> None:
        del seed  # no bank is drawn in advance

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """A photo, uint8 RGB (H, W, 3), as a composite with truth ``clicks`` (H, W, 1), and alpha (H, W, 1) in 0..1."""
        scene = photo.astype(np.float32)
        if rng.random() < 0.6:
            other = thing(photo.shape[:2], rng)
            scene += other * (filling(photo, rng) - scene)
        alpha = thing(photo.shape[:2], rng)
        scene += alpha * (filling(photo, rng) - scene)
        return Degraded(np.rint(np.clip(scene, 0, 255)).astype(np.uint8), {"clicks": clicks(alpha, rng)}, high=alpha)


def thing(size: tuple[int, ...], rng: np.random.Generator) -> Float32:
    """The alpha of a random shape (H, W, 1): a circle whose radius varies with the angle, bent and blurred."""
    height, width = size[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    center = rng.uniform(0.25, 0.75, 2) * (height, width)
    bend = rng.uniform(0.0, 0.12) * min(height, width)
    wave = rng.uniform(0.02, 0.08, 2)
    phase = rng.uniform(0.0, 2 * np.pi, 2)
    down = (y - center[0] + bend * np.sin(wave[0] * x + phase[0])) * rng.uniform(0.7, 1.4)
    right = x - center[1] + bend * np.sin(wave[1] * y + phase[1])
    angle = np.arctan2(down, right)
    radius = np.ones_like(angle)
    for order in range(2, 7):
        radius += rng.uniform(-0.28, 0.28) / np.sqrt(order - 1) * np.cos(order * angle + rng.uniform(0.0, 2 * np.pi))
    inside = rng.uniform(0.15, 0.36) * min(height, width) * np.maximum(radius, 0.25) - np.hypot(down, right)
    softness = np.exp(rng.uniform(np.log(0.5), np.log(5.0)))
    if rng.random() < 0.3:
        softness = max(softness, 1.5)
        inside = inside + strands(angle, rng) * rng.uniform(2.0, 8.0)
    return np.asarray(np.clip(0.5 + inside / (2.0 * softness), 0.0, 1.0)[..., None], np.float32)


def strands(angle: Array, rng: np.random.Generator) -> Array:
    """Hair: radial displacement of the border by angle, -1..1."""
    count = 512
    reach = np.convolve(rng.uniform(-1.0, 1.0, count), (0.25, 0.5, 0.25), mode="same")
    return np.asarray(np.interp(angle, np.linspace(-np.pi, np.pi, count), reach))


def filling(photo: Image8, rng: np.random.Generator) -> Float32:
    """The filling of an object: the photo mirrored, shifted and in other colors, or a gradient with some noise."""
    height, width = photo.shape[:2]
    if rng.random() < 0.25:
        ends = rng.uniform(0.0, 255.0, (2, 3))
        share = np.mgrid[0:height, 0:width][int(rng.integers(2))][..., None] / max(height, width)
        noise = rng.uniform(0.0, 12.0) * rng.standard_normal((height, width, 1))
        return np.asarray(ends[0] * (1 - share) + ends[1] * share + noise, np.float32)
    moved = np.roll(photo[:, ::-1], (int(rng.integers(height)), int(rng.integers(width))), axis=(0, 1))
    colors = moved[..., rng.permutation(3)] if rng.random() < 0.5 else moved
    gain, offset = rng.uniform(0.5, 1.3, 3), rng.uniform(-40.0, 60.0, 3)
    return np.asarray(colors * gain + offset, np.float32)


def clicks(alpha: Float32, rng: np.random.Generator) -> Float32:
    """Discs of 1 and -1 (H, W, 1): one on the foreground, and further ones where alpha is unambiguous."""
    height, width = alpha.shape[:2]
    found = np.zeros_like(alpha)
    radius = RADIUS * min(height, width) / COARSE
    y, x = np.mgrid[0:height, 0:width]
    places, wanted = np.argwhere(alpha[..., 0] > 0.95), True
    while len(places):
        down, right = places[int(rng.integers(len(places)))]
        found[(y - down) ** 2 + (x - right) ** 2 <= radius**2] = 1.0 if wanted else -1.0
        if rng.random() >= _MORE:
            break
        wanted = bool(rng.random() < 0.5)
        places = np.argwhere(alpha[..., 0] > 0.95 if wanted else alpha[..., 0] < 0.05)
    return found


def one_click(alpha: Float32, rng: np.random.Generator) -> Float32:
    """One point (1, 3) on the foreground of alpha (H, W, 1): x, y and 1."""
    places = np.argwhere(alpha[..., 0] >= min(0.95, float(alpha.max())))
    down, right = places[int(rng.integers(len(places)))]
    return np.array([[right, down, 1.0]], np.float32)


DEGRADER = Composite
