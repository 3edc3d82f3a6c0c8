"""Synthetic rain: streaks in layers, accumulation and vapor.

A picture in rain is modeled as in the papers on heavy rain (arXiv 1609.07769, 1905.05404)::

    rainy = (photo + sum of streak layers) * T + A * (1 - T)

where T is the transmission of the vapor that distant rain makes and A the light that it scatters. Two kinds of streak
layers are mixed, because networks that were trained on one do not know the other:

- *drawn* streaks: segments with soft ends, each with its own length, width and brightness, all in one direction but
  for some jitter; sparse ones as in Rain100L, dense and long ones from several layers as in Rain100H;
- *blurred noise*: sparse noise under a motion blur, which is how rain is painted in photo editors.

Layers are drawn once, into a bank, and every picture gets random cuts of them, mirrored and with another gain.

Rain falls: most streaks are near the vertical, and seen behind them are upright things. Networks use both, since a
streak is told from a stalk or a railing by little else. So directions have a prior (``tilt``), half of the photos
are not turned before it rains on them, and some pictures are turned with their rain, as by a camera held upright.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.models.data.degrade import Degraded

if TYPE_CHECKING:
    from clearport.base import Float32
    from clearport.pictures.images import Image8

_SIDE = 320
"""Side of a layer in the bank: larger than the crops that are learned from."""

_MOST_LAYERS = 5
_STORM = 50.0


@dataclass(frozen=True)
class Streaks:
    """One layer of streaks.

    Attributes:
        density: share of the picture that streaks cover, about.
        length, width: means in pixels.
        angle: direction in degrees off the vertical.
        jitter: standard deviation of the direction of single streaks, in degrees.
        brightness: mean of the added 8-bit levels at a streak's middle.
    """

    density: float
    length: float
    width: float
    angle: float
    jitter: float
    brightness: float


def tilt(rng: np.random.Generator) -> float:
    """Degrees off the vertical of a layer: mostly a few, as rain falls, and now and then up to 50, as in a storm."""
    return float(rng.uniform(-_STORM, _STORM) if rng.random() < 0.25 else np.clip(rng.normal(0, 13), -_STORM, _STORM))


def light_rain(rng: np.random.Generator) -> Streaks:
    """Parameters of a thin layer, as in Rain100L."""
    return Streaks(
        density=float(rng.uniform(0.03, 0.22)),
        length=float(rng.uniform(9, 45)),
        width=float(rng.uniform(0.8, 2.2)),
        angle=tilt(rng),
        jitter=float(rng.uniform(0, 3)),
        brightness=float(rng.uniform(20, 130)),
    )


def heavy_rain(rng: np.random.Generator) -> Streaks:
    """Parameters of one layer of a downpour, as in Rain100H."""
    return Streaks(
        density=float(rng.uniform(0.15, 0.6)),
        length=float(rng.uniform(25, 90)),
        width=float(rng.uniform(1.0, 3.5)),
        angle=tilt(rng),
        jitter=float(rng.uniform(0, 4)),
        brightness=float(rng.uniform(50, 130)),
    )


def draw(streaks: Streaks, side: int, rng: np.random.Generator) -> Float32:
    """A layer (side, side) of added levels; streaks that cross do not add up, the brighter one is seen."""
    layer = np.zeros((side, side), np.float32)
    area = max(1.0, streaks.length * streaks.width)
    for _ in range(max(1, round(streaks.density * side * side / area))):
        _draw_one(layer, streaks, rng)
    return layer


def _draw_one(layer: Float32, streaks: Streaks, rng: np.random.Generator) -> None:
    side = len(layer)
    half = 0.5 * streaks.length * float(rng.uniform(0.5, 1.5))
    sigma = 0.5 * streaks.width * float(rng.uniform(0.7, 1.3))
    angle = np.deg2rad(streaks.angle + streaks.jitter * rng.standard_normal())
    middle_y, middle_x = rng.uniform(0, side, 2)
    down, right = np.cos(angle), np.sin(angle)
    reach_y, reach_x = (half * abs(d) + 3 * sigma + 1 for d in (down, right))
    top, bottom = max(0, int(middle_y - reach_y)), min(side, int(middle_y + reach_y) + 2)
    start, end = max(0, int(middle_x - reach_x)), min(side, int(middle_x + reach_x) + 2)
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(middle_y)
    x = np.arange(start, end, dtype=np.float32)[None] - np.float32(middle_x)
    along, across = np.abs(y * down + x * right), y * right - x * down
    body = np.clip((half - along) / (0.25 * half + 0.5), 0.0, 1.0)
    shape = np.exp(-0.5 * (across / sigma) ** 2) if sigma < 0.9 else 1 / (1 + (across / (1.2 * sigma)) ** 6)
    levels = streaks.brightness * float(rng.uniform(0.4, 1.6)) * body * shape
    view = layer[top:bottom, start:end]
    np.maximum(view, levels, out=view)


def blurred_noise(side: int, rng: np.random.Generator) -> Float32:
    """A layer (side, side) of sparse noise under a motion blur of random length and direction."""
    length, angle = int(rng.integers(9, 40)), float(np.deg2rad(tilt(rng)))
    noise = (rng.random((side, side)) < rng.uniform(0.01, 0.08)) * rng.uniform(0.3, 1.0, (side, side))
    y, x = np.mgrid[-length : length + 1, -length : length + 1]
    along, across = np.abs(y * np.cos(angle) + x * np.sin(angle)), y * np.sin(angle) - x * np.cos(angle)
    kernel = (along <= length / 2) * np.exp(-0.5 * (across / rng.uniform(0.5, 1.0)) ** 2)
    blurred = np.fft.irfft2(np.fft.rfft2(noise) * np.fft.rfft2(kernel, s=(side, side)), s=(side, side))
    top = max(float(np.quantile(blurred, 0.995)), 1e-6)
    return np.asarray(np.clip(blurred / top, 0.0, 1.3) * rng.uniform(50, 180), np.float32)


_KINDS = ("thin", "downpour", "painted", "none")
_SHARES = (0.44, 0.3, 0.18, 0.08)
_VAPOR = {"thin": 0.05, "downpour": 0.15, "painted": 0.1, "none": 0.2}
"""How often there is vapor as well."""


class Rain:
    """Draws its bank of layers at once (a few seconds), and degrades any number of photos with it.

    Args:
        seed: of the bank; what a photo gets of it is up to the generator of each call.
        layers: layers of each kind in the bank.
        side: of a layer, in pixels; larger pictures get it continued by its mirror image.

    Attributes:
        upright: share of photos that should not be turned before it rains on them.
        turned: share of pictures that should be turned by a quarter with their rain.
    """

    upright = 0.5
    turned = 0.08

    def __init__(self, seed: int, layers: int = 96, side: int = _SIDE) -> None:
        rng = np.random.default_rng([seed, 7])
        self._bank = {
            "thin": [draw(light_rain(rng), side, rng) for _ in range(layers)],
            "downpour": [draw(heavy_rain(rng), side, rng) for _ in range(layers)],
            "painted": [blurred_noise(side, rng) for _ in range(layers)],
        }

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """Rain on a photo, uint8 RGB (H, W, 3): truth is ``rain``, ``rain_mask``, ``transmission`` and ``light``."""
        height, width = photo.shape[:2]
        kind = str(rng.choice(_KINDS, p=_SHARES))
        rain = self._streaks(kind, height, width, rng)
        clean = photo.astype(np.float32)
        if kind == "painted" and rng.random() < 0.5:
            rain = rain * (1.0 - clean.mean(axis=2) / 255.0)  # a screen: bright places take less
        fallen = clean + rain[..., None]
        transmission, light = _vapor(rng.random() < _VAPOR[kind], height, width, rng)
        seen = fallen * transmission[..., None] + light * (1.0 - transmission[..., None])
        low: Image8 = np.rint(np.clip(seen, 0.0, 255.0)).astype(np.uint8)
        truth = {
            "rain": np.repeat(rain[..., None], 3, axis=2),
            "rain_mask": (rain[..., None] > _SEEN).astype(np.float32),
            "transmission": transmission[..., None],
            "light": light,
        }
        return Degraded(low, truth)

    def _streaks(self, kind: str, height: int, width: int, rng: np.random.Generator) -> Float32:
        total = np.zeros((height, width), np.float32)
        if kind == "none":
            return total
        count = {"thin": 1 + int(rng.random() < 0.2), "downpour": int(rng.integers(1, _MOST_LAYERS + 1)), "painted": 1}
        gain = float(rng.uniform(0.6, 1.4))
        for _ in range(count[kind]):
            layers = self._bank[kind]
            total += gain * _cut(layers[int(rng.integers(len(layers)))], height, width, rng)
        return total


_SEEN = 4.0
"""Levels from which a streak counts as visible."""


def _cut(layer: Float32, height: int, width: int, rng: np.random.Generator) -> Float32:
    """A random part of a layer, which is continued by its mirror image where the picture is larger."""
    side = len(layer)
    tall, wide = (layer.shape[axis] if n <= side else n for axis, n in enumerate((height, width)))
    if (tall, wide) != layer.shape:
        layer = np.pad(layer, ((0, tall - side), (0, wide - side)), mode="symmetric")
    top, left = int(rng.integers(tall - height + 1)), int(rng.integers(wide - width + 1))
    part = layer[top : top + height, left : left + width]
    return part[:, ::-1] if rng.random() < 0.5 else part


def _vapor(there: bool, height: int, width: int, rng: np.random.Generator) -> tuple[Float32, Float32]:
    """Transmission (H, W) of rain far away, a smooth ramp, and the light (1, 1, 3) that it scatters."""
    light = np.clip(rng.uniform(150, 245) + rng.uniform(-8, 8, (1, 1, 3)), 0, 255).astype(np.float32)
    if not there:
        return np.ones((height, width), np.float32), light
    near, far = float(rng.uniform(0.75, 1.0)), float(rng.uniform(0.45, 0.95))
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    turn = rng.uniform(0, 2 * np.pi)
    ramp = 0.5 + 0.5 * (np.cos(turn) * (2 * y - 1) + np.sin(turn) * (2 * x - 1)) / np.sqrt(2)
    return (near + (far - near) * ramp).astype(np.float32), light


DEGRADER = Rain
