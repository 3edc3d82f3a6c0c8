"""Errors of int8 in the golden outputs: error maps, the worst tiles, and histograms of differences.

The two references of the bundle are compared: the fp32 network and the quantized model, which int8 files reproduce.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from clearport.errors import BadInput
from clearport.reports import goldens
from clearport.reports.embedded import Picture, embedded, heat
from clearport.reports.text import number, percent
from clearport.runtime.parity import ratio_db
from clearport.runtime.tile_errors import totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array
    from clearport.bundle.folder import Bundle
    from clearport.pictures.images import Image8
    from clearport.reports.goldens import Pair

WORST = 3
_MAP_WIDTH = 480
_AMPLIFIED = (32, 16, 8, 4, 2, 1)
_BARS = 8
_MOST_OUTPUTS = 4
_ON = {"input": "the golden photo", "probe_input": "the probe (noise, edges, gradients, flat areas)"}


@dataclass(frozen=True)
class Tile:
    """A tile with large errors: ``pictures`` are fp32, int8 and their difference; ``x`` to ``height`` in percent."""

    name: str
    pictures: tuple[Picture, ...]
    caption: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Bin:
    """A bar of a histogram: its differences, their share as text, and its length in percent."""

    label: str
    share: str
    length: float


@dataclass(frozen=True)
class OutputErrors:
    """One output for one sample. ``map`` is None for outputs other than images; ``full`` is the error of its brightest
    color.
    """

    title: str
    summary: str
    bins: tuple[Bin, ...]
    axis: str
    map: Picture | None = None
    full: str = ""
    tiles: tuple[Tile, ...] = ()


def errors(bundle: Bundle) -> tuple[OutputErrors, ...] | str:
    """The errors of each output, the photo's first; or the reason for their absence."""
    try:
        found = list(islice(goldens.pairs(bundle), 2 * _MOST_OUTPUTS))
    except BadInput as error:
        return str(error)
    if not found:
        return "this bundle has no int8 form of the network"
    return tuple(_of(pair, many=len(bundle.manifest.pixel_contract.outputs) > 1) for pair in found)


def _of(pair: Pair, *, many: bool) -> OutputErrors:
    difference = (pair.quantized.astype(np.float32) - pair.plain.astype(np.float32)) / np.float32(pair.level)
    on = _ON.get(pair.sample, pair.sample)
    title = f"{pair.spec.name}, on {on}" if many or not pair.spec.is_picture else f"{on[:1].upper()}{on[1:]}"
    if pair.spec.judged_by == "classes":  # differences of class indices have no magnitude
        same = float((pair.quantized == pair.plain).mean())
        return OutputErrors(title, f"{percent(same)} % of {difference.size:,} values are the same.", (), "")
    summary, bins, axis = _summary(pair, difference), _bins(difference), _axis(pair)
    if not pair.is_image or min(pair.plain.shape[:2]) < 2:
        return OutputErrors(title, summary, bins, axis)
    size = np.abs(difference).max(axis=2)
    shown, full = _map(size)
    tiles = tuple(_tile(pair, difference, place, i) for i, place in enumerate(_worst(difference), 1))
    drawn = embedded("map", f"error map of int8, {on}", shown)
    return OutputErrors(title, summary, bins, axis, drawn, f"{number(full)} levels", tiles)


def _axis(pair: Pair) -> str:
    if pair.spec.is_picture:
        return "difference in levels (1/255 of the range), int8 − fp32"
    of = "its range" if pair.spec.value_range else "the values' own range"
    return f"difference in 1/255 of {of} ({number(pair.level)}), int8 − fp32"


def _summary(pair: Pair, difference: Array) -> str:
    size = np.abs(difference)
    mean, most, equal = float(size.mean(dtype=np.float64)), float(size.max()), float((np.rint(size) == 0).mean())
    power = float((size**2).mean(dtype=np.float64))
    if not power:
        return "All values are equal."
    signal = 255.0**2 if pair.spec.is_picture else float(np.var(pair.plain, dtype=np.float64)) / pair.level**2
    word = "values are equal" if pair.spec.is_picture else "values differ by less than half a level"
    decibels = f"{'PSNR' if pair.spec.is_picture else 'SQNR'} {ratio_db(signal, power):.1f} dB; " if signal else ""
    return (
        f"{decibels}{percent(equal)} % of {difference.size:,} {word}; mean difference {number(mean)}, "
        f"largest {number(most)} levels."
    )


