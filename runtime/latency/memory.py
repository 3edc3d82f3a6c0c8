"""How much memory workers hold that are loaded together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Memory:
    """What a worker holds between its turns, and at most within one, in MiB."""

    idle_mib: float
    peak_mib: float


def memory_of(facts: Mapping[str, Any]) -> Memory:
    """From what a worker tells; 0 where its system does not."""
    peak = float(facts.get("peak_memory_mib") or 0.0)
    return Memory(float(facts.get("memory_mib") or peak), peak)


def together_mib(workers: Sequence[Memory]) -> float:
    """All of them at most: only one at a time has its turn."""
    return sum(w.idle_mib for w in workers) + max((w.peak_mib - w.idle_mib for w in workers), default=0.0)
