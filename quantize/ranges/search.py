"""Range search: candidates are simulated on held-out photos.

Every int8 activation is quantized and the weights stay float, so that only ranges are compared, by the PSNR of the
output to the float network's.
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
"""Maximum number of simulations for single tensors; large networks stop there, or at ``SEARCH_COST``."""

SEARCH_COST = 2e11
"""Budget (``cost``) for single tensors: one to two seconds of a core. MobileDerain, stopped at a sixth of it, lost 5 dB
on its worst picture (heavy rain widens ranges that the photos hardly show)."""

TRIAL_COST = 4e9
"""Budget of one simulation: larger networks are judged on smaller crops, then on fewer photos."""

TRIAL_PIXELS = 74_000
"""The minimum number of judged pixels, eight crops of 96x96, as long as they cost at most ``MOST_TRIAL_COST``."""

MOST_TRIAL_COST = 5e10
"""Budget of one simulation of a very large network."""

PROMISING = 2
"""The number of calibrators to simulate if sensitivities are known: the most promising ones."""

_FACTORS = (0.8003, 1.2505)
"""Factors of ranges. Simple fractions would turn an aligned operand's levels into ties (5/4: every
fourth level), which runtimes round differently: half a level of MobileDerain's picture."""
_WORTH_DB = 0.1
"""Minimum gain of an adjustment on each split, in dB: less is chance on so few photos."""
_FEWEST = 2
_ALIGNED = "aligned"
_SIDES = (128, 96, 64)
"""Crop side of judged photos, in pixels, if the graph can run at it."""


@dataclass(frozen=True)
class Choice:
    """A method of range selection, and its measured quality.

    Attributes:
        calibrator: a key of ``observers.CALIBRATORS``.
        adjusted: tensor -> later adjustment of its range: a factor such as ``x0.8003``, or ``aligned``.
        psnr_db: the simulated output against the float network's.
        trials: simulations used for ``adjusted``.
    """

    calibrator: str
    adjusted: Mapping[str, str] = field(default_factory=dict)
    psnr_db: float = -np.inf
    trials: int = 0

    def ranges(self, folded: Folded, observed: Mapping[str, Observed]) -> dict[str, Range]:
        """The ranges of this choice for an observation."""
        base = {tensor: observers.CALIBRATORS[self.calibrator](seen) for tensor, seen in observed.items()}
        return adjust(folded, base, self.adjusted)


@dataclass(frozen=True)
class Split:
    """A split: ranges come from statistics ``observed`` on some photos and are judged on other photos, ``inputs``."""

    observed: Mapping[str, Observed]
    inputs: Sequence[Feed]


class Bench:
    """The photos that judge tables: the held-out ones of each split, also at half size, which is sharper.

    Args:
        graph: the float network, not equalized, as the reference.
        work: its ``cost`` per input pixel.
        weighed: whether observations have the weights of ``sensitivity``, from which errors are predicted.
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
        """PSNR of the outputs for one feed to the float network's."""
        return self.measure.psnr_db(self.measure.error(given, wanted))


def _affordable(graph: Graph, splits: Sequence[Split], work: float) -> list[list[Feed]]:
    """The photos of each split, cropped until one simulation costs ``TRIAL_COST``, or to ``TRIAL_PIXELS``."""
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
        """PSNR in dB, the mean over the photos, so that no single hard photo decides."""
        return self.mean([self.of_split(choice, number) for number in range(len(self.bench.splits))])

    def mean(self, scores: Sequence[float]) -> float:
        """Mean over the photos, from the means of the splits."""
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
        """Predicted cost of rounding each tensor, on held-out photos."""
        found: dict[str, float] = {}
        for number in range(len(self.bench.splits)):
            ranges = adjust(self.folded, self.base(choice.calibrator, number), choice.adjusted)
            others = self.bench.splits[-1 - number].observed
            for tensor, error in errors(self.folded, constrain.activations(self.folded, ranges), others).items():
                found[tensor] = found.get(tensor, 0.0) + error / len(self.bench.splits)
        return found

    def base(self, calibrator: str, number: int) -> dict[str, Range]:
        """A calibrator's ranges for a split, before any adjustment."""
        if (calibrator, number) not in self._bases:
            found = Choice(calibrator).ranges(self.folded, self.bench.splits[number].observed)
            self._bases[calibrator, number] = found
        return self._bases[calibrator, number]


