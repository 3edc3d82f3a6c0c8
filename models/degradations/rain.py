"""Synthetic rain: streaks in layers, accumulation and vapor.

Rain is modeled as in the papers on heavy rain (arXiv 1609.07769, 1905.05404)::

    rainy = (photo + sum of streak layers) * T + A * (1 - T)

where T is the transmission of the vapor of distant rain and A the light that it scatters. Two kinds of streak layers
are mixed, because networks trained on one do not generalize to the other:

- *drawn* streaks: segments with soft ends, each with its own length, width and brightness, in one direction with some
  jitter; sparse ones as in Rain100L, dense and long ones from several layers as in Rain100H;
- *blurred noise*: sparse noise with motion blur, as rain is made in photo editors.

Layers are drawn once, into a bank, and every picture gets random crops of them, mirrored and with a random gain.

Most streaks are nearly vertical, and most objects behind them upright. Networks use both, since little else
distinguishes a streak from a stalk or a railing. Hence directions have a prior (``tilt``), half of the photos are not
rotated before rain is added, and some pictures are rotated with their rain, as from a camera in portrait orientation.
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
"""Side of a layer in the bank, larger than training crops."""

_MOST_LAYERS = 5
_STORM = 50.0


@dataclass(frozen=True)
class Streaks:
    """One layer of streaks.

    Attributes:
        density: approximate share (0..1) of the picture covered by streaks.
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
    """Direction of a layer in degrees off the vertical: mostly a few, sometimes up to 50, as in a storm."""
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
    """A layer (side, side) of added levels; where streaks cross, the maximum counts."""
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
    """A layer (side, side) of sparse noise with motion blur of random length and direction."""
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
"""Probability of vapor, by kind of rain."""


class Rain:
    """Draws its bank of layers at once (a few seconds), and degrades any number of photos with it.

    Args:
        seed: seed of the bank; crops of it are drawn from the generator of each call.
        layers: number of layers of each kind in the bank.
        side: side of a layer in pixels; for larger pictures it is extended by symmetric padding.

    Attributes:
        upright: share (0..1) of photos that should not be rotated before rain is added.
        turned: share (0..1) of pictures that should be rotated by 90 degrees with their rain.
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
            rain = rain * (1.0 - clean.mean(axis=2) / 255.0)  # screen blending: bright pixels change less
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
"""Minimum levels of a visible streak."""


def _cut(layer: Float32, height: int, width: int, rng: np.random.Generator) -> Float32:
    """A random crop of a layer, with symmetric padding for larger pictures."""
    side = len(layer)
    tall, wide = (layer.shape[axis] if n <= side else n for axis, n in enumerate((height, width)))
    if (tall, wide) != layer.shape:
        layer = np.pad(layer, ((0, tall - side), (0, wide - side)), mode="symmetric")
    top, left = int(rng.integers(tall - height + 1)), int(rng.integers(wide - width + 1))
    part = layer[top : top + height, left : left + width]
    return part[:, ::-1] if rng.random() < 0.5 else part


def _vapor(there: bool, height: int, width: int, rng: np.random.Generator) -> tuple[Float32, Float32]:
    """Transmission (H, W) of distant rain, a smooth ramp, and the light (1, 1, 3) that it scatters."""
    light = np.clip(rng.uniform(150, 245) + rng.uniform(-8, 8, (1, 1, 3)), 0, 255).astype(np.float32)
    if not there:
        return np.ones((height, width), np.float32), light
    near, far = float(rng.uniform(0.75, 1.0)), float(rng.uniform(0.45, 0.95))
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    turn = rng.uniform(0, 2 * np.pi)
    ramp = 0.5 + 0.5 * (np.cos(turn) * (2 * y - 1) + np.sin(turn) * (2 * x - 1)) / np.sqrt(2)
    return (near + (far - near) * ramp).astype(np.float32), light


DEGRADER = Rain
