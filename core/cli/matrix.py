"""``clearport matrix``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clearport.cli.options import JsonOpt, QuietOpt

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.text import Text

    from clearport.bundle.matrix_record import MatrixRow
    from clearport.pipeline.matrix.matrix import Matrix
    from clearport.pipeline.matrix.plan import Job
    from clearport.reports.matrix import Mark


def matrix(
    file: Annotated[Path, typer.Argument(help="The networks, sizes, precisions and targets (TOML).", metavar="FILE")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the bundles and the matrix; FILE without .toml by default."),
    ] = None,
    init: Annotated[bool, typer.Option("--init", help="Write a commented example to FILE, and stop.")] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of finished exports, which matrices may share; OUT/.cache by default.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of parallel exports; one per core by default, if memory allows.", show_default=False
        ),
    ] = None,
    engine: Annotated[Literal["local", "dask"], typer.Option(help="Where exports run.")] = "local",
    cluster: Annotated[str, typer.Option(help="Scheduler of Dask, as in tcp://HOST:8786.")] = "",
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Export many networks at once, and write the support matrix of their proofs: HTML, Markdown and JSON.

    Finished exports are cached by the content of all their inputs: a second run does nothing, and a killed one is
    continued. Exit code 1: a file failed its proof, or an export crashed; refusals are normal rows of a matrix.

    Examples: clearport matrix zoo.toml --init, clearport matrix zoo.toml --out out/zoo --jobs 2
    """
    from clearport.pipeline.matrix.matrix import MatrixRequest, build_matrix, write_example

    if init:
        write_example(file)
        typer.echo(f"{file}: edit it, then: clearport matrix {file}")
        return
    request = MatrixRequest(file, out or file.with_suffix(""), cache, jobs, engine, cluster)
    with _watching(quiet=quiet) as watch:
        found = build_matrix(request, watch)
    if json:
        from clearport.cli.show import print_json

        print_json(found.record.model_dump(mode="json"))
    else:
        _show(found)
    if found.record.count("failed"):
        raise typer.Exit(1)


def _show(found: Matrix) -> None:
    from rich.text import Text

    from clearport.cli.show import print_parts, table
    from clearport.registry import TARGETS
    from clearport.reports import matrix as reports

    names = reports.targets(found.record)
    rows = []
    for row in found.record.rows:
        fields = [Text("\n").join(_mark(mark) for mark in reports.marks(row, name)) for name in names]
        rows.append((row.name, *fields))
    print_parts(table("", ("bundle", *(TARGETS.get(name).title for name in names)), rows))
    for reason in reports.reasons(found.record):
        style = "bold red" if reason.status == "failed" else "yellow"
        print_parts(Text(f"{reason.status} ", style) + Text(f"{reason.cells}: {reason.text}", "not bold"))
    made = f"{len(found.built)} built, {len(found.record.rows) - len(found.built)} from the cache"
    print_parts(Text(f"{reports.title(found.record)} ({made}): {found.page}"))


_STYLES = {"proven": "green", "unproven": "yellow", "refused": "dim", "failed": "bold red"}


def _mark(mark: Mark) -> Text:
    from rich.text import Text

    return Text(mark.text, _STYLES[mark.status])


class _Quiet:
    """A Watch without output."""

    def started(self, job: Job) -> None:
        """See ``Watch``."""

    def stage(self, job: Job, stage: str, done: int, total: int) -> None:
        """See ``Watch``."""

    def ended(self, job: Job, row: MatrixRow, *, built: bool) -> None:
        """See ``Watch``."""


class _Shown(_Quiet):
    """A bar per running export, and a line per finished one. Called by several threads."""

    def __init__(self, bars: Bars) -> None:
        self._bars, self._lock = bars, Lock()
        self._running: dict[str, tuple[TaskID, float]] = {}

    def started(self, job: Job) -> None:
        with self._lock:
            self._running[job.name] = self._bars.add_task(f"{job.name}: starting", total=None), time.monotonic()

    def stage(self, job: Job, stage: str, done: int, total: int) -> None:
        with self._lock:
            task, _ = self._running[job.name]
            self._bars.update(task, description=f"{job.name}: {stage}", completed=done, total=total or None)

    def ended(self, job: Job, row: MatrixRow, *, built: bool) -> None:
        if not built:
            return
        with self._lock:
            task, began = self._running.pop(job.name, (None, time.monotonic()))
            if task is not None:
                self._bars.remove_task(task)
            counts = {status: sum(cell.status == status for cell in row.cells) for status in _STYLES}
            said = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
            mark = "[red]✗[/]" if counts["failed"] else "[green]✓[/]"
            seconds = time.monotonic() - began
            self._bars.console.print(f"{mark} {job.name}: {said} [dim]{seconds:.1f} s[/]", highlight=False)


@contextmanager
def _watching(*, quiet: bool) -> Iterator[_Quiet]:
    if quiet:
        yield _Quiet()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield _Shown(bars)
