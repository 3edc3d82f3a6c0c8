"""Memory of simultaneously loaded workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Memory:
    """A worker's memory between its turns, and its peak within one, in MiB."""

    idle_mib: float
    peak_mib: float


def memory_of(facts: Mapping[str, Any]) -> Memory:
    """From a worker's facts; 0 if its system does not report memory."""
    peak = float(facts.get("peak_memory_mib") or 0.0)
    return Memory(float(facts.get("memory_mib") or peak), peak)


def together_mib(workers: Sequence[Memory]) -> float:
    """Peak of all workers together: only one at a time runs."""
    return sum(w.idle_mib for w in workers) + max((w.peak_mib - w.idle_mib for w in workers), default=0.0)
