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
class Point:
    """A file in a scatter plot. ``x`` and ``y`` are where it lies, ``texts`` what its axes say of it.

    ``best``: no other file is better in one and at least as good in the other. ``remark`` may be empty.
    """

    label: str
    group: str
    x: float
    y: float
    texts: tuple[str, str]
    best: bool
    remark: str = ""


@dataclass(frozen=True)
class Scatter:
    """What quality costs. ``x`` (less is better) begins at zero; ``y`` (more is better) where the points do.

    ``most``: points at it or above are all drawn there, for nobody sees a difference; None: there is no such value.
    """

    title: str
    x: str
    y: str
    points: tuple[Point, ...]
    groups: tuple[str, ...]
    note: str
    most: float | None = None


@dataclass(frozen=True)
class Spread:
    """The samples of one candidate: every one, in order, with their minimum, median and 90th percentile."""

    label: str
    group: str
    samples: tuple[float, ...]
    least: float
    median: float
    p90: float


@dataclass(frozen=True)
class Spreads:
    """Samples of several candidates on one axis from zero, in ``unit``."""

    title: str
    unit: str
    spreads: tuple[Spread, ...]
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
        unmeasured: the command that measures it there; empty where something was measured.
    """

    place: str
    artifact: str
    file: str
    figures: tuple[tuple[str, str], ...]
    reason: str
    instead: str = ""
    unmeasured: str = ""


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
    scatters: tuple[Scatter, ...] = ()
    spreads: tuple[Spreads, ...] = ()


@dataclass(frozen=True)
class Page:
    """The whole report. ``facts`` are pairs of label and text; ``failures`` is empty when all checks held.

    ``answer`` has the files that are recommended, each with its size and all places that it is for. ``caveats`` say
    what the recommendations do not rest on: what was not measured, or not well.

    ``tone`` is that of the verdict: ``good`` only where something was checked and all of it held.
    """

    title: str
    summary: str
    verdict: str
    tone: Tone
    failures: tuple[str, ...]
    answer: tuple[tuple[str, str, str], ...]
    picks: tuple[Pick, ...]
    caveats: tuple[str, ...]
    facts: tuple[tuple[str, Cell], ...]
    sections: tuple[Section, ...]
