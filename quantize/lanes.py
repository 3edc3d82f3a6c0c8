"""The same work for several photos, on all cores.

Every photo is computed by one thread from beginning to end and the results keep their order, so that the number of
cores changes the time and no number.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def over(work: Callable[[T], R], items: Sequence[T]) -> Iterable[R]:
    """What ``work`` gives for each item, in order, as it comes."""
    width = min(cores(), len(items))
    if width <= 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(width) as pool:
        try:
            yield from pool.map(work, items)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
