"""Opening and reuse of workers in the pipeline."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from clearport.errors import RuntimeFailure
from clearport.registry import RUNNERS
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clearport.base import Artifact

TIMEOUT_S = 300.0

REFERENCE_OPTIONS: Mapping[str, Any] = {"optimize": False}
"""ONNX Runtime without fusions evaluates a QDQ model exactly as written."""

_IDLE_MIB = 320.0
"""Maximum memory of an idle worker in MiB, including PyTorch's libraries; larger ones are ended."""

_MOST_IDLE = 2


class _Kind(NamedTuple):
    runner: str
    python: str | None
    threads: int


class _Idle:
    """Idle workers without an artifact, for reuse by the next one of their kind within a ``reused`` block."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks = 0
        self._waiting: list[tuple[_Kind, Worker]] = []

    def begin(self) -> None:
        with self._lock:
            self._blocks += 1

    def end(self) -> None:
        with self._lock:
            self._blocks -= 1
            ended, self._waiting = ([], self._waiting) if self._blocks else (self._waiting, [])
        for _, worker in ended:
            worker.close()

    def take(self, kind: _Kind) -> Worker | None:
        with self._lock:
            place = next((i for i, (other, _) in enumerate(self._waiting) if other == kind), None)
            worker = None if place is None else self._waiting.pop(place)[1]
        if worker is not None and not worker.alive:  # the system ended it, for its memory
            worker.close()
            return None
        return worker

    def keep(self, kind: _Kind, worker: Worker) -> None:
        with self._lock:
            self._waiting.append((kind, worker))
            cut = max(0, len(self._waiting) - (_MOST_IDLE if self._blocks else 0))
            ended, self._waiting = self._waiting[:cut], self._waiting[cut:]
        for _, old in ended:
            old.close()

    @property
    def wanted(self) -> bool:
        return self._blocks > 0


_IDLE = _Idle()


@contextmanager
def reused() -> Iterator[None]:
    """Within the block, workers are reused for further artifacts of their runner: starting a Python with its runtime
    takes longer than a small network. Only workers without failures are reused.
    """
    _IDLE.begin()
    try:
        yield
    finally:
        _IDLE.end()


@contextmanager
def open_worker(
    runner: str, artifact: Artifact, threads: int, timeout_s: float, options: Mapping[str, Any] | None = None
) -> Iterator[Worker]:
    """A worker with an artifact open, in the Python that the runner requires.

    Raises:
        BadInput, NotInstalled, RuntimeFailure: as ``Worker`` does when it is entered.
    """
    kind = _Kind(runner, getattr(RUNNERS.get(runner), "interpreter", lambda: None)(), threads)
    with ExitStack() as stack:
        worker = _opened_again(kind, artifact, timeout_s, options)
        if worker is None:
            worker = Worker(runner, artifact.path, threads, timeout_s, options, python=kind.python)
            worker.__enter__()
        stack.push(worker)
        yield worker
        if _IDLE.wanted and _is_light(worker):
            stack.pop_all()
            _IDLE.keep(kind, worker)


def _opened_again(
    kind: _Kind, artifact: Artifact, timeout_s: float, options: Mapping[str, Any] | None
) -> Worker | None:
    """An idle worker with the artifact opened; if it cannot open it, None, so that a new worker decides."""
    worker = _IDLE.take(kind)
    if worker is None:
        return None
    worker.turn_to(artifact.path, options, timeout_s)
    try:
        return worker.__enter__()
    except RuntimeFailure:
        return None


def _is_light(worker: Worker) -> bool:
    """Whether a worker could close its artifact, and uses little memory now."""
    try:
        memory_mib = worker.release()
    except RuntimeFailure:  # its answers were complete, and no other is expected
        return False
    return memory_mib is not None and memory_mib <= _IDLE_MIB
