"""What a report says, before it is Markdown or HTML: both are made from the same ``Page``, so that they cannot differ.

Texts here are plain, and may come from a manifest that nobody trusts: escaping is the renderer's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "good", "bad", "muted"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table. ``muted``: not measured; ``code``: a name or a path; ``span``: how many columns."""

    text: str
    tone: Tone = ""
    code: bool = False
    span: int = 1


@dataclass(frozen=True)
class Column:
    """A column: its title (with the unit) and whether it holds numbers (set right)."""

    title: str
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under columns. ``note`` is the protocol: what the numbers mean and how they were taken.

    ``shown``: the caption stands above the table for everybody to see, as where a chapter has several alike.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str
    note: str = ""
    shown: bool = False


@dataclass(frozen=True)
class Bar:
    """One row of a plot, from 0 to ``value``; ``low`` and ``high`` are the ends of the whisker."""

    label: str
    group: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Plot:
    """Horizontal bars from a common zero. ``unit`` is that of the axis; ``groups`` orders the colours."""

    title: str
    unit: str
    bars: tuple[Bar, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Usage:
    """How to call an artifact: ``language`` is that of ``code``, ``files`` are the artifacts that it fits."""

    title: str
    language: str
    code: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A chapter of the report."""

    name: str
    title: str
    intro: str = ""
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    usages: tuple[Usage, ...] = ()


@dataclass(frozen=True)
class Page:
    """The whole report. ``facts`` are pairs of label and text; ``failures`` is empty when all checks held.

    ``tone`` is that of the verdict: ``good`` only where something was checked and all of it held.
    """

    title: str
    summary: str
    verdict: str
    tone: Tone
    failures: tuple[str, ...]
    facts: tuple[tuple[str, Cell], ...]
    sections: tuple[Section, ...]
