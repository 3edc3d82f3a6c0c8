"""The fp32 fallback of half-precision Core ML programs: operators for which float16 is not accurate enough.

Half precision is simulated before anything is written: the graph runs in ONNX Runtime with every value rounded to
float16, on a photo, on the same photo darkened and with noise, and on the probe of the proof. If that reaches
``ENOUGH_DB`` to the float32 graph, the whole program is float16, as the Neural Engine requires. Else the operators with
the largest errors, and those that overflow float16, compute in float32. So do operators that sample at computed
coordinates or threshold the inputs (``sampled.py``).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import onnx_ir as ir

from clearport.export.coreml.sampled import decided, sampled
from clearport.export.trial_pictures import pictures, probe_tiles, run, small
from clearport.graph import feeds, shapes
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.choices import CAST
from clearport.quantize import footprint
from clearport.quantize.calibration.stepwise import Stepwise

if TYPE_CHECKING:
    from collections.abc import Callable

    from clearport.base import Array, Graph
    from clearport.graph.feeds import Feed

ENOUGH_DB, ENOUGH_8_BIT_DB = 63.0, 57.0
"""The limit is 60 dB, and 55 after rounding to 8 bits; half of that error is a margin for other pictures."""

ENOUGH_SIGNAL_DB = 43.0
"""Outputs other than pictures must reach 40 dB of their own standard deviation; the same margin applies."""

FARTHEST = 2.0
"""Maximum pixel error in 8-bit levels: the limit is 3 after rounding. A network may reach 63 dB and be 4 levels off."""

TILE_DB = 16.0
"""How many dB a tile of the probe may be worse than a photo: 10 are allowed for the whole (``runtime/tolerance.py``),
whose quarters are as different as noise and a gradient."""

MOST_PICTURES = 8
"""Maximum number of pictures for which operators become float32, one picture after the other."""

LARGEST = float(np.finfo(np.float16).max) / 8
"""Values beyond this may overflow in another picture, or in an operator's sums."""

STEP_MEMORY = 2e8
"""Bytes of values inspected together."""

_T = TypeVar("_T")

_ALL = slice(None)
_ELSE = frozenset({"picture", "index"})
_FLOATS = {ir.DataType.FLOAT}


@dataclass(frozen=True)
class Fallback:
    """The values whose operators compute in float32, and the reason; empty and "" if everything is float16."""

    names: frozenset[str] = frozenset()
    reason: str = ""


NOTHING = Fallback()


@functools.lru_cache(maxsize=1)  # fp16 and int8-weights are written one after the other
def choose(graph: Graph) -> Fallback:
    """The operators of ``graph`` to compute in float32."""
    smaller = small(graph)
    trial = Trial(smaller, probe_tiles(smaller, shapes.size_of(graph.input)))
    places = sampled(graph) | decided(graph)
    large = trial.too_large() | places
    if trial.margin_db(large) >= 0:
        why = (
            "float16 would shift their sampling points or flip their decisions"
            if large == places
            else "float16 does not hold their values"
        )
        return Fallback(large, _reason(graph, large, why)) if large else NOTHING
    names, short = trial.worst(large), -trial.margin_db(frozenset())
    wanted = f"{ENOUGH_DB:g} dB, {ENOUGH_8_BIT_DB:g} after rounding to 8 bits, no pixel {FARTHEST:g} levels off"
    why = f"entirely in float16, the result would be {short:.1f} dB below the requirement ({wanted})"
    return Fallback(names, _reason(graph, names, why))


def extended(fallback: Fallback, before: Graph, after: Graph) -> Fallback:
    """The same for a graph whose index operations were rewritten as arithmetic: float16 is too coarse for indices."""
    added = {value.name for value in graphs.values(after) if value.name} - {v.name for v in graphs.values(before)}
    return replace(fallback, names=fallback.names | added)


