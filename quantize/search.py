"""Which ranges are best is measured: candidates are simulated on photos that they were not taken from.

Every activation is quantized and the weights stay float, so that what is compared is the ranges alone. The measure is
the PSNR of the network's output to that of the float network.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport import graphs
from clearport.base import QuantizedGraph, ScaleTable
from clearport.quantize import legalise, observers, photos, qdq

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array, Graph
    from clearport.quantize.calibrate import Observed
    from clearport.quantize.fold import Folded
    from clearport.quantize.observers import Range

TRIALS = 64
"""Simulations that may be spent on single tensors; large networks stop there."""

_FACTORS = (0.8, 1.25)
_WORTH_DB = 0.01
_LEAST_ERROR = 1e-9
_ALIGNED = "aligned"
_SIDE = 128
"""Photos are judged on a crop of this many pixels a side, where the graph can run on it."""


@dataclass(frozen=True)
class Choice:
    """How to get ranges from what was observed, and how good they were.

    Attributes:
        calibrator: a key of ``observers.CALIBRATORS``.
        adjusted: tensor -> what is done to its range after that: a factor such as ``x0.8``, or ``aligned``.
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
    inputs: Sequence[Array]


class Judge:
    """Simulates scale tables of one folded graph against the float graph.

    It does so on the photos that each split sets aside, and on the same at half the size, which are sharper.
    """

    def __init__(self, graph: Graph, folded: Folded, splits: Sequence[Split]) -> None:
        self.folded, self.splits = folded, splits
        self._input = graph.input
        self._photos = [photos.cropped(graph, [*s.inputs, *photos.halved(graph, s.inputs)], _SIDE) for s in splits]
        reference: Any = graphs.session(graph.model)
        self._wanted = [[reference.run(None, {self._input.name: x})[0] for x in each] for each in self._photos]
        example = legalise.activations(folded, self.base("min-max", splits[0]))
        free = qdq.with_free_scales(QuantizedGraph(folded.graph, ScaleTable(example)))
        self._session: Any = graphs.session(free)

    def __call__(self, choice: Choice) -> float:
        """PSNR in dB, the mean over the photos: one that is hard for every table does not decide alone."""
        scores = []
        for split, images, wanted in zip(self.splits, self._photos, self._wanted, strict=True):
            ranges = adjust(self.folded, self.base(choice.calibrator, split), choice.adjusted)
            given = qdq.parameters(legalise.activations(self.folded, ranges))
            scores += [self._psnr_db(image, given, want) for image, want in zip(images, wanted, strict=True)]
        return float(np.mean(scores))

    def _psnr_db(self, image: Array, given: Mapping[str, Array], wanted: Array) -> float:
        out = self._session.run(None, {self._input.name: image, **given})[0]
        error = float(np.square(out - wanted, dtype=np.float64).mean())
        low, high = self._input.value_range
        return float(10 * np.log10((high - low) ** 2 / max(error, _LEAST_ERROR)))

    def base(self, calibrator: str, split: Split) -> dict[str, Range]:
        """The ranges of a calibrator before any adjustment."""
        return Choice(calibrator).ranges(self.folded, split.observed)


def best_calibrator(judge: Judge, calibrators: Sequence[str]) -> Choice:
    """The calibrator with the highest PSNR; the first of equals."""
    choices = [Choice(name) for name in calibrators]
    return max((replace(c, psnr_db=judge(c)) for c in choices), key=lambda choice: choice.psnr_db)


def refine(judge: Judge, choice: Choice) -> Choice:
    """Widen, narrow or align the range of one tensor after another, as long as the output gets better."""
    base = judge.base(choice.calibrator, judge.splits[0])
    for tensor in base:
        for what in _adjustments(judge.folded, base, tensor):
            if choice.trials >= TRIALS:
                return choice
            tried = replace(choice, adjusted={**choice.adjusted, tensor: what}, trials=choice.trials + 1)
            psnr_db = judge(tried)
            worth = psnr_db > choice.psnr_db + _WORTH_DB
            choice = replace(tried, psnr_db=psnr_db) if worth else replace(choice, trials=tried.trials)
    return choice


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
    entries = legalise.activations(folded, base)
    if entries == legalise.activations(folded, {**base, tensor: (low * 8.0 - 1.0, high * 8.0 + 1.0)}):
        return []
    return [*([_ALIGNED] if _sums(folded, tensor) else []), *(f"x{factor:g}" for factor in _FACTORS)]


def _sums(folded: Folded, tensor: str) -> list[str]:
    """The outputs of the additions that ``tensor`` goes into."""
    return [
        graphs.name_of(node.outputs[0])
        for node in folded.graph.model.graph
        if node.op_type in {"Add", "Sub"}
        and tensor in {folded.observed[graphs.name_of(v)] for v in legalise.data_inputs(node)}
    ]


def _align(folded: Folded, base: Mapping[str, Range], tensor: str) -> Range:
    """The range that has the scale of the sum that ``tensor`` goes into: adding is then exact, without rounding."""
    low, high = base[tensor]
    step = legalise.activations(folded, base)[_sums(folded, tensor)[0]].scale[0]
    below = round(min(max(255 / 2 - (low + high) / (2 * step), 0), 255)) if low < 0 else 0
    return -below * step, (255 - below) * step
