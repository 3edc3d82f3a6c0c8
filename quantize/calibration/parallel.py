"""The same work for several photos, on all cores.

Every photo is computed by one thread from beginning to end and the results keep their order, so that the number of
cores changes the time and no number. Where many cores would take too much memory, some stay idle.
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
"""Bytes that all lanes together may take, however many cores there are."""

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def width(each: float) -> int:
    """How many lanes there are for work that takes ``each`` bytes."""
    return min(cores(), max(1, int(MEMORY / max(each, 1.0))))


@contextmanager
def alone() -> Iterator[None]:
    """NumPy's matrix products take one thread each.

    Several wait for each other longer than they compute, on matrices of this size, and their sums would depend on how
    many there are.
    """
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield


def over(work: Callable[[T], R], items: Sequence[T], each: float = 0.0) -> Iterable[R]:
    """What ``work``, which takes about ``each`` bytes, gives for each item, in order, as it comes."""
    count = min(width(each), len(items))
    if count <= 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(count) as pool:
        try:
            yield from pool.map(work, items)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
