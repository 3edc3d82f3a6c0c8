"""Layout of plots: horizontal positions in percent of the width, vertical ones in pixels.

The template draws them, so that text and markers keep their size on a phone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from clearport.reports.content import Bar, Plot, Point, Scatter, Spread, Spreads
from clearport.reports.text import number, trimmed

ROW_HEIGHT = 40
AXIS_HEIGHT = 30
_COLORS = 7
"""Number of colors: PyTorch and six targets."""

SCATTER_TOP, SCATTER_BOTTOM, SCATTER_HEIGHT = 76, 324, 370
"""Vertical layout of a scatter plot, in pixels: top (below the line on the point in focus), x axis, and height."""
_NARROW = 420.0
"""The width, in pixels, at which numbers of points must not overlap."""
_NUMBER_WIDTH, _NUMBER_HEIGHT = 16.0, 13
_SHAPES = {"int8": "circle", "int8-weights": "diamond", "int8a16": "cross", "fp16": "square", "fp32": "triangle"}

MOST_SAMPLES = 200
"""Maximum number of drawn samples per candidate; of more, evenly spaced ones in sorted order."""


@dataclass(frozen=True)
class Drawn:
    """A bar with its layout: ``y`` in pixels; ``end``, ``low`` and ``high`` in percent; ``color`` is a class index."""

    bar: Bar
    y: int
    end: float
    low: float | None
    high: float | None
    color: int


@dataclass(frozen=True)
class Tick:
    """A tick of an axis: its position (percent horizontally, pixels vertically), and its label."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """A laid-out plot. ``height`` is in pixels, with the axis at the bottom."""

    plot: Plot
    bars: tuple[Drawn, ...]
    ticks: tuple[Tick, ...]
    height: int


@dataclass(frozen=True)
class DrawnPoint:
    """A point of a scatter plot: ``at`` in percent, ``y`` in pixels.

    ``number`` is its place in the list of the best (0: not among them), written ``shift`` pixels below its middle.
    """

    point: Point
    at: float
    y: int
    color: int
    shape: str
    number: int
    shift: int


@dataclass(frozen=True)
class ScatterDrawing:
    """A laid-out scatter plot.

    ``best`` are the Pareto-optimal points, cheapest first; ``colors`` and ``shapes`` are the legend.
    """

    scatter: Scatter
    points: tuple[DrawnPoint, ...]
    best: tuple[DrawnPoint, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    colors: tuple[tuple[str, int], ...]
    shapes: tuple[tuple[str, str], ...]
    bottom: int = SCATTER_BOTTOM
    height: int = SCATTER_HEIGHT


@dataclass(frozen=True)
class DrawnSpread:
    """Samples of a candidate: ``y`` in pixels, the rest in percent; ``beyond``: number of samples beyond the axis's
    end.
    """

    spread: Spread
    y: int
    color: int
    samples: tuple[float, ...]
    least: float
    median: float
    p90: float
    beyond: int


@dataclass(frozen=True)
class SpreadsDrawing:
    """Laid-out samples."""

    plot: Spreads
    rows: tuple[DrawnSpread, ...]
    ticks: tuple[Tick, ...]
    height: int


def draw(plot: Plot) -> Drawing:
    """Lay out a plot: bars from a common zero, in their order, groups by color, round numbers on the axis."""
    full, ticks = _axis(max(max(bar.value, bar.high or 0.0) for bar in plot.bars))

    def place(value: float | None) -> float | None:
        return None if value is None else _percent(value, full)

    bars = tuple(
        Drawn(
            bar,
            i * ROW_HEIGHT,
            _percent(bar.value, full),
            place(bar.low),
            place(bar.high),
            plot.groups.index(bar.group) % _COLORS,
        )
        for i, bar in enumerate(plot.bars)
    )
    return Drawing(plot, bars, ticks, len(bars) * ROW_HEIGHT + AXIS_HEIGHT)


def draw_scatter(scatter: Scatter) -> ScatterDrawing:
    """Lay out a scatter plot: x from zero, y from the round number below the lowest point."""
    full, across = _axis(max(point.x for point in scatter.points) * 1.04)
    low, high, step = _span([point.y for point in scatter.points], scatter.most)

    def down(y: float) -> int:
        return round(SCATTER_BOTTOM - (SCATTER_BOTTOM - SCATTER_TOP) * (y - low) / (high - low))

    order = sorted(scatter.points, key=lambda point: (point.x, -point.y, point.label))
    numbers = {id(point): i for i, point in enumerate((p for p in order if p.best), 1)}
    made: list[DrawnPoint] = []
    for point in order:
        at, y = _percent(point.x, full), down(point.y)
        shape = _SHAPES.get(point.label.partition("/")[2].split("/")[0], "circle")
        color = 1 + scatter.groups.index(point.group) % (_COLORS - 1)
        number_ = numbers.get(id(point), 0)
        made.append(DrawnPoint(point, at, y, color, shape, number_, _shift(at, y, made) if number_ else 0))
    up = tuple(
        Tick(down(low + i * step), _at_most(low + i * step, scatter.most))
        for i in range(round((high - low) / step) + 1)
    )
    colors = tuple(dict.fromkeys((p.point.group, p.color) for p in sorted(made, key=lambda p: p.point.group)))
    shapes = tuple((word, shape) for word, shape in _SHAPES.items() if any(p.shape == shape for p in made))
    plain, best = [p for p in made if not p.number], [p for p in made if p.number]
    return ScatterDrawing(scatter, (*plain, *best), tuple(best), across, up, colors, shapes)


def draw_spreads(plot: Spreads) -> SpreadsDrawing:
    """Lay out samples; the axis ends after the largest 90th percentile, so that outliers do not compress the rest."""
    full, ticks = _axis(max(spread.p90 for spread in plot.spreads) * 1.1)
    rows = tuple(
        DrawnSpread(
            spread,
            i * ROW_HEIGHT,
            plot.groups.index(spread.group) % _COLORS,
            tuple(dict.fromkeys(_percent(v, full) for v in _thinned(spread.samples) if v <= full)),
            _percent(spread.least, full),
            _percent(spread.median, full),
            _percent(spread.p90, full),
            sum(v > full for v in spread.samples),
        )
        for i, spread in enumerate(plot.spreads)
    )
    return SpreadsDrawing(plot, rows, ticks, len(rows) * ROW_HEIGHT + AXIS_HEIGHT)


def _thinned(samples: tuple[float, ...]) -> tuple[float, ...]:
    if len(samples) <= MOST_SAMPLES:
        return samples
    ordered, last = sorted(samples), len(samples) - 1
    return tuple(ordered[round(i * last / (MOST_SAMPLES - 1))] for i in range(MOST_SAMPLES))


def _shift(at: float, y: int, made: list[DrawnPoint]) -> int:
    """The vertical shift of a point's number that avoids overlap with other numbers."""
    near = [p for p in made if p.number and abs(p.at - at) / 100 * _NARROW < _NUMBER_WIDTH]
    shift = 0
    while any(abs(p.y + p.shift - y - shift) < _NUMBER_HEIGHT for p in near):
        shift += _NUMBER_HEIGHT
    return shift


def _span(values: list[float], most: float | None) -> tuple[float, float, float]:
    """Round ends of an axis that covers all values, and its step."""
    low, high = min(values), max(values)
    if most is not None and high >= most:
        high = most
    step = _round_step(max(high - low, 1e-3 * max(abs(high), 1.0)) / 4)
    bottom, top = step * math.floor(low / step - 1e-9), step * math.ceil(high / step - 1e-9)
    return bottom, max(top, bottom + step), step


def _at_most(value: float, most: float | None) -> str:
    text = trimmed(f"{value:.6f}").replace("-", "−")
    return f"≥ {text}" if most is not None and value >= most else "0" if text == "−0" else text


def _axis(most: float) -> tuple[float, tuple[Tick, ...]]:
    """The end of an axis from zero, and its ticks at round numbers."""
    step = _round_step(most / 4 if most > 0 else 0.25)
    full = step * math.ceil(most / step) if most > 0 else 1.0
    count = round(full / step) + 1
    return full, tuple(Tick(_percent(i * step, full), trimmed(number(i * step, 6))) for i in range(count))


def _percent(value: float, full: float) -> float:
    return round(100 * value / full, 3)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))
