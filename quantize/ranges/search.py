"""Which ranges are best is measured: candidates are simulated on photos that they were not taken from.

Every int8 activation is quantized and the weights stay as they are, so that what is compared is the ranges alone. The
measure is the PSNR of the network's output to that of the float network.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.graph import feeds
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.protocols import no_progress
from clearport.quantize import footprint, qdq, scheme
from clearport.quantize.calibration import observers, parallel, photos
from clearport.quantize.measure import Measure
from clearport.quantize.placement import floats as placement
from clearport.quantize.ranges import constrain
from clearport.quantized import QuantizedGraph, ScaleTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clearport.base import Array, Graph
    from clearport.graph.feeds import Feed
    from clearport.protocols import Progress
    from clearport.quantize.calibration.observers import Range
    from clearport.quantize.calibration.survey import Observed
    from clearport.quantize.placement.fold import Folded
    from clearport.quantized import QParams

TRIALS = 64
"""Simulations that may be spent on single tensors; large networks stop there, or at ``SEARCH_COST``."""

SEARCH_COST = 2e11
"""Units (``cost``) that may be spent on single tensors: one to two seconds of a core. MobileDerain, stopped at a sixth
of it, had 5 dB less on its worst picture (heavy rain widens ranges that the photos hardly show)."""

TRIAL_COST = 4e9
"""Units that one simulation may take: for larger networks smaller parts of the photos are judged, then fewer photos."""

TRIAL_PIXELS = 74_000
"""But so many pixels are judged, eight crops of 96x96, where they take no more than ``MOST_TRIAL_COST``."""

MOST_TRIAL_COST = 5e10
"""Units that one simulation of a very large network may take."""

PROMISING = 2
"""So many calibrators are simulated where what errors cost is known beforehand: those that promise most."""

_FACTORS = (0.8003, 1.2505)
"""Factors of ranges. Simple ones would make halves of an aligned operand's levels, 5/4 of each fourth, which runtimes
round differently: half a level of MobileDerain's picture came of it."""
_WORTH_DB = 0.01
_FEWEST = 2
_ALIGNED = "aligned"
_SIDES = (128, 96, 64)
"""Photos are judged on a crop of so many pixels a side, where the graph can run on it."""


@dataclass(frozen=True)
class Choice:
    """How to get ranges from what was observed, and how good they were.

    Attributes:
        calibrator: a key of ``observers.CALIBRATORS``.
        adjusted: tensor -> what is done to its range after that: a factor such as ``x0.8003``, or ``aligned``.
        psnr_db: the simulated output against the float network's.
        trials: simulations that were spent on ``adjusted``.
    """

    calibrator: str
    adjusted: Mapping[str, str] = field(default_factory=dict)
    psnr_db: float = -np.inf
    trials: int = 0

    def ranges(self, folded: Folded, observed: Mapping[str, Observed]) -> dict[str, Range]:
        """The ranges that this choice makes of an observation."""
        base = {tensor: observers.CALIBRATORS[self.calibrator](seen) for tensor, seen in observed.items()}
        return adjust(folded, base, self.adjusted)


@dataclass(frozen=True)
class Split:
    """Ranges are taken from what was ``observed`` on some photos, and judged on ``inputs``, which are others."""

    observed: Mapping[str, Observed]
    inputs: Sequence[Feed]


class Bench:
    """Photos that tables are judged on: what each split sets aside, and the same at half the size, which is sharper.

    Args:
        graph: the float network, not equalized: what is judged is compared with it.
        work: units of ``cost`` that it takes for a pixel of its input.
        weighed: whether what was observed has the weights of ``sensitivity``: what errors cost is then foretold.
    """

    def __init__(self, graph: Graph, splits: Sequence[Split], work: float, *, weighed: bool = False) -> None:
        self.graph, self.splits, self.weighed = graph, splits, weighed
        self.photos = _affordable(graph, splits, work)
        self.cost = work * sum(feeds.area(feed) for each in self.photos for feed in each)
        reference: Any = graphs.session(graph.model)
        self.memory = footprint.running(graph, [feed for each in self.photos for feed in each])
        self.wanted: list[list[list[Array]]] = [
            list(parallel.over(lambda feed: reference.run(None, feed), each, self.memory)) for each in self.photos
        ]
        self.measure = Measure.of(graph, [outputs for each in self.wanted for outputs in each])

    def psnr_db(self, given: Sequence[Array], wanted: Sequence[Array]) -> float:
        """Of the outputs for one feed to the float network's."""
        return self.measure.psnr_db(self.measure.error(given, wanted))


