"""The choice of optional float layers, by measured quality and cost.

Quality is that of the QDQ form with rounded weights against the float network, on photos not used for its ranges. Its
benefit is the loss against ground truth that such an error causes. Its cost is the added time, valued by the gain of a
larger network in the same time (``terms``). Up to an acceptable loss nothing is float by choice, so that int8-only NPUs
run the whole network.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from clearport.graph import nodes as graphs
from clearport.protocols import no_progress
from clearport.quantize.placement import errors, float_regions, fold
from clearport.quantize.placement import floats as placement
from clearport.quantize.placement.terms import TERMS, Terms
from clearport.quantize.ranges import search
from clearport.quantize.weights import arrays as weights
from clearport.quantize.weights.rounding import Rounded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from clearport.base import Array, Graph, Task
    from clearport.protocols import Progress
    from clearport.quantize.placement.fold import Folded
    from clearport.quantize.ranges.search import Bench, Choice

_T = TypeVar("_T")

TYPICAL_DB: Mapping[Task, float] = {
    "super-resolution": 31.0,
    "deraining": 31.0,
    "low-light": 21.5,
    "hdr": 40.0,
    "watermarking": 40.0,
    "translation": 21.5,
    "generation": 31.0,
    "matting": 25.0,
    "inversion": 31.0,
    "other": 31.0,
}
"""Typical PSNR to ground truth of a restored picture (x3, Rain100L, SICE, synthetic brackets), before int8 errors."""

NO_PICTURE_DB = 20.0
"""The same for outputs other than pictures (logits, depth, flow), whose spans are four standard deviations: the
networks' own relative error is a tenth or more. An SQNR of 24 dB is then bearable."""

MOST_FLOAT = 0.6
"""The maximum share of multiply-accumulates in float by choice: with more, a network is not int8."""

LAST = 3
"""The maximum number of convolutions in a tail."""

_LEAST_NOISE = 0.2
"""The share of its error that a network keeps at least, in predictions, when one more value becomes float."""


@dataclass(frozen=True)
class Mixed:
    """The nodes that are float by choice: a ``tail`` before the output, and single ``layers``.

    ``psnr_db`` is the resulting quality, ``loss_db`` the loss against ground truth, and ``share`` the share of
    multiply-accumulates that are float by choice.
    """

    tail: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    psnr_db: float = -np.inf
    loss_db: float = np.inf
    share: float = 0.0

    @property
    def chosen(self) -> frozenset[str]:
        return frozenset(self.tail) | frozenset(self.layers)


@dataclass(frozen=True)
class Trial:
    """The state shared by all trials of placements.

    Attributes:
        graph: the float network, equalized.
        bounds: minimum and maximum of each of its values.
        choice: the method of range selection.
        arrays: the rounded constants with as much as possible in int8.
        base: the mandatory float nodes.
        known: ``floats.Placement`` of ``graph``.
        macs: node -> its multiply-accumulates.
        task: the network's task.
        terms: the exchange rate of quality and time.
        cached: placement -> its measured quality.
    """

    graph: Graph
    bench: Bench
    bounds: float_regions.Bounds
    choice: Choice
    arrays: Mapping[str, Array]
    base: frozenset[str]
    known: placement.Placement
    macs: Mapping[str, float]
    task: Task | None = "super-resolution"
    terms: Terms = TERMS["balanced"]
    cached: dict[frozenset[str], float] = field(default_factory=dict)

    def placed(self, chosen: Collection[str]) -> frozenset[str]:
        """All float nodes if ``chosen`` are."""
        return self.known.floats(self.base | set(chosen))

    def psnr_db(self, chosen: Collection[str]) -> float:
        """The quality with ``chosen`` in float."""
        floats = self.placed(chosen)
        if floats not in self.cached:
            folded = lowered(self.graph, floats, self.bounds)
            self.cached[floats] = search.Judge(self.bench, rounded(folded, self.arrays))(self.choice)
        return self.cached[floats]

    def share(self, chosen: Collection[str]) -> float:
        """Share of the multiply-accumulates that are float because of ``chosen``."""
        extra = self.placed(chosen) - self.base
        return sum(self.macs.get(name, 0.0) for name in sorted(extra)) / max(1.0, sum(self.macs.values()))

    def mixed(self, tail: Collection[str], layers: Collection[str] = ()) -> Mixed:
        """A placement with its quality and its price."""
        chosen = {*tail, *layers}
        names = (_ordered(self.graph, tail), _ordered(self.graph, layers))
        psnr_db = self.psnr_db(chosen)
        return Mixed(*names, psnr_db, loss_db(psnr_db, self.task), self.share(chosen))


def loss_db(psnr_db: float, task: Task | None) -> float:
    """Loss in dB that an int8 error of ``psnr_db`` causes for a picture at ``TYPICAL_DB``: squared errors add.

    None stands for networks without a picture output.
    """
    typical = NO_PICTURE_DB if task is None else TYPICAL_DB[task]
    return float(10 * np.log10(1 + 10 ** ((typical - psnr_db) / 10)))


