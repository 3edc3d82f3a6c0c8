"""Float graph and photos -> quantized graph and its scale table: the whole of post-training quantization."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clearport.base import CheckFailed, Graph, QuantizedGraph, ScaleTable
from clearport.graph import nodes as graphs
from clearport.protocols import no_progress
from clearport.quantize.calibration import observers, photos
from clearport.quantize.calibration import survey as calibrate
from clearport.quantize.placement import cost
from clearport.quantize.placement import floats as placement
from clearport.quantize.placement import mixed as mixed_
from clearport.quantize.placement.mixed import Mixed
from clearport.quantize.ranges import ends, equalise, legalise, search, slopes
from clearport.quantize.weights import arrays as weights
from clearport.quantize.weights import rounding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array, QParams, Task
    from clearport.graph.feeds import Feed
    from clearport.pictures.images import Image8
    from clearport.protocols import Progress
    from clearport.quantize.calibration.observers import Range
    from clearport.quantize.calibration.survey import Observed
    from clearport.quantize.placement.fold import Folded
    from clearport.quantize.ranges.search import Bench, Choice
    from clearport.quantize.weights.rounding import Rounded

OBSERVING_COST = 5e11
"""Units (``cost``) that observing the photos may take: about 15 seconds of one core. Else their middles are smaller."""


@dataclass(frozen=True)
class QuantizeOptions:
    """How to quantize; the defaults are for shipping.

    Attributes:
        equalisation: strengths of channel equalisation to choose from; 0 is none. All are judged with the calibrator
            that is best for the first. One that changes what the float network computes on the photos is left out.
        search: choose the calibrator, and each tensor's range, by measured output quality; else min-max.
        compensate: round weights with error compensation; else to nearest.
        floats: names of nodes that stay in float whatever it is worth.
        task: what the network does, which tells what an error of int8 costs.
        progress: told how far each stage is.
    """

    equalisation: tuple[float, ...] = (0.5, 0.0)
    search: bool = True
    compensate: bool = True
    floats: tuple[str, ...] = ()
    task: Task = "super-resolution"
    progress: Progress = no_progress


@dataclass(frozen=True)
class _Setting:
    """What every candidate is made from: the float network free of its size, its photos, and what must be float."""

    graph: Graph
    inputs: Sequence[Feed]
    floats: frozenset[str]
    work: float
    macs: Mapping[str, float]
    options: QuantizeOptions


@dataclass(frozen=True)
class _Candidate:
    """One strength of equalisation, with the graph that it gives and the best calibrator for that."""

    strength: float
    graph: Graph
    seen: Sequence[Mapping[str, Observed]]
    folded: Folded
    bench: Bench | None
    choice: Choice

    @property
    def bounds(self) -> dict[str, Range]:
        """The least and the largest number of each value of the float graph."""
        return {name: (seen.low, seen.high) for name, seen in calibrate.merged(self.seen).items()}

    def activations(self, folded: Folded) -> dict[str, QParams]:
        """The parameters of a placement's activations."""
        return legalise.activations(folded, self.choice.ranges(folded, calibrate.merged(self.seen)))


def quantize(graph: Graph, images: Sequence[Image8], options: QuantizeOptions | None = None) -> QuantizedGraph:
    """Calibrate ``graph`` on ``images`` (uint8 RGB (H, W, 3), any sizes) and quantize it.

    Operators without an int8 form stay in float, and so do layers before the output that are worth it. The weights of
    the result differ from those of ``graph`` by more than rounding (channels are equalised, rounding is compensated),
    and its clamps are folded; it computes the same up to int8.

    Raises:
        BadInput: there are no images, or they are not pictures.
        CheckFailed: no strength of equalisation that was asked for leaves the network as it was; 0 always does.
    """
    options = options or QuantizeOptions()
    graph = ends.from_zero(graph)
    work = sum(cost.layers(graph).values())
    surveys = 1 + sum(strength != 0 for strength in options.equalisation)
    pixels = OBSERVING_COST / (work * surveys)
    given, images = images, photos.spread(images, pixels) if images else images
    free, inputs = photos.prepare(graph, images, pixels / max(1, len(images)))
    setting = _Setting(free, inputs, placement.floats(free, options.floats), work, cost.macs(graph), options)
    plain, peaks = calibrate.survey(free, inputs, _names(free), options.progress)
    best = max(_candidates(setting, plain, peaks), key=lambda candidate: candidate.choice.psnr_db)
    if best.bench is not None:
        judge = search.Judge(best.bench, best.folded)
        best = replace(best, choice=search.refine(judge, best.choice, options.progress))
    mixed, folded, rounded = _placed(setting, best)
    floats = placement.floats(graph, setting.floats | mixed.chosen)
    shipped = mixed_.lowered(equalise.run(graph, peaks, best.strength), floats, best.bounds).graph
    entries = {**best.activations(folded), **rounded.entries}
    table = ScaleTable(entries, _record(best, mixed, setting, given))
    return QuantizedGraph(slopes.expressed(weights.replaced(shipped, rounded.arrays), entries), table)


