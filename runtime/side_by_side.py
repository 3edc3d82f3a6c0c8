"""Several jobs that run workers, side by side: each runtime has a process of its own, so threads are enough here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from clearport.runtime.worker.process import end_all

T = TypeVar("T")


def workers(threads: int) -> int:
    """How many workers of ``threads`` threads each this machine's cores can run at once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


def side_by_side(jobs: Sequence[Callable[[], T]], width: int, progress: Callable[[int, int], None]) -> list[T]:
    """What each job returns, in the order of ``jobs``; ``progress`` is told how many are done, and how many there are.

    If a job raises, or Ctrl-C comes, those that wait are dropped and every running worker is ended; then it is raised.
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