def lowered(graph: Graph, floats: frozenset[str], bounds: float_regions.Bounds) -> Folded:
    """The graph as it will be quantized, with ``floats`` in float."""
    return float_regions.run(fold.run(graph, floats), bounds)


def rounded(folded: Folded, arrays: Mapping[str, Array]) -> Folded:
    """The folded graph with rounded constants where it computes in int8."""
    return replace(folded, graph=weights.replaced(folded.graph, _used(folded, arrays)))


def kept(folded: Folded, everything: Rounded) -> Rounded:
    """The rounded constants that int8 operators read."""
    return Rounded(_used(folded, everything.arrays), _used(folded, everything.entries))


def _used(folded: Folded, named: Mapping[str, _T]) -> dict[str, _T]:
    int8 = [node for node in folded.graph.model.graph if folded.is_int8(node)]
    names = {value.name for node in int8 for value in node.inputs if value is not None}
    return {name: what for name, what in named.items() if name in names}


def choose(trial: Trial, progress: Progress = no_progress) -> Mixed:
    """The smallest worthwhile float part: a tail, and if the loss is still high, the most sensitive layers."""
    best, terms = trial.mixed(()), trial.terms
    if best.loss_db <= terms.bearable_db:
        return best
    tails = placement.tails(trial.graph, LAST)
    for done, tail in enumerate(tails):
        progress("trying float layers before the output", done, len(tails))
        if trial.share(tail) <= MOST_FLOAT:
            found = trial.mixed(tail)
            best = found if pays(terms, best, found) else best
    return best if best.loss_db <= terms.bad_db else _layers(trial, best, progress)


def _layers(trial: Trial, best: Mixed, progress: Progress) -> Mixed:
    """Make values float, in order of error per cost, until the network is good enough.

    As many at once as the predicted errors require; then the quality is measured.
    """
    terms, costs = trial.terms, _errors(trial, trial.placed(best.tail), progress)
    around = _around(trial.graph)
    waiting = ranked(terms, costs, {name: trial.share(around[name]) for name in costs})[: 2 * terms.rounds]
    for done in range(terms.rounds):
        progress("trying single layers in float", done, terms.rounds)
        taken = _enough(trial, best, waiting, costs, around) if best.loss_db > terms.bad_db else []
        if not taken:
            break
        wanted = best.chosen.union(*(around[name] for name in taken))
        found = trial.mixed(best.tail, wanted - set(best.tail))
        best = found if best.loss_db - found.loss_db >= terms.layer_worth_db else best
        waiting = [name for name in waiting if name not in taken]
    return best


def _enough(
    trial: Trial, best: Mixed, waiting: Sequence[str], costs: Mapping[str, float], around: Mapping[str, set[str]]
) -> list[str]:
    """The first of ``waiting`` that together reduce the loss to a bearable one, each with enough gain."""
    whole = trial.bench.measure.spans[0] ** 2
    noise, taken, wanted = 10 ** (-best.psnr_db / 10), list[str](), best.chosen
    for name in waiting:
        more = wanted | around[name]
        less = max(noise - costs[name] / whole, _LEAST_NOISE * noise)
        before, after = (loss_db(-10 * float(np.log10(each)), trial.task) for each in (noise, less))
        if before <= trial.terms.bad_db:
            break
        if more != wanted and before - after >= trial.terms.layer_worth_db and trial.share(more) <= MOST_FLOAT:
            noise, wanted = less, more
            taken.append(name)
    return taken


def ranked(terms: Terms, errors: Mapping[str, float], shares: Mapping[str, float]) -> list[str]:
    """Values by error removed per cost: a layer of few channels comes before a larger one."""
    return sorted(errors, key=lambda name: -errors[name] / terms.price_db(shares[name]))


def pays(terms: Terms, before: Mixed, after: Mixed) -> bool:
    """Whether the gain of more float exceeds its cost."""
    more = terms.price_db(after.share) - (terms.price_db(before.share) if before.chosen else 0.0)
    return before.loss_db - after.loss_db >= max(terms.worth_db, more)


def _around(graph: Graph) -> dict[str, set[str]]:
    """The nodes that must be float to leave each value unrounded: its producer and its consumers."""
    return {
        graphs.name_of(value): {
            placement.name_of(node) for node in (value.producer(), *graphs.consumers(value)) if node is not None
        }
        for value in graphs.values(graph)
    }


def _errors(trial: Trial, floats: frozenset[str], progress: Progress) -> dict[str, float]:
    return errors.of(trial.bench, lowered(trial.graph, floats, trial.bounds), trial.choice, progress)


def _ordered(graph: Graph, names: Collection[str]) -> tuple[str, ...]:
    found: Sequence[str] = [placement.name_of(node) for node in graph.model.graph]
    return tuple(name for name in found if name in names)