def _affordable(graph: Graph, splits: Sequence[Split], work: float) -> list[list[Feed]]:
    """The photos of each split, cut until one simulation takes ``TRIAL_COST``, or ``TRIAL_PIXELS`` are left."""
    whole = [[*s.inputs, *photos.halved(graph, s.inputs)] for s in splits]
    most = max(TRIAL_COST, min(TRIAL_PIXELS * work, MOST_TRIAL_COST))
    for side in _SIDES:
        cut = [photos.cropped(graph, each, side) for each in whole]
        price = work * sum(feeds.area(feed) for each in cut for feed in each)
        if price <= most:
            return cut
    counts = [min(len(each), max(_FEWEST, int(most / price * len(each)))) for each in cut]
    return [[each[i * len(each) // n] for i in range(n)] for each, n in zip(cut, counts, strict=True)]


class Judge:
    """Simulates scale tables of one folded graph against the float network of a bench."""

    def __init__(self, bench: Bench, folded: Folded) -> None:
        self.bench, self.folded = bench, folded
        self._bases: dict[tuple[str, int], dict[str, Range]] = {}
        example = constrain.activations(folded, self.base("min-max", 0))
        free = qdq.with_free_scales(QuantizedGraph(folded.graph, ScaleTable(example)))
        self._session: Any = graphs.session(free)

    def __call__(self, choice: Choice) -> float:
        """PSNR in dB, the mean over the photos: one that is hard for every table does not decide alone."""
        return self.mean([self.of_split(choice, number) for number in range(len(self.bench.splits))])

    def mean(self, scores: Sequence[float]) -> float:
        """Over the photos, from the means of the splits."""
        return float(np.average(scores, weights=[len(each) for each in self.bench.photos]))

    def of_split(self, choice: Choice, number: int) -> float:
        """The mean over the photos of one split."""
        ranges = adjust(self.folded, self.base(choice.calibrator, number), choice.adjusted)
        given = qdq.parameters(constrain.activations(self.folded, ranges))
        pairs = list(zip(self.bench.photos[number], self.bench.wanted[number], strict=True))

        def score(pair: tuple[Feed, Sequence[Array]]) -> float:
            return self.bench.psnr_db(self._session.run(None, {**pair[0], **given}), pair[1])

        return float(np.mean(list(parallel.over(score, pairs, self.bench.memory))))

    def foretold(self, choice: Choice) -> dict[str, float]:
        """What rounding each tensor costs by its weights, on photos that its range was not taken from."""
        found: dict[str, float] = {}
        for number in range(len(self.bench.splits)):
            ranges = adjust(self.folded, self.base(choice.calibrator, number), choice.adjusted)
            others = self.bench.splits[-1 - number].observed
            for tensor, error in errors(self.folded, constrain.activations(self.folded, ranges), others).items():
                found[tensor] = found.get(tensor, 0.0) + error / len(self.bench.splits)
        return found

    def base(self, calibrator: str, number: int) -> dict[str, Range]:
        """The ranges that a calibrator makes of a split, before any adjustment."""
        if (calibrator, number) not in self._bases:
            found = Choice(calibrator).ranges(self.folded, self.bench.splits[number].observed)
            self._bases[calibrator, number] = found
        return self._bases[calibrator, number]


def best_calibrator(judge: Judge, calibrators: Sequence[str], progress: Progress = no_progress) -> Choice:
    """The calibrator with the highest PSNR, of those that promise most where that is known; the first of equals."""
    if judge.bench.weighed:
        calibrators = sorted(calibrators, key=lambda name: sum(judge.foretold(Choice(name)).values()))[:PROMISING]
    choices: list[Choice] = []
    for done, name in enumerate(calibrators):
        progress("choosing the calibrator", done, len(calibrators))
        choices.append(Choice(name, psnr_db=judge(Choice(name))))
    return max(choices, key=lambda choice: choice.psnr_db)


def refine(judge: Judge, choice: Choice, progress: Progress = no_progress) -> Choice:
    """Widen, narrow or align the range of one tensor after another, as long as the output gets better.

    What makes it worse on the first split of the photos is not tried on the others: that is most of what is tried.
    Where what errors cost is known, each tensor gets what is best by that, and all are tried at once.
    """
    if judge.bench.weighed:
        return _refined(judge, choice)
    base = judge.base(choice.calibrator, 0)
    trials = min(TRIALS, int(SEARCH_COST / judge.bench.cost))
    scores = [judge.of_split(choice, number) for number in range(len(judge.bench.splits))]
    for tensor, what in _tries(judge.folded, base):
        if choice.trials >= trials:
            return choice
        progress("searching ranges", choice.trials, trials)
        tried = replace(choice, adjusted={**choice.adjusted, tensor: what}, trials=choice.trials + 1)
        found = _scored(judge, tried, scores)
        if found is None:
            choice = replace(choice, trials=tried.trials)
        else:
            choice, scores = replace(tried, psnr_db=judge.mean(found)), found
    return choice


def _tries(folded: Folded, base: Mapping[str, Range]) -> Iterator[tuple[str, str]]:
    """Tensors and what may be done to their ranges: first what spares a rounding."""
    for aligned in (True, False):
        for tensor in base:
            yield from ((tensor, what) for what in _adjustments(folded, base, tensor) if (what == _ALIGNED) == aligned)


def _refined(judge: Judge, choice: Choice) -> Choice:
    """Each tensor's range widened or narrowed as its weights have it, if that is measured to be better."""
    least, adjusted = judge.foretold(choice), dict(choice.adjusted)
    for factor in _FACTORS:
        what = dict.fromkeys(judge.base(choice.calibrator, 0), f"x{factor:g}")
        for tensor, error in judge.foretold(replace(choice, adjusted=what)).items():
            if error < least[tensor]:
                least[tensor], adjusted[tensor] = error, what[tensor]
    if adjusted == choice.adjusted:
        return choice
    tried = replace(choice, adjusted=adjusted, trials=1)
    tried = replace(tried, psnr_db=judge(tried))
    return tried if tried.psnr_db > choice.psnr_db else choice


def errors(folded: Folded, entries: Mapping[str, QParams], observed: Mapping[str, Observed]) -> dict[str, float]:
    """What rounding each value of the float network costs by its weights; movers write what is rounded already."""
    writers = {graphs.name_of(node.outputs[0]): table.of(node) for node in folded.graph.model.graph}
    found: dict[str, float] = {}
    for name, params in entries.items():
        tensor = folded.observed[name]
        if name in writers and not writers[name].moves_data:
            ends = scheme.to_real(np.array([scheme.LOW, scheme.HIGH]), params)
            found[tensor] = max(found.get(tensor, 0.0), float(observers.squared_error(observed[tensor], *ends)))
    return found


def _scored(judge: Judge, tried: Choice, best: Sequence[float]) -> list[float] | None:
    """Per-split scores, or None if the trial does not beat the best."""
    found: list[float] = []
    for number in range(len(best)):
        found.append(judge.of_split(tried, number))
        if found[0] <= best[0]:
            return None
    return found if judge.mean(found) > judge.mean(best) + _WORTH_DB else None


def adjust(folded: Folded, base: Mapping[str, Range], adjusted: Mapping[str, str]) -> dict[str, Range]:
    """The ranges after the adjustments of a choice."""
    return {tensor: _adjust(folded, base, tensor, adjusted.get(tensor, "x1")) for tensor in base}


def _adjust(folded: Folded, base: Mapping[str, Range], tensor: str, what: str) -> Range:
    if what == _ALIGNED:
        return _align(folded, base, tensor)
    low, high = base[tensor]
    return low * float(what[1:]), high * float(what[1:])


def _adjustments(folded: Folded, base: Mapping[str, Range], tensor: str) -> list[str]:
    """What may be done to a range; nothing where it has no effect, since the scale is fixed by something else."""
    low, high = base[tensor]
    entries = constrain.activations(folded, base)
    if entries == constrain.activations(folded, {**base, tensor: (low * 8.0 - 1.0, high * 8.0 + 1.0)}):
        return []
    return [*([_ALIGNED] if _sums(folded, tensor) else []), *(f"x{factor:g}" for factor in _FACTORS)]


def _sums(folded: Folded, tensor: str) -> list[str]:
    """The outputs of the additions that ``tensor`` goes into."""
    return [
        graphs.name_of(node.outputs[0])
        for node in folded.graph.model.graph
        if table.of(node).combines == "sum"
        and folded.is_int8(node)
        and tensor in {folded.observed[graphs.name_of(v)] for v in placement.data_inputs(node)}
    ]


def _align(folded: Folded, base: Mapping[str, Range], tensor: str) -> Range:
    """The range that has the scale of the sum that ``tensor`` goes into: adding is then exact, without rounding."""
    low, high = base[tensor]
    sums = _sums(folded, tensor)
    if not sums:  # the sum stays in float here, though not where this was chosen
        return low, high
    step = constrain.activations(folded, base)[sums[0]].scale[0]
    below = round(min(max(255 / 2 - (low + high) / (2 * step), 0), 255)) if low < 0 else 0
    return -below * step, (255 - below) * step
