"""A report as Markdown (GitHub's tables). Texts of the manifest are escaped: they cannot become markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from clearport.bundle.manifest import Manifest
from clearport.reports.content import (
    Bar,
    Cell,
    Column,
    Page,
    Pick,
    Plot,
    Scatter,
    Section,
    Spreads,
    Table,
    Usage,
)
from clearport.reports.text import number

_ROLES = {
    "input": "input",
    "float": "output of the fp32 network",
    "int8": "output of the int8 network, by its reference",
}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$!])")


def markdown(page: Page, manifest: Manifest) -> str:
    """The page as Markdown; the golden pictures are linked, not embedded."""
    return "\n".join(_lines(page, manifest)) + "\n"


def escape(text: str) -> str:
    """A text escaped for Markdown, on one line."""
    flat = "".join(c if c.isprintable() else " " for c in text)
    return _SPECIAL.sub(r"\\\1", flat)


def _lines(page: Page, manifest: Manifest) -> Iterator[str]:
    yield from (f"# {escape(page.title)}", "", escape(page.summary), "", f"**{escape(page.verdict)}**", "")
    if page.failures:
        yield from (*(f"- {escape(failure)}" for failure in page.failures), "")
    if page.picks:
        yield from ("## Which file to take", "")
        yield from (f"- {_cell(Cell(file, code=True))} {size}: {escape(places)}" for file, size, places in page.answer)
        yield from ("", *map(_pick, page.picks), "")
    if page.caveats:
        yield from (*(f"- {escape(caveat)}" for caveat in page.caveats), "")
    yield from ("## The network", "", "| | |", "|---|---|")
    yield from (f"| {escape(label)} | {_cell(cell)} |" for label, cell in page.facts)
    yield ""
    if manifest.goldens:
        yield from ("## Golden pictures", "")
        yield from (
            f"- [{escape(golden.name)}]({quote(golden.path)}): {_ROLES.get(golden.role, golden.role)}"
            for golden in manifest.goldens
        )
        yield ""
    for section in page.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield from (f"## {escape(section.title)}", "")
    if section.intro:
        yield from (escape(section.intro), "")
    for table in section.tables:
        yield from _table(table)
    for plot in section.plots:
        yield from _plot(plot)
    for scatter in section.scatters:
        yield from _scatter(scatter)
    for spreads in section.spreads:
        yield from _spreads(spreads)
    for usage in section.usages:
        yield from _usage(usage)


def _pick(pick: Pick) -> str:
    """A recommendation as one entry of a list."""
    figures = ", ".join(f"{label.lower() if label == 'Size' else label}: {text}" for label, text in pick.figures)
    file = f" {_cell(Cell(pick.file, code=True))} ({escape(pick.artifact)})." if pick.artifact else ""
    rest = " ".join(filter(None, (f"{figures}." if figures else "", pick.reason)))
    instead = f" Instead: {escape(pick.instead)}" if pick.instead else ""
    measure = f" To measure it there: {_cell(Cell(pick.unmeasured, code=True))}" if pick.unmeasured else ""
    return f"- **{escape(pick.place)}**:{file} {escape(rest)}{instead}{measure}"


def _scatter(scatter: Scatter) -> Iterator[str]:
    """The points as a table, the best ones first."""
    yield from (f"### {escape(scatter.title)}", "")
    columns = (Column("File"), Column(scatter.x, number=True), Column(scatter.y, number=True), Column("Remark"))
    points = sorted(scatter.points, key=lambda p: (not p.best, p.x))
    yield from _rows(
        columns,
        [
            [Cell(p.label, code=True), *map(Cell, p.texts), Cell(", ".join(filter(None, (_BEST * p.best, p.remark))))]
            for p in points
        ],
    )
    yield from (escape(scatter.note), "")


_BEST = "none is better in both"


def _spreads(plot: Spreads) -> Iterator[str]:
    """Minimum, median and 90th percentile, with bars of block characters for the medians."""
    rows = tuple(
        Bar(s.label, s.group, s.median, f"{number(s.median)} ({number(s.least)} – {number(s.p90)})")
        for s in plot.spreads
    )
    yield from _plot(Plot(f"{plot.title}: median (minimum – 90th percentile)", plot.unit, rows, plot.groups))


def _table(table: Table) -> Iterator[str]:
    """The table; aside columns are in a second table below it."""
    if table.shown:
        yield from (f"### {escape(table.caption)}", "")
    yield from _rows(table.shown_columns, [[cell for _, cell in table.cells(row)] for row in table.rows])
    if any(column.aside for column in table.columns):
        columns = (table.columns[0], *(column for column in table.columns if column.aside))
        asides = [[row[0], *(cell for _, cell in table.cells(row, aside=True))] for row in table.rows]
        yield from _rows(columns, [cells for cells in asides if len(cells) > 1])
    if table.note:
        yield from (escape(table.note), "")


def _rows(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    yield "| " + " | ".join(escape(column.title) for column in columns) + " |"
    yield "|" + "|".join("---:" if column.number else "---" for column in columns) + "|"
    yield from ("| " + " | ".join(_cell(cell) + " | –" * (cell.span - 1) for cell in row) + " |" for row in rows)
    yield ""


def _plot(plot: Plot) -> Iterator[str]:
    """Bars of block characters, which also show in a terminal."""
    most = max(bar.value for bar in plot.bars) or 1.0
    width = max(len(bar.label) for bar in plot.bars)
    yield from ("```text", "".join(c if c.isprintable() else " " for c in f"{plot.title} ({plot.unit})"))
    for bar in plot.bars:
        label = "".join(c if c.isprintable() and c != "`" else " " for c in bar.label)
        yield f"{label.ljust(width)}  {'█' * max(1, round(40 * bar.value / most))} {bar.text}"
    yield from ("```", "")


def _usage(usage: Usage) -> Iterator[str]:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", usage.code)), default=0))
    yield from (f"### {escape(usage.title)}", "")
    yield from (*(f"- {_cell(Cell(name, code=True))}" for name in usage.files), "")
    yield from (f"{fence}{usage.language}", usage.code.rstrip("\n"), fence, "")


def _cell(cell: Cell) -> str:
    if cell.code and cell.text.isprintable() and not re.search(r"[`|\\]", cell.text):
        return f"`{cell.text}`"
    return f"**{escape(cell.text)}**" if cell.tone == "bad" else escape(cell.text)
