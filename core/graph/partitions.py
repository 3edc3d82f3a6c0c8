"""Number of partitions of a graph on an accelerator that supports some of its operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from collections.abc import Set as AbstractSet

    Edge = tuple[AbstractSet[Hashable], AbstractSet[Hashable]]


def parts(edges: Sequence[Edge], taken: Sequence[bool]) -> list[tuple[bool, list[int]]]:
    """(taken, operators): TFLite's partitioning: all ready operators of one kind form one partition.

    ``edges`` are each operator's inputs and outputs, in execution order.
    """
    written = {value for _, outputs in edges for value in outputs}
    waiting = list(range(len(edges)))
    found: list[tuple[bool, list[int]]] = []
    while waiting:
        kind = next(taken[i] for i in waiting if not edges[i][0] & written)
        part = _ready(edges, taken, waiting, written, kind)
        done = set(part)
        waiting = [i for i in waiting if i not in done]
        found.append((kind, part))
    return found


def count(edges: Sequence[Edge], taken: Sequence[bool]) -> int:
    """Number of accelerator partitions, each with a round trip."""
    return sum(kind for kind, _ in parts(edges, taken))


def _ready(
    edges: Sequence[Edge], taken: Sequence[bool], waiting: Sequence[int], written: set[Hashable], kind: bool
) -> list[int]:
    """Operators of one kind whose inputs are available, in order; their outputs are removed from ``written``
    (pending).
    """
    part: list[int] = []
    for index in waiting:
        reads, writes = edges[index]
        if taken[index] is kind and not reads & written:
            part.append(index)
            written -= writes
    return part
