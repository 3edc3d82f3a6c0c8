"""Picture operations of program steps on (1, C, H, W): resize, draw points, and find, crop and paste squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Array, Float32


def resized(picture: Float32, size: tuple[int, int]) -> Float32:
    """Bilinear with half-pixel centers; when downscaling, the triangle filter is scaled by the factor."""
    down, across = (_weights(have, want) for have, want in zip(picture.shape[2:], size, strict=True))
    return np.ascontiguousarray(down @ picture @ across.T, np.float32)


def _weights(have: int, want: int) -> Float32:
    """(want, have): the weight of each input pixel."""
    step = have / want
    centers = (np.arange(want) + 0.5) * step - 0.5
    distance = np.abs(centers[:, None] - np.arange(have)[None]) / max(1.0, step)
    found = np.maximum(0.0, 1.0 - distance)
    return np.asarray(found / found.sum(axis=1, keepdims=True), np.float32)


def discs(points: Float32, size: tuple[int, int], of: tuple[int, int], radius: float) -> Float32:
    """A map (1, 1, H, W) of ``size``; ``points`` (N, 3) count pixels of a picture of the size ``of``."""
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"expected points (N, 3), got {points.shape}")
    found = np.zeros((1, 1, *size), np.float32)
    y, x = np.ogrid[0 : size[0], 0 : size[1]]
    for right, down, sign in points.astype(np.float64):
        center = (down + 0.5) * size[0] / of[0] - 0.5, (right + 0.5) * size[1] / of[1] - 0.5
        found[0, 0][(y - center[0]) ** 2 + (x - center[1]) ** 2 <= radius**2] = np.sign(sign)
    return found


def top(values: Float32, side: int, count: int) -> Float32:
    """Positions (``count``, 2) of the squares with the largest sums of a map (1, 1, H, W)."""
    height, width = values.shape[2:]
    if values.shape[1] != 1 or side > min(height, width):
        raise ValueError(f"squares of {side} of a map {values.shape}")
    rows, columns = (_grid(length, side) for length in (height, width))
    left = values[0, 0].astype(np.float64)
    found: list[tuple[int, int]] = []
    for _ in range(count):
        sums = _sums(left, rows, columns, side)
        best = int(np.argmax(sums))
        place = rows[best // len(columns)], columns[best % len(columns)]
        if sums.flat[best] <= 0.0 and found:
            place = found[0]
        found.append(place)
        left[place[0] : place[0] + side, place[1] : place[1] + side] = 0.0
    return np.array(found, np.float32).reshape(count, 2)


def _grid(length: int, side: int) -> list[int]:
    places = list(range(0, length - side + 1, max(1, side // 2)))
    return places if places[-1] == length - side else [*places, length - side]


def _sums(values: Array, rows: list[int], columns: list[int], side: int) -> Array:
    """The sum of every square, from a summed-area table."""
    table = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    a, b = np.array(rows)[:, None], np.array(columns)[None]
    return np.asarray(table[a + side, b + side] - table[a, b + side] - table[a + side, b] + table[a, b])


def crop(picture: Float32, place: Float32, side: int) -> Float32:
    """The square at ``place``."""
    down, right = _place(picture, place, (side, side))
    return np.ascontiguousarray(picture[:, :, down : down + side, right : right + side])


def paste(onto: Float32, value: Float32, place: Float32, fade: int) -> Float32:
    """``onto`` with ``value`` at ``place``."""
    height, width = value.shape[2:]
    down, right = _place(onto, place, (height, width))
    if value.shape[1] != onto.shape[1]:
        raise ValueError(f"{value.shape[1]} channels pasted onto {onto.shape[1]}")
    share = np.minimum.outer(_ramp(height, fade), _ramp(width, fade))
    found = onto.copy()
    under = found[:, :, down : down + height, right : right + width]
    under += share * (value - under)
    return found


def _ramp(length: int, fade: int) -> Float32:
    """From 0 at both borders to 1 after ``fade`` pixels."""
    near = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1.0
    return np.minimum(1.0, near / (fade + 1.0)).astype(np.float32)


def _place(picture: Float32, place: Float32, size: tuple[int, int]) -> tuple[int, int]:
    if place.shape != (2,):
        raise ValueError(f"expected a position (2,), got {place.shape}")
    if not np.isfinite(place).all():
        raise ValueError(f"a position that is not finite: {place}")
    down, right = (round(float(n)) for n in place)
    if not (0 <= down <= picture.shape[2] - size[0] and 0 <= right <= picture.shape[3] - size[1]):
        raise ValueError(f"a square of {size} at {down}, {right} of a picture {picture.shape[2:]}")
    return down, right
