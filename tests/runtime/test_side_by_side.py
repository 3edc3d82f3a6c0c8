"""Jobs side by side: order, progress, and what happens when one fails."""

from __future__ import annotations

import sys
import threading

import pytest

from clearport.runtime.side_by_side import side_by_side, workers
from clearport.runtime.worker.process import WorkerProcess


def _nothing(done: int, total: int) -> None:
    del done, total


@pytest.mark.parametrize("width", [1, 2, 5])
def test_results_keep_the_order(width: int) -> None:
    told: list[tuple[int, int]] = []
    jobs = [lambda n=n: n * n for n in range(7)]
    assert side_by_side(jobs, width, lambda done, total: told.append((done, total))) == [n * n for n in range(7)]
    assert told == [(n, 7) for n in range(8)]


def test_no_jobs() -> None:
    assert side_by_side([], 2, _nothing) == []


def test_jobs_really_run_at_once() -> None:
    both = threading.Barrier(2, timeout=120)
    assert len(side_by_side([both.wait, both.wait], 2, _nothing)) == 2


def test_a_failure_ends_the_workers_that_run() -> None:
    process = WorkerProcess([sys.executable, "-c", "import time; time.sleep(600)"], {})
    started = threading.Event()

    def wait() -> int:
        started.set()
        return process.popen.wait(timeout=120)

    def fail() -> int:
        started.wait(120)
        raise ValueError("one job went wrong")

    with pytest.raises(ValueError, match="one job went wrong"):
        side_by_side([wait, fail], 2, _nothing)
    assert process.popen.wait(timeout=120) < 0
    process.close()


def test_lanes_fit_the_cores() -> None:
    assert workers(1) >= 1
    assert workers(10_000) == 1
