"""Engines that run the exports of a matrix: processes of this machine, or a Dask cluster.

Both start the same process per export (``build``) and produce the same bytes. A cluster needs no shared storage: the
files of a job are sent, and the finished cache entry is returned.
"""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from clearport.bundle.matrix_record import MatrixRow
from clearport.errors import RuntimeFailure
from clearport.pipeline.matrix import cache as caches
from clearport.pipeline.matrix.build import plain_job, without_bundle
from clearport.pipeline.matrix.keys import environment
from clearport.runtime.worker import wire
from clearport.runtime.worker.launch import python_here, worker_environment
from clearport.runtime.worker.process import WorkerProcess, end_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from clearport.pipeline.matrix.plan import Job
    from clearport.protocols import Progress

_CHILD = "clearport.pipeline.matrix.build"


class Watch(Protocol):
    """Callbacks on the progress of jobs."""

    def started(self, job: Job) -> None:
        """A job has begun, or was submitted to a cluster."""

    def stage(self, job: Job, stage: str, done: int, total: int) -> None:
        """A job's stage has advanced."""

    def ended(self, job: Job, row: MatrixRow, *, built: bool) -> None:
        """A job has finished; ``built``: in this run, not from the cache."""


class Engine(Protocol):
    """Runs jobs."""

    def environment(self) -> Mapping[str, str]:
        """What determines a job's files besides the job itself, on the machines that run jobs; part of the keys."""
        ...

    def run(self, jobs: Mapping[str, Job], cache: Path, watch: Watch) -> Iterator[tuple[str, MatrixRow]]:
        """Build the jobs (key -> job) into the cache; yields each key with its row when it is finished."""
        ...


class Local:
    """Processes of this machine, ``width`` at a time."""

    def __init__(self, width: int) -> None:
        self._width = width

    def environment(self) -> Mapping[str, str]:
        """See ``Engine.environment``."""
        return environment()

    def run(self, jobs: Mapping[str, Job], cache: Path, watch: Watch) -> Iterator[tuple[str, MatrixRow]]:
        """See ``Engine.run``. Ctrl-C ends every process."""
        with ThreadPoolExecutor(self._width) as pool:
            futures = {
                pool.submit(_watched, job, key, caches.entry(cache, key), watch): key for key, job in jobs.items()
            }
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                end_all()
                raise


def _watched(job: Job, key: str, entry: Path, watch: Watch) -> MatrixRow:
    watch.started(job)
    return in_process(job, job.places, key, entry, partial(watch.stage, job))


def in_process(job: Job, places: Mapping[str, Path], key: str, entry: Path, progress: Progress) -> MatrixRow:
    """Build a job in its own process; a crash is a failed row that names the signal."""
    command = python_here(sys.executable, _CHILD)
    try:
        process = WorkerProcess(command, worker_environment(1))
    except OSError as error:
        raise RuntimeFailure(f"{command[0]} cannot be started: {error.strerror or error}") from error
    asked: dict[str, Any] = {
        "job": plain_job(job),
        "places": {field: str(place) for field, place in places.items()},
        "key": key,
        "entry": str(entry),
    }
    try:
        wire.send(process.stdin, asked)
        while (message := wire.receive(process.stdout)) is not None:
            if "row" in message[0]:
                return MatrixRow.model_validate(message[0]["row"], strict=False)
            progress(*message[0]["progress"])
        return without_bundle(job, key, "failed", _ending(process))
    except (OSError, wire.GarbledError):
        return without_bundle(job, key, "failed", _ending(process))
    finally:
        process.close()


def _ending(process: WorkerProcess) -> str:
    code = process.exit_code()
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        said = f"signal {-code} ({name})" + (", possibly out of memory" if name == "SIGKILL" else "")
    else:
        said = f"exit code {code}"
    return f"the process of the export ended with {said}{process.last_words('')}"
