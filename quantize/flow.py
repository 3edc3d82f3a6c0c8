"""Post-training quantization: float graph and photos -> quantized graph and its scale table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clearport.base import Graph
from clearport.errors import CheckFailed
from clearport.graph import feeds
from clearport.graph import nodes as graphs
from clearport.protocols import no_progress
from clearport.quantize import scheme
from clearport.quantize.calibration import observers, parallel, photos, sensitivity
from clearport.quantize.calibration import survey as calibrate
from clearport.quantize.placement import cost
from clearport.quantize.placement import floats as placement
from clearport.quantize.placement import mixed as mixed_
from clearport.quantize.placement.mixed import Mixed
from clearport.quantize.placement.terms import TERMS
from clearport.quantize.ranges import averages, constrain, ends, equalize, leaky_relu, search
from clearport.quantize.weights import arrays as weights
from clearport.quantize.weights import rounding
from clearport.quantized import QuantizedGraph, ScaleTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clearport.base import Array, Prefer, Task
    from clearport.graph.feeds import Feed, Sample
    from clearport.pictures.images import Image8
    from clearport.protocols import Progress
    from clearport.quantize.calibration.observers import Range
    from clearport.quantize.calibration.sensitivity import Sensitivity
    from clearport.quantize.calibration.survey import Observed
    from clearport.quantize.placement.fold import Folded
    from clearport.quantize.ranges.search import Bench, Choice
    from clearport.quantize.weights.rounding import Rounded
    from clearport.quantized import QParams

OBSERVING_COST = 2e10
"""Budget of observing the photos, in units of ``cost``; beyond it, center crops are smaller."""

OBSERVING_PIXELS = 150_000
"""The minimum of observed pixels over all photos, as long as they cost at most ``MOST_OBSERVING_COST``."""

MOST_OBSERVING_COST = 1e11
"""Budget of observing a very large network."""

HEADROOM = 2.0
"""Factor of 16-bit activation ranges: headroom for values beyond the calibration photos, at the cost of one bit."""

DEEP = 3e10
"""Cost of one run on all photos above which errors are predicted (``sensitivity``): cheaper networks are simulated in
the time it takes to load PyTorch."""


@dataclass(frozen=True)
class QuantizeOptions:
    """Quantization options; the defaults are for shipping.

    Attributes:
        equalization: candidate strengths of channel equalization; 0 is none. All are judged with the best calibrator of
            the first. Strengths that change the float network's output on the photos are left out.
        search: choose the calibrator, and each tensor's range, by measured output quality; else min-max.
        compensate: round weights with error compensation; else to nearest.
        floats: names of nodes forced to float.
        task: the network's task, which determines the cost of an int8 error.
        prefer: price of float layers: ``quality`` keeps more of them, ``speed`` none by choice.
        ranges: value name -> given real minimum and maximum, in place of observed ones.
        wide: 16-bit activations (``int8a16``) over ``HEADROOM`` times the observed ranges; weights already on 8-bit
            grids are kept. Nothing is searched, and no operator stays in float by choice.
        bounds: add ``bounds`` to the record: value -> minimum and maximum on the photos (``trained.form``).
        progress: callback with the progress of each stage.
    """

    equalization: tuple[float, ...] = (0.5, 0.0)
    search: bool = True
    compensate: bool = True
    floats: tuple[str, ...] = ()
    task: Task = "super-resolution"
    prefer: Prefer = "balanced"
    ranges: tuple[tuple[str, float, float], ...] = ()
    wide: bool = False
    bounds: bool = False
    progress: Progress = no_progress


@dataclass(frozen=True)
class _Setting:
    """The common inputs of all candidates: the dynamic float network, its photos, and the forced float nodes."""

    graph: Graph
    inputs: Sequence[Feed]
    floats: frozenset[str]
    work: float
    macs: Mapping[str, float]
    options: QuantizeOptions
    felt: Sensitivity | None = None

    @property
    def task(self) -> Task | None:
        """The network's task; None if no output is a picture or a high-dynamic-range map."""
        return self.options.task if any(spec.is_picture or spec.transfer for spec in self.graph.outputs) else None


@dataclass(frozen=True)
class _Candidate:
    """One strength of equalization, with its graph and its best calibrator."""

    strength: float
    graph: Graph
    peaks: Mapping[str, Array]
    seen: Mapping[str, Observed]
    folded: Folded
    bench: Bench | None
    choice: Choice
    wide: bool = False

    @property
    def bounds(self) -> dict[str, Range]:
        """Minimum and maximum of each value of the float graph."""
        return {name: (seen.low, seen.high) for name, seen in self.seen.items()}

    def activations(self, folded: Folded) -> dict[str, QParams]:
        """The parameters of a placement's activations."""
        ranges = self.choice.ranges(folded, self.seen)
        if not self.wide:
            return constrain.activations(folded, ranges)
        spread = {name: (low * HEADROOM, high * HEADROOM) for name, (low, high) in ranges.items()}
        return {name: scheme.wide(params) for name, params in constrain.activations(folded, spread).items()}