def _candidates(
    setting: _Setting, plain: Sequence[Mapping[str, Observed]], peaks: Mapping[str, Array]
) -> list[_Candidate]:
    """One for each strength of equalisation that leaves what the network computes as it was."""
    progress = setting.options.progress
    found: list[_Candidate] = []
    crops = rounding.affordable(setting.graph, setting.inputs)
    for strength in setting.options.equalisation:
        equal = equalise.run(setting.graph, peaks, strength)
        if strength and not equalise.same(setting.graph, equal, crops):
            continue
        seen = calibrate.survey(equal, setting.inputs, _names(equal), progress)[0] if strength else plain
        tried = (found[0].choice.calibrator,) if found else tuple(observers.CALIBRATORS)
        found.append(_candidate(setting, equal, seen, strength, tried))
    if not found:
        raise CheckFailed(f"{setting.graph.spec_name}: the equalised graph is not the network: quantize without it")
    return found


def _candidate(
    setting: _Setting,
    equal: Graph,
    seen: Sequence[Mapping[str, Observed]],
    strength: float,
    calibrators: Sequence[str],
) -> _Candidate:
    """Find the best of some calibrators for the graph of one strength, from what was seen in it."""
    bounds = {name: (each.low, each.high) for name, each in calibrate.merged(seen).items()}
    folded = mixed_.lowered(equal, setting.floats, bounds)
    if not setting.options.search:
        return _Candidate(strength, equal, seen, folded, None, search.Choice("min-max"))
    bench = search.Bench(setting.graph, _splits(seen, setting.inputs), setting.work)
    choice = search.best_calibrator(search.Judge(bench, folded), calibrators, setting.options.progress)
    return _Candidate(strength, equal, seen, folded, bench, choice)


def _splits(seen: Sequence[Mapping[str, Observed]], inputs: Sequence[Feed]) -> list[search.Split]:
    """Each half of the photos is judged with the ranges of the other half; a single photo with its own."""
    if len(inputs) == 1:
        return [search.Split(calibrate.merged(seen), inputs)]
    return [search.Split(calibrate.merged(seen[i::2]), inputs[1 - i :: 2]) for i in (0, 1)]


def _placed(setting: _Setting, best: _Candidate) -> tuple[Mixed, Folded, Rounded]:
    """Choose what else stays in float, and round the rest."""
    inputs = setting.inputs if setting.options.compensate else ()
    progress = setting.options.progress
    rounded = rounding.run(best.folded.graph, best.activations(best.folded), inputs, progress)
    if best.bench is None:
        return Mixed(), best.folded, rounded
    given = (best.graph, best.bench, best.bounds, best.choice, rounded.arrays, setting.floats)
    task = setting.options.task if any(spec.is_picture for spec in setting.graph.outputs) else None
    trial = mixed_.Trial(*given, setting.macs, task)
    mixed = mixed_.choose(trial, progress)
    if not mixed.chosen:
        return mixed, best.folded, rounded
    folded = mixed_.lowered(best.graph, trial.placed(mixed.chosen), best.bounds)
    before, now = best.activations(best.folded), best.activations(folded)
    if not mixed.layers and all(before.get(name) == params for name, params in now.items()):
        return mixed, folded, mixed_.kept(folded, rounded)  # what comes before a tail does not know of it
    return mixed, folded, rounding.run(folded.graph, now, inputs, progress)


def _names(graph: Graph) -> list[str]:
    """The values that photos are observed at: those of real numbers, with channels."""
    import onnx_ir as ir

    return [
        graphs.name_of(v)
        for v in graphs.values(graph)
        if v.shape is not None and len(v.shape) > 1 and v.dtype == ir.DataType.FLOAT
    ]


def _record(best: _Candidate, mixed: Mixed, setting: _Setting, images: Sequence[Image8]) -> dict[str, Any]:
    """How the table came to be, for the bundle."""
    operators = {placement.name_of(node): node.op_type for node in best.graph.model.graph}
    measured = best.bench is not None
    return {
        "calibrator": best.choice.calibrator,
        "adjusted": dict(best.choice.adjusted),
        "simulated_psnr_db": round(mixed.psnr_db, 2) if measured else None,
        "equalisation": best.strength,
        "rounding": "error-compensated" if setting.options.compensate else "nearest",
        "islands": {name: operator for name, operator in operators.items() if name in setting.floats},
        "tail": list(mixed.tail),
        "float_layers": list(mixed.layers),
        "float_share": round(mixed.share, 4),
        "simulated_loss_db": round(mixed.loss_db, 3) if measured else None,
        **({"observed": len(setting.inputs)} if len(setting.inputs) < len(images) else {}),
        "images": [
            {"size": f"{i.shape[0]}x{i.shape[1]}", "sha256": hashlib.sha256(i.tobytes()).hexdigest()} for i in images
        ],
    }
