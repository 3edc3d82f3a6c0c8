"""Progress of long work on standard error: one line for each stage, with a bar where the length is known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clearport.protocols import no_progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from clearport.protocols import Progress


_WORTH_A_LINE_S = 0.05
"""Stages shorter than this, such as files that a device does not support, would drown out the others."""


class _Stages:
    """Shows the current stage as a bar, and each finished stage as a line with its duration."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._stage = ""
        self._task: TaskID | None = None
        self._started = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self.finish()
            self._stage, self._started = stage, time.monotonic()
            self._task = self._bars.add_task(stage, total=total or None)
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=total or None)

    def finish(self) -> None:
        """End the current stage: its bar becomes a line."""
        if self._task is None:
            return
        self._bars.remove_task(self._task)
        seconds = time.monotonic() - self._started
        if seconds >= _WORTH_A_LINE_S:
            self._bars.console.print(f"[green]✓[/] {self._stage} [dim]{seconds:.1f} s[/]", highlight=False)
        self._task = None


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress]:
    """A Progress that draws on standard error; silent when ``quiet``."""
    if quiet:
        yield no_progress
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
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        stages = _Stages(bars)
        yield stages
        stages.finish()
