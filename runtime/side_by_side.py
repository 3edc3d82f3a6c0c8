"""Parallel jobs that run workers: each runtime has its own process, so threads suffice here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from clearport.runtime.worker.process import end_all

T = TypeVar("T")


def workers(threads: int) -> int:
    """Number of workers with ``threads`` threads each that this machine's cores can run at once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


def side_by_side(jobs: Sequence[Callable[[], T]], width: int, progress: Callable[[int, int], None]) -> list[T]:
    """The results of all jobs, in order; ``progress`` is called with the numbers of finished and of all jobs.

    If a job raises, or on Ctrl-C, waiting jobs are dropped and running workers ended before the exception propagates.
    """
    progress(0, len(jobs))
    with ThreadPoolExecutor(width) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                progress(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise
    return [future.result() for future in futures]
