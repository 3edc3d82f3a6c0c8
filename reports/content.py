"""What a report says, before it is Markdown or HTML: both are made from the same ``Page``, so that they cannot differ.

Texts here are plain, and may come from a manifest that nobody trusts: escaping is the renderer's work.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """A column: its title (with the unit) and whether it holds numbers (set right).

    ``aside``: it stands below the others, in small print: a table has to fit a page, and a phone.
    """

    title: str
    number: bool = False
    aside: bool = False


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

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """Those that do not stand aside."""
        return tuple(column for column in self.columns if not column.aside)

    def cells(self, row: tuple[Cell, ...], *, aside: bool = False) -> tuple[tuple[Column, Cell], ...]:
        """The cells of a row with their columns: those that are shown, or those that stand aside.

        A row that says why it has no figures has two cells: the second one spans all columns that are shown.
        """
        if len(row) == len(self.columns):
            pairs = zip(self.columns, row, strict=True)
            return tuple((column, cell) for column, cell in pairs if column.aside == aside)
        if aside:
            return ()
        first, reason = row
        spanning = replace(reason, span=len(self.shown_columns) - 1)
        return (self.columns[0], first), (Column(""), spanning)


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
    """Horizontal bars from a common zero. ``unit`` is that of the axis; ``groups`` orders the colors."""

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
class Pick:
    """The file to take for a place where networks run.

    Attributes:
        place: as in ``Android``.
        artifact: its key; empty where no file can be recommended.
        file: its path in the bundle.
        figures: pairs of label and text.
        reason: why this one, or why none.
        instead: the next best one and what it would be better for; may be empty.
    """

    place: str
    artifact: str
    file: str
    figures: tuple[tuple[str, str], ...]
    reason: str
    instead: str = ""


@dataclass(frozen=True)
class Section:
    """A chapter of the report. A ``folded`` one shows its title and ``hint`` until it is opened."""

    name: str
    title: str
    intro: str = ""
    folded: bool = False
    hint: str = ""
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
    picks: tuple[Pick, ...]
    facts: tuple[tuple[str, Cell], ...]
    sections: tuple[Section, ...]
