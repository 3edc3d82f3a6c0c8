"""Cells and rows that several tables share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from clearport.reports.content import Cell, Column, Plot, Section, Table
from clearport.reports.text import number
from clearport.runtime.latency.stats import Ratio

T = TypeVar("T", Table, Plot, Section)

NOTHING = Cell("–", "muted")


def headed(titles: str, numbers: tuple[int, ...] = (), asides: tuple[int, ...] = ()) -> tuple[Column, ...]:
    """Columns from ``"A | B"``; ``numbers`` and ``asides`` are the indices of numeric and aside columns."""
    return tuple(Column(title.strip(), i in numbers, i in asides) for i, title in enumerate(titles.split("|")))


def unmeasured(first: Cell, reason: str, columns: int) -> tuple[Cell, ...]:
    """A row with the reason for missing figures."""
    return (first, Cell(f"not measured: {reason}", "muted", span=columns - 1))


def without_empty_columns(
    columns: tuple[Column, ...], rows: tuple[tuple[Cell, ...], ...]
) -> tuple[tuple[Column, ...], tuple[tuple[Cell, ...], ...]]:
    """Columns and rows without those columns in which no row says anything; cells must not span."""
    kept = [i for i in range(len(columns)) if any(row[i] != NOTHING and row[i].text for row in rows)]
    return tuple(columns[i] for i in kept), tuple(tuple(row[i] for i in kept) for row in rows)


def relative(ratio: Ratio | None) -> Cell:
    """A ratio with its interval."""
    return NOTHING if ratio is None else Cell(f"{ratio.value:.3f} ({ratio.low:.3f} – {ratio.high:.3f})")


def optional(value: float | None, show: Callable[[float], str] = number) -> Cell:
    """An optional figure."""
    return NOTHING if value is None else Cell(show(value))


def present(*parts: T | None) -> tuple[T, ...]:
    """The items that are not None."""
    return tuple(part for part in parts if part is not None)