def best_calibrator(judge: Judge, calibrators: Sequence[str], progress: Progress = no_progress) -> Choice:
    """The calibrator with the highest PSNR, among the most promising ones if known; the first of equals."""
    if judge.bench.weighed:
        calibrators = sorted(calibrators, key=lambda name: sum(judge.foretold(Choice(name)).values()))[:PROMISING]
    choices: list[Choice] = []
    for done, name in enumerate(calibrators):
        progress("choosing the calibrator", done, len(calibrators))
        choices.append(Choice(name, psnr_db=judge(Choice(name))))
    return max(choices, key=lambda choice: choice.psnr_db)


def refine(judge: Judge, choice: Choice, progress: Progress = no_progress) -> Choice:
    """Widen, narrow or align the range of one tensor after another, as long as the output improves.

    Trials that are worse on the first split skip the other splits: that is most of them. If sensitivities are known,
    each tensor gets its predicted best, and all are tried at once.
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
    """Tensors and their possible adjustments, those that avoid a rounding first."""
    for aligned in (True, False):
        for tensor in base:
            yield from ((tensor, what) for what in _adjustments(folded, base, tensor) if (what == _ALIGNED) == aligned)


def _refined(judge: Judge, choice: Choice) -> Choice:
    """Each tensor's range adjusted to its predicted best, if measurement confirms it."""
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
    """Predicted cost of rounding each value of the float network; quantization-agnostic operators add none."""
    writers = {graphs.name_of(node.outputs[0]): table.of(node) for node in folded.graph.model.graph}
    found: dict[str, float] = {}
    for name, params in entries.items():
        tensor = folded.observed[name]
        if name in writers and not writers[name].moves_data:
            ends = scheme.to_real(np.array([scheme.LOW, scheme.HIGH]), params)
            found[tensor] = max(found.get(tensor, 0.0), float(observers.squared_error(observed[tensor], *ends)))
    return found


def _scored(judge: Judge, tried: Choice, best: Sequence[float]) -> list[float] | None:
    """Per-split scores, or None if the trial does not beat the best on every split.

    A gain on only half of the photos is chance: ranges chosen by the mean over all lost IAGC 2 dB on other pictures.
    """
    found: list[float] = []
    for number, least in enumerate(best):
        found.append(judge.of_split(tried, number))
        if found[number] <= least + _WORTH_DB:
            return None
    return found


def adjust(folded: Folded, base: Mapping[str, Range], adjusted: Mapping[str, str]) -> dict[str, Range]:
    """The ranges after the adjustments of a choice."""
    return {tensor: _adjust(folded, base, tensor, adjusted.get(tensor, "x1")) for tensor in base}


def _adjust(folded: Folded, base: Mapping[str, Range], tensor: str, what: str) -> Range:
    if what == _ALIGNED:
        return _align(folded, base, tensor)
    low, high = base[tensor]
    return low * float(what[1:]), high * float(what[1:])


def _adjustments(folded: Folded, base: Mapping[str, Range], tensor: str) -> list[str]:
    """The possible adjustments of a range; none if its scale is fixed otherwise."""
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
    if not sums:  # the sum is float here, but was not when this was chosen
        return low, high
    step = constrain.activations(folded, base)[sums[0]].scale[0]
    below = round(min(max(255 / 2 - (low + high) / (2 * step), 0), 255)) if low < 0 else 0
    return -below * step, (255 - below) * step