class Trial:
    """A graph in float32 and, with every value rounded, in float16, on the same pictures: three of a photo, which also
    say how large values are, and tiles of the probe.
    """

    def __init__(self, graph: Graph, tiles: Sequence[Feed] = ()) -> None:
        self._graph = graph
        self._nodes = [graphs.name_of(n.outputs[0]) for n in graph.model.graph if _in_float(n)]
        self._floats = [graphs.name_of(n.outputs[0]) for n in graph.model.graph if _is_float(n.outputs[0])]
        self._photos = pictures(graph)
        self._pictures = [*self._photos, *tiles]
        self._known: dict[frozenset[str], list[float]] = {}
        self._wanted = run(graph.model, self._pictures)
        self._ranges = feeds.spans(graph.outputs, self._wanted[: len(self._photos)])
        self._range = self._ranges[0]

    def psnr_db(self, fallback: Collection[str]) -> float:
        """The worst photo with all but ``fallback`` in float16: infinite if equal, minus infinity if not finite."""
        return _db(max(map(_worst, self._pairs(fallback, slice(len(self._photos))))), self._range)

    def too_large(self) -> frozenset[str]:
        """The operators with inputs, outputs or constants beyond ``LARGEST``."""
        peaks = self.peaks()
        for node in self._graph.model.graph:
            held = [graphs.constant(v) for v in node.inputs if v is not None]
            if any(array is not None and array.dtype.kind == "f" and _peak(array) > LARGEST for array in held):
                peaks[graphs.name_of(node.outputs[0])] = np.inf
        given = {name for name, peak in peaks.items() if not peak <= LARGEST}
        readers = {
            graphs.name_of(node.outputs[0])
            for node in self._graph.model.graph
            if any(value is not None and value.name in given for value in node.inputs)
        }
        return frozenset(given | readers)

    def peaks(self) -> dict[str, float]:
        """Operator -> largest magnitude of its values."""
        return {name: max(found) for name, found in self.looked(_peak).items()}

    def looked(self, look: Callable[[Array], _T]) -> dict[str, list[_T]]:
        """``look`` applied to every operator's float outputs, for each photo; in batches that fit into memory."""
        pixels = footprint.largest(self._photos)
        steps = footprint.steps(self._floats, footprint.per_pixel(self._graph), STEP_MEMORY / pixels)
        seen: dict[str, list[_T]] = {}
        for picture in self._photos:
            network = Stepwise(self._graph.model, [picture])
            for step in steps:
                (found,) = network.look(step, lambda values: {name: look(array) for name, array in values.items()})
                for name, said in found.items():
                    seen.setdefault(name, []).append(said)
        return seen

    def margin_db(self, fallback: Collection[str]) -> float:
        """The worst picture's margin over the requirement, with all but ``fallback`` in float16."""
        return min(self._margins(frozenset(fallback)))

    def _margins(self, fallback: frozenset[str]) -> list[float]:
        if fallback not in self._known:
            self._known[fallback] = list(map(self._margin, self._pairs(fallback), range(len(self._pictures))))
        return self._known[fallback]

    def _margin(self, pair: Sequence[tuple[Array, Array]], place: int) -> float:
        """The margin of one picture."""
        return min(self._mean_margin(pair, place), self._peak_margin(pair))

    def _mean_margin(self, pair: Sequence[tuple[Array, Array]], place: int) -> float:
        step, eased = self._range / 255, 0.0 if place < len(self._photos) else TILE_DB
        margins = [_db(_worst(pair), self._range) - ENOUGH_DB]
        levels = [(got / step, wanted / step) for got, wanted in self._of_pictures(pair)]
        if levels:
            rounded = _db(max(_error(np.rint(got), np.rint(wanted)) for got, wanted in levels), 255.0)
            margins.append(rounded - ENOUGH_8_BIT_DB)
        signals = [_db(_error(*each), float(each[1].std())) for each in self._of_values(pair)]
        return min([*margins, *(found - ENOUGH_SIGNAL_DB for found in signals)]) + eased

    def _peak_margin(self, pair: Sequence[tuple[Array, Array]]) -> float:
        return _db(self._farthest(pair), 255.0) - _db(FARTHEST**2, 255.0)

    def _farthest(self, pair: Sequence[tuple[Array, Array]]) -> float:
        """The largest squared error of a pixel, in levels; 0 without pictures."""
        step = self._range / 255
        return max((_peak((got - wanted) / step) ** 2 for got, wanted in self._of_pictures(pair)), default=0.0)

    def _of_values(self, pair: Sequence[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
        """The outputs other than pictures that are not constant, which are judged by their own standard deviation."""
        kinds = [spec.kind for spec in self._graph.outputs]
        return [each for each, kind in zip(pair, kinds, strict=True) if kind not in _ELSE and each[1].std() > 0]

    def _of_pictures(self, pair: Sequence[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
        return [each for each, spec in zip(pair, self._graph.outputs, strict=True) if spec.is_picture]

    def worst(self, first: frozenset[str]) -> frozenset[str]:
        """``first``, and the operators with the largest errors, as many as needed on the worst picture, then on the
        worst of the others.
        """
        names = first
        for _ in range(MOST_PICTURES):
            margins = self._margins(names)
            if min(margins) >= 0:
                return names
            names = self._enough(names, margins.index(min(margins)))
        return names if self.margin_db(names) >= 0 else frozenset(self._nodes)

    def _enough(self, first: frozenset[str], place: int) -> frozenset[str]:
        """``first``, and the operators with the largest errors on one picture, as few as it needs."""
        only, error, small = slice(place, place + 1), _worst, self._range**2 / 10 ** (ENOUGH_DB / 10) / 16
        (pair,) = self._pairs(first, only)
        if self._peak_margin(pair) < self._mean_margin(pair, place):
            error, small = self._farthest, FARTHEST**2 / 16
        blamed = self._blame([name for name in self._nodes if name not in first], only, error, small)
        ranked = sorted(blamed, key=lambda group: -blamed[group])
        few, enough = 0, len(ranked)
        while enough - few > 1:
            middle = (few + enough) // 2
            names = first.union(*map(set, ranked[:middle]))
            suffices = self._margin(self._pairs(names, only)[0], place) >= 0
            few, enough = (few, middle) if suffices else (middle, enough)
        return first.union(*map(set, ranked[:enough]))

    def _blame(
        self, nodes: Sequence[str], only: slice, measure: Callable[..., float], small: float
    ) -> dict[tuple[str, ...], float]:
        """Error on one picture with only this group in float16; groups whose error is small are not split further."""
        groups, blamed = [tuple(nodes)], dict[tuple[str, ...], float]()
        while groups:
            group = groups.pop()
            error = measure(self._pairs(set(self._nodes) - set(group), only)[0])
            if len(group) > 1 and error > small:
                groups += [group[: len(group) // 2], group[len(group) // 2 :]]
            else:
                blamed[group] = error
        return blamed

    def _pairs(self, fallback: Collection[str], chosen: slice = _ALL) -> list[list[tuple[Array, Array]]]:
        """The outputs for the chosen pictures, with all but ``fallback`` in float16, and in float32.

        All outputs are scaled to the range of the first, so that their errors are comparable.
        """
        found = run(_rounded(self._graph.model, frozenset(fallback)), self._pictures[chosen])
        return [self._scaled(*each) for each in zip(found, self._wanted[chosen], strict=True)]

    def _scaled(self, got: Sequence[Array], wanted: Sequence[Array]) -> list[tuple[Array, Array]]:
        factors = [np.float32(self._range / each) for each in self._ranges]
        return [(one * by, other * by) for one, other, by in zip(got, wanted, factors, strict=True)]


def _worst(pair: Sequence[tuple[Array, Array]]) -> float:
    """The mean squared error of the worst output."""
    return max(_error(*each) for each in pair)


def _error(got: Array, wanted: Array) -> float:
    """The mean squared error; infinite if any value is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = float(np.mean(np.square(got - wanted, dtype=np.float64)))
    return error if np.isfinite(error) else np.inf


def _rounded(model: ir.Model, fallback: frozenset[str]) -> ir.Model:
    """A copy in which every float16 value of the program is rounded wherever it is read."""
    copy = model.clone()
    done: dict[str, ir.Value] = {}
    for node in list(copy.graph):
        narrow = graphs.name_of(node.outputs[0]) not in fallback
        for index, value in enumerate(node.inputs):
            if value is None or not _is_float(value) or index in table.of(node).not_data:
                continue
            maker = value.producer()
            if narrow or (maker is not None and graphs.name_of(value) not in fallback):
                node.replace_input_with(index, _half(copy.graph, value, node, done))
    for index, result in enumerate(tuple(copy.graph.outputs)):
        if graphs.name_of(result) not in fallback and _is_float(result):
            copy.graph.outputs[index] = _half(copy.graph, result, None, done)
    return copy


def _half(body: ir.Graph, value: ir.Value, before: ir.Node | None, done: dict[str, ir.Value]) -> ir.Value:
    """``value`` rounded to float16, and as float32 again."""
    name = graphs.name_of(value)
    if name not in done:
        down = ir.node(CAST.name, [value], {"to": ir.DataType.FLOAT16})
        up = ir.node(CAST.name, [down.outputs[0]], {"to": ir.DataType.FLOAT})
        down.outputs[0].name, up.outputs[0].name = f"{name}_half", f"{name}_rounded"
        for made in (down, up):
            if before is None:
                body.append(made)
            else:
                body.insert_before(before, made)
        done[name] = up.outputs[0]
    return done[name]


def _is_float(value: ir.Value) -> bool:
    held = graphs.constant(value)
    return held.dtype == np.float32 if held is not None else value.dtype in _FLOATS


def _in_float(node: ir.Node) -> bool:
    """Whether ``node`` computes with floats; a comparison does, though its output is Boolean."""
    given = (value for index, value in enumerate(node.inputs) if index not in table.of(node).not_data)
    return _is_float(node.outputs[0]) or any(value is not None and _is_float(value) for value in given)


def _reason(graph: Graph, names: frozenset[str], why: str) -> str:
    kinds = Counter(n.op_type for n in graph.model.graph if graphs.name_of(n.outputs[0]) in names)
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f"{listed} of {len(graph.model.graph)} operators compute in float32: {why}"


def _peak(array: Array) -> float:
    return float(np.abs(array).max(initial=0.0))


def _db(error: float, value_range: float) -> float:
    return np.inf if error == 0 else float(10 * np.log10(value_range**2 / error)) if np.isfinite(error) else -np.inf
