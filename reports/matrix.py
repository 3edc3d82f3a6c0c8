"""A support matrix as Markdown and as one HTML page, both made from ``matrix.json``."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from clearport.base import PRECISIONS
from clearport.disk.ours import MATRIX_MARK
from clearport.registry import TARGETS
from clearport.reports import templates
from clearport.reports.markdown import escape
from clearport.reports.text import percent
from clearport.words import counted

if TYPE_CHECKING:
    from clearport.bundle.matrix_record import MatrixCell, MatrixRecord, MatrixRow, Status

MARKS: dict[Status, str] = {"proven": "✓", "unproven": "?", "refused": "–", "failed": "✗"}
LEGEND = (
    "✓ proven: read back from disk, run, and within its tolerance; the figure is its PSNR to the network itself in dB "
    "(“=”: equal). ? written, but no runtime on this machine can run it. – refused, ✗ failed: the reasons are below."
)


@dataclass(frozen=True)
class Mark:
    """The outcome of a precision in one field of the table: the worst of its variants."""

    precision: str
    status: Status
    figure: str

    @property
    def text(self) -> str:
        return f"{MARKS[self.status]} {self.precision}{f' {self.figure}' if self.figure else ''}"


@dataclass(frozen=True)
class Reason:
    """A reason, and its cells."""

    status: Status
    text: str
    cells: str


def title(record: MatrixRecord) -> str:
    """The verdict in one line."""
    counts = [(status, record.count(status)) for status in MARKS]
    said = ", ".join(f"{number} {status}" for status, number in counts if number)
    return f"{counted(len(record.rows), 'export')}, {counted(sum(n for _, n in counts), 'file')}: {said}"


def targets(record: MatrixRecord) -> list[str]:
    """The columns: every target of a cell."""
    found = {cell.target for row in record.rows for cell in row.cells}
    return [name for name in TARGETS.names() if name in found]


def marks(row: MatrixRow, target: str) -> list[Mark]:
    """A field of the table: one mark per precision, in order."""
    by: dict[str, list[MatrixCell]] = {}
    for cell in row.cells:
        if cell.target == target:
            by.setdefault(cell.precision, []).append(cell)
    order = list(MARKS)
    found = []
    for precision in PRECISIONS:
        if cells := by.get(precision):
            status = max((cell.status for cell in cells), key=order.index)
            found.append(Mark(precision, status, _figure(cells) if status == "proven" else ""))
    return found


def _figure(cells: Sequence[MatrixCell]) -> str:
    """The lowest PSNR of the variants; empty if none was compared with the network itself."""
    shares = [cell.same for cell in cells if cell.same is not None and not cell.equal]
    if shares:
        return f"{percent(min(shares))} %"
    known = [value for cell in cells for value in (cell.psnr_db, cell.sqnr_db) if value is not None]
    return f"{min(known):.1f}" if known else "=" if all(cell.equal for cell in cells) else ""


def reasons(record: MatrixRecord) -> list[Reason]:
    """Every reason once, failures first, with its cells."""
    found: dict[tuple[Status, str], dict[str, list[str]]] = {}
    for row in record.rows:
        for cell in row.cells:
            if cell.status != "proven":
                found.setdefault((cell.status, cell.reason), {}).setdefault(row.name, []).append(cell.key)
    order = list(MARKS)
    listed = [
        Reason(status, text, "; ".join(_cells(record, name, keys) for name, keys in by.items()))
        for (status, text), by in found.items()
    ]
    return sorted(listed, key=lambda reason: -order.index(reason.status))


def _cells(record: MatrixRecord, name: str, keys: Sequence[str]) -> str:
    row = next(row for row in record.rows if row.name == name)
    return f"{name}: {'every file' if len(keys) == len(row.cells) else ', '.join(keys)}"


def markdown(record: MatrixRecord) -> str:
    """The matrix as GitHub's Markdown."""
    return "\n".join([f"<!-- {MATRIX_MARK.decode()} -->", "# Support matrix", "", *_lines(record)]) + "\n"


def _lines(record: MatrixRecord) -> Iterator[str]:
    yield from (f"{escape(title(record))}.", "", *table(record), "", escape(LEGEND), "")
    for reason in reasons(record):
        yield f"- **{reason.status}** ({escape(reason.cells)}): {escape(reason.text)}"
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record.tool_versions.items()))
    yield from ("", escape(f"clearport {record.clearport}; {versions}"))


def table(record: MatrixRecord) -> Iterator[str]:
    """The table only."""
    columns = targets(record)
    yield "| network | input | " + " | ".join(TARGETS.get(name).title for name in columns) + " |"
    yield "|---|---|" + "---|" * len(columns)
    for row in record.rows:
        fields = ["<br>".join(escape(mark.text) for mark in marks(row, name)) for name in columns]
        name = f"{escape(_name(row))}"
        yield f"| {name} | {escape(_size(row))} | " + " | ".join(fields) + " |"


def _name(row: MatrixRow) -> str:
    return f"{row.label} x{row.scale}" if row.scale not in {"", "1"} else row.label


def _size(row: MatrixRow) -> str:
    return {"dynamic": "any size", "own": "its own"}.get(row.size, row.size)


def html(record: MatrixRecord) -> str:
    """The matrix as one page that fetches nothing; each network links to the report of its bundle beside it."""
    style = templates.asset("page.css") + templates.asset("matrix.css")
    return (
        templates.environment()
        .get_template("matrix.html.j2")
        .render(
            mark=MATRIX_MARK.decode(),
            record=record,
            title=title(record),
            good=not record.count("failed"),
            legend=LEGEND,
            columns=[(name, TARGETS.get(name).title) for name in targets(record)],
            rows=[
                (row, _name(row), _size(row), {name: marks(row, name) for name in targets(record)})
                for row in record.rows
            ],
            reasons=reasons(record),
            marks=MARKS,
            style=Markup(style),  # noqa: S704 - the package's own files
            style_hash="sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
        )
    )
