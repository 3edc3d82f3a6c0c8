"""Where the parts of a bar plot lie, in percent of its width: the template draws, text keeps its size on a phone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clearport.reports.content import Bar, Plot
from clearport.reports.text import number, trimmed

ROW_HEIGHT = 40
AXIS_HEIGHT = 30
_COLORS = 6


@dataclass(frozen=True)
class Drawn:
    """A bar with its places: ``y`` in pixels; ``end``, ``low`` and ``high`` in percent; ``color`` numbers a class."""

    bar: Bar
    y: int
    end: float
    low: float | None
    high: float | None
    color: int


@dataclass(frozen=True)
class Tick:
    """A mark of the axis: its place in percent, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """A plot that is ready to be drawn. ``height`` is in pixels, the axis at its lower end."""

    plot: Plot
    bars: tuple[Drawn, ...]
    ticks: tuple[Tick, ...]
    height: int


def draw(plot: Plot) -> Drawing:
    """Lay out a plot: bars from a common zero, in their order, groups by color, round numbers on the axis."""
    most = max(max(bar.value, bar.high or 0.0) for bar in plot.bars)
    step = _round_step(most / 4 if most > 0 else 0.25)
    full = step * math.ceil(most / step) if most > 0 else 1.0

    def place(value: float | None) -> float | None:
        return None if value is None else round(100 * value / full, 3)

    bars = tuple(
        Drawn(
            bar,
            i * ROW_HEIGHT,
            round(100 * bar.value / full, 3),
            place(bar.low),
            place(bar.high),
            plot.groups.index(bar.group) % _COLORS,
        )
        for i, bar in enumerate(plot.bars)
    )
    ticks = tuple(
        Tick(round(100 * i * step / full, 3), trimmed(number(i * step, 6))) for i in range(round(full / step) + 1)
    )
    return Drawing(plot, bars, ticks, len(bars) * ROW_HEIGHT + AXIS_HEIGHT)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))
