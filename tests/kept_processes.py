"""Processes that live as long as a test process: starting a Python with its libraries takes longer than most tests.

Exports of one test process share the process that quantizes and writes, and proofs share workers, as the proofs of one
export do (``workers.reused``). Each is given only to a caller with the working directory and the environment that it
was started with. Tests of the processes themselves turn it off: the fixture ``own_processes``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

import psutil
import pytest

from clearport import problems
from clearport.disk.leftovers import Scratch
from clearport.pipeline.isolated import workers
from clearport.pipeline.isolated.process import Isolated
from clearport.runtime.worker import process as worker_process
from clearport.runtime.worker.process import WorkerProcess
from clearport.runtime.worker.worker import Worker

_MOST, _MOST_MIB = 2, 1000
_CHANGING = ("PYTEST_CURRENT_TEST", "TMPDIR", problems.OUTER)
"""Variables with which a process need not agree: its own folder for temporary files is its ``TMPDIR``."""
_start, _exit = Isolated._start, Isolated.__exit__


class _Kept:
    """Processes of exports, each with what it was started in; the one that was used last is at the end."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, WorkerProcess]] = []
        self.around: WeakKeyDictionary[WorkerProcess, Any] = WeakKeyDictionary()

    def take(self) -> WorkerProcess | None:
        around = surroundings()
        for place in reversed(range(len(self.waiting))):
            if self.waiting[place][0] == around:
                process = self.waiting.pop(place)[1]
                if process.popen.poll() is None:
                    return process
                process.close()
        return None

    def keep(self, process: WorkerProcess) -> None:
        self.waiting.append((self.around[process], process))
        while len(self.waiting) > _MOST:
            self.waiting.pop(0)[1].close()

    def end(self) -> None:
        while self.waiting:
            self.waiting.pop()[1].close()


class _KeptWorkers(workers._Idle):
    """Idle workers, each for callers with the surroundings that it was started in."""

    def take(self, kind: Any) -> Worker | None:
        return super().take((kind, surroundings()))  # type: ignore[arg-type]  # compared, and nothing else

    def keep(self, kind: Any, worker: Worker) -> None:
        super().keep((kind, surroundings()), worker)  # type: ignore[arg-type]


def surroundings() -> tuple[str, frozenset[tuple[str, str]]]:
    """The environment and working directory that a new process would inherit."""
    folder = ""
    with suppress(FileNotFoundError):
        folder = str(Path.cwd())
    return folder, frozenset(pair for pair in os.environ.items() if pair[0] not in _CHANGING)


@contextmanager
def kept_processes() -> Iterator[None]:
    """Within the block, processes are kept for the next test."""
    with tempfile.TemporaryDirectory(prefix="kept-processes-") as place:
        yield from _keeping(place)


def _keeping(place: str) -> Iterator[None]:
    kept, idle = _Kept(), _KeptWorkers()

    class OwnFolder(Scratch):
        """Outside that of the command that starts the process, which is removed with the command."""

        def __init__(self, kind: str) -> None:
            self.folder, self._lock = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=place)), None

    def start(isolated: Isolated) -> WorkerProcess:
        process = kept.take() or _start(isolated)
        kept.around[process] = surroundings()
        isolated._process = process
        return process

    def leave(
        isolated: Isolated, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = isolated._process
        if process in kept.around and _is_well(process):
            isolated._process = None
            kept.keep(process)
        _exit(isolated, kind, error, trace)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Isolated, "_start", start)
        patch.setattr(Isolated, "__exit__", leave)
        patch.setattr(workers, "_IDLE", idle)
        patch.setattr(workers, "_MOST_IDLE", _MOST * 2)
        patch.setattr(worker_process, "Scratch", OwnFolder)
        idle.begin()
        try:
            yield
        finally:
            idle.end()
            kept.end()


@contextmanager
def own_processes() -> Iterator[None]:
    """Within the block each export and each proof starts its own, as users' do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Isolated, "_start", _start)
        patch.setattr(Isolated, "__exit__", _exit)
        patch.setattr(workers, "_IDLE", workers._Idle())
        patch.setattr(workers, "_MOST_IDLE", 2)
        patch.setattr(worker_process, "Scratch", Scratch)
        yield


def _is_well(process: WorkerProcess) -> bool:
    """Whether it runs, with little memory."""
    try:
        return process.popen.poll() is None and psutil.Process(process.popen.pid).memory_info().rss < _MOST_MIB << 20
    except psutil.NoSuchProcess:
        return False
