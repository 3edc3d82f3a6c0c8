"""Which layers stay in float beyond those that must: decided by measured quality, and only where it pays.

What is measured is the QDQ form with its rounded weights, on photos that its ranges were not taken from, against the
float network. What it is worth is told by the loss against ground truth that such an error causes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from clearport import graphs
from clearport.base import QuantizedGraph, ScaleTable
from clearport.quantize import cost, fold, islands, legalise, placement, qdq, search, weights
from clearport.quantize.rounding import Rounded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from clearport.base import Array, Graph
    from clearport.quantize.fold import Folded
    from clearport.quantize.search import Bench, Choice

_T = TypeVar("_T")

TYPICAL_DB = 31.0
"""PSNR to ground truth of a restored picture (x3 super-resolution, deraining): the error that int8's own adds to."""

WORTH_DB = 0.02
"""Float layers must spare this much loss against ground truth. So 50 dB is never improved on and 46 dB by 0.7 dB."""

BAD_DB = 0.25
"""Above this loss (43.3 dB) single layers are tried: networks are to lose 0.3 dB at most."""

MOST_FLOAT = 0.6
"""Share of the multiply-accumulates that may be in float by choice: more is no int8 network."""

LAST = 3
"""Tails reach at most so many convolutions back."""

ROUNDS = 8
"""How many values may be made float one after another."""

PROBE_COST = 3e11
"""Units (``cost``) that finding the costliest values may take: about 8 seconds of one core."""


@dataclass(frozen=True)
class Mixed:
    """Which nodes are float by choice: a ``tail`` before the output, and single ``layers``; how good that is."""

    tail: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    psnr_db: float = -np.inf

    @property
    def chosen(self) -> frozenset[str]:
        return frozenset(self.tail) | frozenset(self.layers)


@dataclass(frozen=True)
class Trial:
    """What stays the same while placements are tried.

    Attributes:
        graph: the float network, equalised.
        bounds: least and largest number of each of its values.
        choice: how ranges are made.
        arrays: the rounded constants where as much as possible is int8.
        base: the nodes that are float in any case.
        cached: placement -> its quality, so that nothing is measured twice.
    """

    graph: Graph
    bench: Bench
    bounds: islands.Bounds
    choice: Choice
    arrays: Mapping[str, Array]
    base: frozenset[str]
    cached: dict[frozenset[str], float] = field(default_factory=dict)

    def placed(self, chosen: Collection[str]) -> frozenset[str]:
        """All float nodes if ``chosen`` are."""
        return placement.floats(self.graph, self.base | set(chosen))

    def psnr_db(self, chosen: Collection[str]) -> float:
        """The quality with ``chosen`` in float."""
        floats = self.placed(chosen)
        if floats not in self.cached:
            folded = lowered(self.graph, floats, self.bounds)
            self.cached[floats] = search.Judge(self.bench, rounded(folded, self.arrays))(self.choice)
        return self.cached[floats]

    def affordable(self, chosen: Collection[str]) -> bool:
        """Whether int8 is left with enough to do."""
        everything = {placement.name_of(node) for node in self.graph.model.graph}
        return cost.macs(self.graph, self.placed(chosen) - self.base) <= MOST_FLOAT * cost.macs(self.graph, everything)


def loss_db(psnr_db: float) -> float:
    """What an int8 error of ``psnr_db`` takes from a picture that has ``TYPICAL_DB``: squared errors add."""
    return float(10 * np.log10(1 + 10 ** ((TYPICAL_DB - psnr_db) / 10)))


def lowered(graph: Graph, floats: frozenset[str], bounds: islands.Bounds) -> Folded:
    """The graph as it will be quantized, with ``floats`` in float."""
    return islands.run(fold.run(graph, floats), bounds)


def rounded(folded: Folded, arrays: Mapping[str, Array]) -> Folded:
    """The folded graph with rounded constants where it computes in int8."""
    return replace(folded, graph=weights.replaced(folded.graph, _used(folded, arrays)))


