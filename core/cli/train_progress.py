"""Progress output of a training."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from clearport.models.training.options import Progress, Tick

_EVERY_S = 15.0


def quality(figure: float, unit: str) -> str:
    """A validation figure with its unit."""
    return "no targets to validate with" if math.isnan(figure) else f"{figure:.2f} {unit}"


class _Silent:
    """No output."""

    def noted(self, note: str) -> None:
        """Before the first step: the data and weights read."""

    def staged(self, stage: str, done: int, total: int) -> None:
        """Before the first step: what is done of a stage of the quantization."""

    def validated(self, progress: Progress) -> None:
        """After a validation."""

    def ticked(self, tick: Tick) -> None:
        """Between validations."""


class _Lines(_Silent):
    """A line on standard error for every validation, and one every 15 s between them."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._stage = ""

    def staged(self, stage: str, done: int, total: int) -> None:
        del done, total
        if stage != self._stage:
            typer.echo(stage, err=True)
        self._stage = stage

    def noted(self, note: str) -> None:
        typer.echo(note, err=True)

    def validated(self, progress: Progress) -> None:
        self._last = time.monotonic()
        typer.echo(_validation_line(progress), err=True)

    def ticked(self, tick: Tick) -> None:
        if time.monotonic() - self._last < _EVERY_S:
            return
        self._last = time.monotonic()
        rate = f"{tick.steps_per_s:.1f} steps/s  {_left(tick.eta_s)}"
        typer.echo(f"{tick.share:6.1%}  step {tick.step}  loss {tick.loss:.5f}  {rate}", err=True)


class _Bar(_Silent):
    """A bar on a terminal, and a line above it for every validation."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._task = bar, bar.add_task("", total=1.0)

    def noted(self, note: str) -> None:
        self._bar.console.print(note, highlight=False, markup=False)

    def staged(self, stage: str, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done / total if total else 0.0, description=stage)

    def validated(self, progress: Progress) -> None:
        self._bar.console.print(_validation_line(progress), highlight=False)
        self._bar.update(self._task, completed=progress.share)

    def ticked(self, tick: Tick) -> None:
        words = f"step {tick.step}  loss {tick.loss:.5f}  {tick.steps_per_s:.1f} steps/s  {_left(tick.eta_s)}"
        self._bar.update(self._task, completed=tick.share, description=words)


def _validation_line(progress: Progress) -> str:
    first, second = progress.units
    found = quality(progress.psnr_db, first)
    if not math.isnan(progress.psnr_db):
        best, places = first.removeprefix("dB "), 3 if second.startswith("dB lost") else 2
        other = "" if math.isnan(progress.y_psnr_db) else f", {progress.y_psnr_db:.{places}f} {second}"
        found = f"{found}{other} (best {progress.best_psnr_db:.2f} {best})"
    rate = f"{progress.steps_per_s:.1f} steps/s  {_left(progress.eta_s)}"
    unsaved = f"\nnot saved: {progress.unsaved}" if progress.unsaved else ""
    return f"{progress.share:6.1%}  step {progress.step}  loss {progress.loss:.5f}  {found}  {rate}{unsaved}"


def _left(seconds: float) -> str:
    return f"{seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"


@contextmanager
def reporter(*, quiet: bool) -> Iterator[_Silent]:
    """A bar on a terminal, else lines on standard error; nothing if ``quiet``."""
    if quiet:
        yield _Silent()
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _Bar(bar)
