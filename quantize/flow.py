"""Float graph and photos -> quantized graph and its scale table: the whole of post-training quantization."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clearport import graphs
from clearport.base import Graph, QuantizedGraph, ScaleTable
from clearport.quantize import calibrate, equalise, fold, legalise, observers, photos, rounding, search, weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clearport.base import Array
    from clearport.images import Image8
    from clearport.quantize.fold import Folded
    from clearport.quantize.search import Choice


@dataclass(frozen=True)
class QuantizeOptions:
    """How to quantize; the defaults are for shipping.

    Attributes:
        equalisation: strengths of channel equalisation to choose from; 0 is none. All are judged with the calibrator
            that is best for the first.
        search: choose the calibrator, and each tensor's range, by measured output quality; else min-max.
        compensate: round weights with error compensation; else to nearest.
        progress: called with (images done, images in all) while the float graph is observed.
    """

    equalisation: tuple[float, ...] = (0.5, 0.0)
    search: bool = True
    compensate: bool = True
    progress: calibrate.Progress | None = None


@dataclass(frozen=True)
class _Candidate:
    """One strength of equalisation, with the graph that it gives and the best calibrator for that."""

    strength: float
    graph: Graph
    folded: Folded
    choice: Choice
    refined: Callable[[], Choice]
    """The choice after every tensor's range was tried on its own as well."""


def quantize(graph: Graph, images: Sequence[Image8], options: QuantizeOptions | None = None) -> QuantizedGraph:
    """Calibrate ``graph`` on ``images`` (uint8 RGB (H, W, 3), any sizes) and quantize it.

    The weights of the result differ from those of ``graph`` by more than rounding (channels are equalised, rounding is
    compensated), and its clamps are folded; it computes the same up to int8.

    Raises:
        BadInput: there are no images, or they are not pictures.
    """
    options = options or QuantizeOptions()
    free, inputs = photos.prepare(graph, images)
    peaks = calibrate.channel_peaks(free, inputs, [graphs.name_of(v) for v in graphs.values(free)])
    candidates: list[_Candidate] = []
    for strength in options.equalisation:
        tried = (candidates[0].choice.calibrator,) if candidates else tuple(observers.CALIBRATORS)
        candidates.append(_candidate(equalise.run(free, peaks, strength), strength, tried, inputs, options))
    best = max(candidates, key=lambda candidate: candidate.choice.psnr_db)
    best = replace(best, choice=best.refined())
    seen = calibrate.observe(best.graph, inputs, _names(best.folded), options.progress)
    activations = legalise.activations(best.folded, best.choice.ranges(best.folded, seen))
    shipped = fold.run(equalise.run(graph, peaks, best.strength)).graph
    rounded = rounding.run(best.folded.graph, activations, inputs if options.compensate else ())
    table = ScaleTable({**activations, **rounded.entries}, _record(best, images, options))
    return QuantizedGraph(weights.replaced(shipped, rounded.arrays), table)


def _candidate(
    equal: Graph, strength: float, calibrators: Sequence[str], inputs: Sequence[Array], options: QuantizeOptions
) -> _Candidate:
    """Find the best of some calibrators for the graph of one strength."""
    folded = fold.run(equal)
    if not options.search:
        simple = search.Choice("min-max")
        return _Candidate(strength, equal, folded, simple, lambda: simple)
    judge = search.Judge(equal, folded, _splits(equal, _names(folded), inputs, options))
    choice = search.best_calibrator(judge, calibrators)
    return _Candidate(strength, equal, folded, choice, lambda: search.refine(judge, choice))


def _splits(
    equal: Graph, names: Sequence[str], inputs: Sequence[Array], options: QuantizeOptions
) -> list[search.Split]:
    """Each half of the photos is judged with the ranges of the other half; a single photo with its own."""
    halves = [inputs[::2], inputs[1::2]] if len(inputs) > 1 else [inputs]
    return [
        search.Split(calibrate.observe(equal, half, names, options.progress), other)
        for half, other in zip(halves, halves[::-1], strict=True)
    ]


def _names(folded: Folded) -> list[str]:
    return list(dict.fromkeys(folded.observed.values()))


def _record(best: _Candidate, images: Sequence[Image8], options: QuantizeOptions) -> dict[str, Any]:
    """How the table came to be, for the bundle."""
    return {
        "calibrator": best.choice.calibrator,
        "adjusted": dict(best.choice.adjusted),
        "simulated_psnr_db": round(best.choice.psnr_db, 2) if options.search else None,
        "equalisation": best.strength,
        "rounding": "error-compensated" if options.compensate else "nearest",
        "images": [
            {"size": f"{i.shape[0]}x{i.shape[1]}", "sha256": hashlib.sha256(i.tobytes()).hexdigest()} for i in images
        ],
    }