def prepared(graph: Graph) -> Graph:
    """The float graph that is quantized: pictures start at zero, and averages are independent of the runtime."""
    return averages.as_convolutions(ends.from_zero(graph))


@parallel.alone()
def quantize(graph: Graph, images: Sequence[Image8 | Sample], options: QuantizeOptions | None = None) -> QuantizedGraph:
    """Calibrate ``graph`` on ``images`` (uint8 RGB (H, W, 3), any sizes, or samples) and quantize it.

    Operators without an int8 form stay in float, and so do layers before the output if that pays. The result's weights
    differ from those of ``graph`` by more than rounding (channels are equalized, rounding is compensated), and its
    clamps are folded; outputs are equal up to int8 errors.

    Raises:
        BadInput: there are no images, or they are not pictures.
        CheckFailed: every requested strength of equalization changes the network's output; 0 never does.
    """
    options = options or QuantizeOptions()
    if options.wide:
        options = replace(options, equalization=(0.0,), search=False)
    graph = prepared(graph)
    work = sum(cost.layers(graph).values())
    pixels = max(OBSERVING_COST / work, min(OBSERVING_PIXELS, MOST_OBSERVING_COST / work))
    given, images = images, photos.spread(images, pixels) if images else images
    free, inputs = photos.prepare(graph, images, pixels / max(1, len(images)))
    deep = work * sum(map(feeds.area, inputs)) >= DEEP
    felt = sensitivity.measure(free, inputs) if deep and options.search else None
    fixed = placement.floats(free, (*options.floats, *placement.fine(free)))
    setting = _Setting(free, inputs, fixed, work, cost.macs(graph), options, felt)
    best = max(_candidates(setting), key=lambda candidate: candidate.choice.psnr_db)
    if best.bench is not None:
        judge = search.Judge(best.bench, best.folded)
        best = replace(best, choice=search.refine(judge, best.choice, options.progress))
    mixed, folded, rounded = _placed(setting, best)
    floats = placement.floats(graph, setting.floats | mixed.chosen)
    shipped = mixed_.lowered(equalize.run(graph, best.peaks, best.strength), floats, best.bounds).graph
    entries = {**best.activations(folded), **rounded.entries}
    table = ScaleTable(entries, _record(best, mixed, setting, given))
    whole = graphs.check(weights.replaced(shipped, rounded.arrays))
    return QuantizedGraph(leaky_relu.expressed(whole, entries), table)


def _candidates(setting: _Setting) -> list[_Candidate]:
    """One candidate per strength of equalization that preserves the network's output.

    If sensitivities are known, they select the best strength, and there is one candidate.
    """
    felt, names = setting.felt, _names(setting.graph)
    if felt is not None:
        return [_foretold(setting, felt)]
    plain, peaks = calibrate.survey(setting.graph, setting.inputs, names, setting.options.progress)
    found: list[_Candidate] = []
    for strength, equal in _equalized(setting, setting.options.equalization, peaks):
        seen = calibrate.survey(equal, setting.inputs, names, setting.options.progress)[0] if strength else plain
        tried = (found[0].choice.calibrator,) if found else tuple(observers.CALIBRATORS)
        found.append(_candidate(setting, equal, seen, strength, peaks, tried))
    return found


def _foretold(setting: _Setting, felt: Sensitivity) -> _Candidate:
    """The candidate with the best strength of equalization by the error weights."""
    costs = {
        each: equalize.foretold(setting.graph, felt.peaks, each, felt.weights) for each in setting.options.equalization
    }
    strength, equal = next(_equalized(setting, sorted(costs, key=lambda each: costs[each]), felt.peaks))
    scaled = equalize.weights(setting.graph, felt.peaks, strength, felt.weights)
    names = _names(setting.graph)
    seen = calibrate.survey(equal, setting.inputs, names, setting.options.progress, scaled)[0]
    return _candidate(setting, equal, seen, strength, felt.peaks, tuple(observers.CALIBRATORS))


def _equalized(
    setting: _Setting, strengths: Sequence[float], peaks: Mapping[str, Array]
) -> Iterator[tuple[float, Graph]]:
    """The strengths that preserve the network's output, each with its graph; at least one."""
    found = False
    for strength in strengths:
        equal = equalize.run(setting.graph, peaks, strength)
        if not strength or equalize.same(setting.graph, equal, photos.few(setting.graph, setting.inputs)):
            found = True
            yield strength, equal
    if not found:
        raise CheckFailed(
            f"{setting.graph.spec_name}: the equalized graph differs from the network: quantize without equalization"
        )


