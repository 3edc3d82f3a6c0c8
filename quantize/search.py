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

_FACTORS = (0.8, 1.25, 0.64)
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
        return {tensor: adjust(folded, base, tensor, self.adjusted.get(tensor, "")) for tensor in base}


class Judge:
    """Simulates scale tables of one folded graph against the float graph.

    It does so on ``inputs``, and on the same at half the size, which is sharper than what was calibrated on.
    """

    def __init__(self, graph: Graph, folded: Folded, inputs: Sequence[Array], observed: Mapping[str, Observed]) -> None:
        self._folded = folded
        self._inputs = photos.cropped(graph, [*inputs, *photos.halved(graph, inputs)], _SIDE)
        reference: Any = graphs.session(graph.model)
        self._wanted = [reference.run(None, {graph.input.name: x})[0] for x in self._inputs]
        example = legalise.activations(folded, {name: (seen.low, seen.high) for name, seen in observed.items()})
        free = qdq.with_free_scales(QuantizedGraph(folded.graph, ScaleTable(example)))
        self._session: Any = graphs.session(free)
        low, high = graph.input.value_range
        self._peak = high - low

    def __call__(self, ranges: Mapping[str, Range]) -> float:
        """PSNR in dB: half the mean over the photos and half the worst of them, since a table must hold on all."""
        given = qdq.parameters(legalise.activations(self._folded, ranges))
        scores = []
        for image, wanted in zip(self._inputs, self._wanted, strict=True):
            out = self._session.run(None, {self._folded.graph.input.name: image, **given})[0]
            error = float(np.square(out - wanted, dtype=np.float64).mean())
            scores.append(10 * np.log10(self._peak**2 / max(error, _LEAST_ERROR)))
        return float((np.mean(scores) + np.min(scores)) / 2)


def best_calibrator(judge: Judge, folded: Folded, observed: Mapping[str, Observed]) -> Choice:
    """The calibrator with the highest PSNR; the first of equals."""
    choices = [Choice(name) for name in observers.CALIBRATORS]
    judged = [replace(choice, psnr_db=judge(choice.ranges(folded, observed))) for choice in choices]
    return max(judged, key=lambda choice: choice.psnr_db)


def refine(judge: Judge, choice: Choice, folded: Folded, observed: Mapping[str, Observed]) -> Choice:
    """Widen, narrow or align the range of one tensor after another, as long as the output gets better."""
    base = Choice(choice.calibrator).ranges(folded, observed)
    ranges = choice.ranges(folded, observed)
    for tensor in base:
        for what in _adjustments(folded, base, tensor):
            if choice.trials >= TRIALS:
                return choice
            tried = {**ranges, tensor: adjust(folded, base, tensor, what)}
            psnr_db = judge(tried)
            choice = replace(choice, trials=choice.trials + 1)
            if psnr_db > choice.psnr_db + _WORTH_DB:
                ranges = tried
                choice = replace(choice, psnr_db=psnr_db, adjusted={**choice.adjusted, tensor: what})
    return choice


def adjust(folded: Folded, base: Mapping[str, Range], tensor: str, what: str) -> Range:
    """The range of ``tensor`` after the adjustment ``what``; empty is none."""
    low, high = base[tensor]
    if what == _ALIGNED:
        return _align(folded, base, tensor)
    factor = float(what[1:]) if what else 1.0
    return low * factor, high * factor


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