def _bins(difference: Array) -> tuple[Bin, ...]:
    """Counts of rounded differences; the largest 0.1 % share the outermost bars."""
    step = max(1, math.ceil(float(np.quantile(np.abs(difference), 0.999)) / _BARS))
    index = np.clip(np.rint(difference / step), -_BARS, _BARS).astype(np.int8)
    counts = np.bincount((index + _BARS).ravel(), minlength=2 * _BARS + 1)
    kept = [i for i in range(2 * _BARS + 1) if counts[i]]
    if not kept:
        return ()
    reach = max(abs(kept[0] - _BARS), abs(kept[-1] - _BARS))
    most = counts.max()
    return tuple(
        Bin(
            _label(i - _BARS, step),
            f"{percent(float(counts[i] / difference.size))} %",
            _length(int(counts[i]), int(most)),
        )
        for i in range(_BARS - reach, _BARS + reach + 1)
    )


def _length(count: int, most: int) -> float:
    """Length of a bar in percent, logarithmic, so that one in a million is visible."""
    return round(100 * math.log1p(count) / math.log1p(most), 2)


def _label(index: int, step: int) -> str:
    end = "≤ " if index == -_BARS else "≥ " if index == _BARS else ""
    value = index * step
    return f"{end}{'−' if value < 0 else '+' if value > 0 else ''}{abs(value)}"


def _map(size: Array) -> tuple[Image8, float]:
    """The largest error of each block as a heat map, and the error of its brightest color."""
    block = -(-size.shape[1] // _MAP_WIDTH)
    rows, columns = (np.arange(0, n, block) for n in size.shape)
    small = np.maximum.reduceat(np.maximum.reduceat(size, rows, axis=0), columns, axis=1)
    full = max(float(np.quantile(small, 0.999)), 1.0)
    return heat(np.clip(small / full, 0, 1)), full


def _worst(difference: Array) -> Sequence[tuple[int, int, int, int]]:
    """The tiles with the largest mean squared error that do not overlap: top, left, height, width."""
    tops, lefts, tall, wide, total = totals((difference**2).mean(axis=2, dtype=np.float64))
    found: list[tuple[int, int, int, int]] = []
    for place in np.argsort(-total, axis=None, kind="stable"):
        row, column = np.unravel_index(int(place), total.shape)
        top, left = tops[int(row)], lefts[int(column)]
        if total[row, column] <= 0 or len(found) == WORST:
            break
        if all(abs(top - t) >= tall or abs(left - x) >= wide for t, x, _, _ in found):
            found.append((top, left, tall, wide))
    return found


def _tile(pair: Pair, difference: Array, place: tuple[int, int, int, int], index: int) -> Tile:
    top, left, tall, wide = place
    window = (slice(top, top + tall), slice(left, left + wide))
    part = difference[window]
    most, power = float(np.abs(part).max()), float((part**2).mean(dtype=np.float64))
    factor = next((f for f in _AMPLIFIED if f * most <= 255), 1)
    amplified = np.clip(np.rint(np.abs(part) * factor), 0, 255).astype(np.uint8)
    shown = [
        ("fp32", _visible(pair, pair.plain[window])),
        ("int8", _visible(pair, pair.quantized[window])),
        (f"difference × {factor}", _colors(amplified)),
    ]
    height, width = difference.shape[:2]
    return Tile(
        f"Tile {index}",
        tuple(embedded(f"tile{index}", label, pixels) for label, pixels in shown),
        f"{wide} × {tall} from x = {left}, y = {top}: PSNR {10 * math.log10(255**2 / power):.1f} dB, "
        f"largest difference {number(most)} levels",
        round(100 * left / width, 3),
        round(100 * top / height, 3),
        round(100 * wide / width, 3),
        round(100 * tall / height, 3),
    )


def _visible(pair: Pair, values: Array) -> Image8:
    """Pixels for display: pictures as they are, maps scaled from the minimum to the maximum of their range."""
    if pair.spec.is_picture:
        return _colors(values.astype(np.uint8))
    low = pair.spec.value_range[0] if pair.spec.value_range else float(pair.plain.min())
    return _colors(np.clip(np.rint((values.astype(np.float64) - low) / pair.level), 0, 255).astype(np.uint8))


def _colors(pixels: Image8) -> Image8:
    """RGB of pixels: three channels unchanged (also BGR), the first of one or two as gray, the first three of more."""
    return pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
