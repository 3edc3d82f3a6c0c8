"""The content of a report, from which both Markdown and HTML are rendered: a ``Page``.

Texts are plain and may come from an untrusted manifest: the renderers escape them.
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
    """A column: its title (with the unit) and whether it is numeric (right-aligned).

    ``aside``: shown below the other columns, in small print, so that tables fit a page and a phone.
    """

    title: str
    number: bool = False
    aside: bool = False


@dataclass(frozen=True)
class Table:
    """A table. ``note`` is the protocol: the meaning of the numbers and how they were measured.

    ``shown``: the caption is visible above the table, for chapters with several similar tables.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str
    note: str = ""
    shown: bool = False

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """The columns that are not aside."""
        return tuple(column for column in self.columns if not column.aside)

    def cells(self, row: tuple[Cell, ...], *, aside: bool = False) -> tuple[tuple[Column, Cell], ...]:
        """The cells of a row with their columns: the shown ones, or the aside ones.

        A row with a reason instead of figures has two cells, of which the second spans all shown columns.
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
    """A file in a scatter plot. ``x`` and ``y`` are its coordinates, ``texts`` their labels.

    ``best``: Pareto-optimal. ``remark`` may be empty.
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
    """A scatter plot of quality against cost. ``x`` (less is better) starts at zero, ``y`` (more is better) at its
    minimum.

    ``most``: points at or above it are drawn at it, since differences there are invisible; None: no such limit.
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
    """The recommended file for a place where networks run.

    Attributes:
        place: as in ``Android``.
        artifact: its key; empty where no file can be recommended.
        file: its path in the bundle.
        figures: pairs of label and text.
        reason: why this one, or why none.
        instead: the next best one and its use; may be empty.
        unmeasured: the command that measures it there; empty if something was measured.
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
    """The whole report. ``facts`` are pairs of label and text; ``failures`` is empty if all checks passed.

    ``answer`` has the recommended files, each with its size and places. ``caveats`` list missing or weak measurements.

    ``tone`` is the verdict's: ``good`` only if there are checks and all of them passed.
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