def kept(folded: Folded, everything: Rounded) -> Rounded:
    """Of rounded constants those that an int8 operator reads."""
    return Rounded(_used(folded, everything.arrays), _used(folded, everything.entries))


def _used(folded: Folded, named: Mapping[str, _T]) -> dict[str, _T]:
    int8 = [node for node in folded.graph.model.graph if folded.is_int8(node)]
    names = {value.name for node in int8 for value in node.inputs if value is not None}
    return {name: what for name, what in named.items() if name in names}


def choose(trial: Trial) -> Mixed:
    """The least float that is worth it: a tail, and where that is still bad, the layers that cost most."""
    best = Mixed(psnr_db=trial.psnr_db(()))
    if loss_db(best.psnr_db) < WORTH_DB:
        return best
    for tail in placement.tails(trial.graph, LAST):
        if trial.affordable(tail):
            found = Mixed(tail=_ordered(trial.graph, tail), psnr_db=trial.psnr_db(tail))
            best = found if _spared(best, found) >= WORTH_DB else best
    return best if loss_db(best.psnr_db) <= BAD_DB else _layers(trial, best)


def _layers(trial: Trial, best: Mixed) -> Mixed:
    """Make one value after another float, the costliest first, while it pays and is allowed."""
    tail, chosen = best.tail, set(best.tail)
    for name in _costliest(trial, trial.placed(chosen)):
        node_names = _around(trial.graph, name)
        if node_names <= chosen or not trial.affordable(chosen | node_names):
            continue
        chosen |= node_names
        found = Mixed(tail, _ordered(trial.graph, chosen - set(tail)), trial.psnr_db(chosen))
        best = found if _spared(best, found) >= WORTH_DB else best
        if loss_db(best.psnr_db) <= BAD_DB:
            break
    return best


def _spared(before: Mixed, after: Mixed) -> float:
    return loss_db(before.psnr_db) - loss_db(after.psnr_db)


def _around(graph: Graph, name: str) -> set[str]:
    """The nodes that must be float for a value not to be rounded: its writer and its readers."""
    value = next(v for v in graphs.values(graph) if v.name == name)
    writer = value.producer()
    return {placement.name_of(node) for node in (*([writer] if writer else []), *graphs.consumers(value))}


def _costliest(trial: Trial, floats: frozenset[str]) -> list[str]:
    """Values of the float network, by the error of the output if that value alone is rounded; the largest first."""
    folded = lowered(trial.graph, floats, trial.bounds)
    split = trial.bench.splits[0]
    entries = legalise.activations(folded, trial.choice.ranges(folded, split.observed))
    session = graphs.session(qdq.with_switches(QuantizedGraph(folded.graph, ScaleTable(entries))))
    source = trial.bench.graph.input.name
    photos, wanted = trial.bench.photos[0], trial.bench.wanted[0]
    names = [name for name in entries if name != source and folded.observed[name] not in (source,)]
    count = max(1, min(len(photos), int(PROBE_COST / max(1, len(names)) / (trial.bench.cost / _count(trial.bench)))))
    errors: dict[str, float] = {}
    for name in names:
        given = {f"{other}.on": np.array(other == name) for other in entries}
        outs = [session.run(None, {source: image, **given})[0] for image in photos[:count]]
        missed = [float(np.square(out - want).mean()) for out, want in zip(outs, wanted, strict=False)]
        key = folded.observed[name]
        errors[key] = max(errors.get(key, 0.0), float(np.mean(missed)))
    return sorted(errors, key=lambda name: -errors[name])[: 2 * ROUNDS]


def _count(bench: Bench) -> int:
    return sum(len(each) for each in bench.photos)


def _ordered(graph: Graph, names: Collection[str]) -> tuple[str, ...]:
    found: Sequence[str] = [placement.name_of(node) for node in graph.model.graph]
    return tuple(name for name in found if name in names)
