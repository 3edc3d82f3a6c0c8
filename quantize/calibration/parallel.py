"""Parallel map over photos, on all cores.

Every photo is computed by one thread from beginning to end and the results keep their order, so that the number of
cores changes the time but not the result. Some cores stay idle if all of them would need too much memory.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import threadpoolctl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MEMORY = 1e9
"""Memory limit of all parallel workers together, in bytes."""

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def width(each: float) -> int:
    """The number of parallel workers for work that needs ``each`` bytes."""
    return min(cores(), max(1, int(MEMORY / max(each, 1.0))))


@contextmanager
def alone() -> Iterator[None]:
    """Limit NumPy's matrix products to one thread each.

    On matrices of this size, several threads wait longer than they compute, and sums would depend on their number.
    """
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield


def over(work: Callable[[T], R], items: Sequence[T], each: float = 0.0) -> Iterable[R]:
    """Yield the result of ``work`` (about ``each`` bytes) for each item, in order."""
    count = min(width(each), len(items))
    if count <= 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(count) as pool:
        try:
            yield from pool.map(work, items)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