def _candidate(
    setting: _Setting,
    equal: Graph,
    seen: Sequence[Mapping[str, Observed]],
    strength: float,
    peaks: Mapping[str, Array],
    calibrators: Sequence[str],
) -> _Candidate:
    """Find the best calibrator for the graph of one strength, from its statistics."""
    whole = _with_given(calibrate.merged(seen), setting.options.ranges)
    bounds = {name: (each.low, each.high) for name, each in whole.items()}
    folded = mixed_.lowered(equal, setting.floats, bounds)
    if not setting.options.search:
        return _Candidate(strength, equal, peaks, whole, folded, None, search.Choice("min-max"), setting.options.wide)
    bench = search.Bench(setting.graph, _splits(seen, setting.inputs), setting.work, weighed=setting.felt is not None)
    choice = search.best_calibrator(search.Judge(bench, folded), calibrators, setting.options.progress)
    return _Candidate(strength, equal, peaks, whole, folded, bench, choice)


def _with_given(seen: Mapping[str, Observed], ranges: Sequence[tuple[str, float, float]]) -> Mapping[str, Observed]:
    """The observed statistics, with given ranges in their place."""
    given = {name: (low, high) for name, low, high in ranges}
    return {
        name: replace(each, low=given[name][0], high=given[name][1]) if name in given else each
        for name, each in seen.items()
    }


def _splits(seen: Sequence[Mapping[str, Observed]], inputs: Sequence[Feed]) -> list[search.Split]:
    """Each half of the photos is judged with the ranges of the other half; a single photo with its own."""
    if len(inputs) == 1:
        return [search.Split(calibrate.merged(seen), inputs)]
    return [search.Split(calibrate.merged(seen[i::2]), inputs[1 - i :: 2]) for i in (0, 1)]


def _placed(setting: _Setting, best: _Candidate) -> tuple[Mixed, Folded, Rounded]:
    """Choose further float nodes, and round the rest."""
    inputs = setting.inputs if setting.options.compensate else ()
    progress = setting.options.progress
    own = bool(setting.options.ranges) or setting.options.wide
    whole = best.bench is not None and setting.options.prefer == "speed"
    activations = best.activations(best.folded)
    rounded = rounding.run(best.folded.graph, activations, inputs, progress, on_grid=own, earlier=whole)
    if best.bench is None:
        return Mixed(), best.folded, rounded
    known = placement.Placement(best.graph)
    given = (best.graph, best.bench, best.bounds, best.choice, rounded.arrays, setting.floats, known)
    trial = mixed_.Trial(*given, setting.macs, setting.task, TERMS[setting.options.prefer])
    mixed = mixed_.choose(trial, progress)
    if not mixed.chosen:
        return mixed, best.folded, rounded
    folded = mixed_.lowered(best.graph, trial.placed(mixed.chosen), best.bounds)
    now = best.activations(folded)
    moved = rounding.regridded(folded.graph, now, mixed_.kept(folded, rounded))
    return mixed, folded, moved or rounding.run(folded.graph, now, inputs, progress)


def _names(graph: Graph) -> list[str]:
    """The values to observe: floating point, with channels."""
    import onnx_ir as ir

    return [
        graphs.name_of(v)
        for v in graphs.values(graph)
        if v.shape is not None and len(v.shape) > 1 and v.dtype == ir.DataType.FLOAT
    ]


def _record(best: _Candidate, mixed: Mixed, setting: _Setting, images: Sequence[Image8 | Sample]) -> dict[str, Any]:
    """The table's provenance, for the bundle."""
    operators = {placement.name_of(node): node.op_type for node in best.graph.model.graph}
    measured = best.bench is not None
    return {
        "calibrator": best.choice.calibrator,
        "adjusted": dict(best.choice.adjusted),
        "simulated_psnr_db": round(mixed.psnr_db, 2) if measured else None,
        "equalization": best.strength,
        "rounding": "error-compensated" if setting.options.compensate else "nearest",
        "islands": {name: operator for name, operator in operators.items() if name in setting.floats},
        "prefer": setting.options.prefer,
        "tail": list(mixed.tail),
        "float_layers": list(mixed.layers),
        "float_share": round(mixed.share, 4),
        "simulated_loss_db": round(mixed.loss_db, 3) if measured and setting.task else None,
        **({"observed": len(setting.inputs)} if len(setting.inputs) < len(images) else {}),
        **({"bounds": {name: list(both) for name, both in best.bounds.items()}} if setting.options.bounds else {}),
        "images": list(map(_told, images)),
    }


def _told(image: Image8 | Sample) -> dict[str, str]:
    """A photo, or all arrays of a sample, for the record."""
    arrays = list(image.values()) if isinstance(image, Mapping) else [image]
    size = " ".join("x".join(map(str, array.shape[:2] if array.ndim == 3 else array.shape)) for array in arrays)
    return {"size": size, "sha256": hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()}
