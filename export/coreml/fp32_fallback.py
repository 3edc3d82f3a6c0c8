"""The fp32 fallback of half-precision Core ML programs: operators for which float16 is not accurate enough.

Half precision is simulated before anything is written: the graph runs in ONNX Runtime with every value rounded to
float16, on a photo, and on the same photo darkened and with noise. If that reaches ``ENOUGH_DB`` to the float32 graph,
the whole program is float16, as the Neural Engine requires. Else the operators with the largest errors, and those that
overflow float16, compute in float32. So do operators that sample at computed coordinates or threshold the inputs
(``sampled.py``).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import onnx_ir as ir

from clearport.base import Size
from clearport.export.coreml.sampled import decided, sampled
from clearport.export.trial_pictures import SIDE, pictures
from clearport.graph import feeds, shapes
from clearport.graph import nodes as graphs
from clearport.operators import sizes as graph_sizes
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

LARGEST = float(np.finfo(np.float16).max) / 8
"""Values beyond this may overflow in another picture, or in an operator's sums."""

STEP_MEMORY = 2e8
"""Bytes of values inspected together."""

_T = TypeVar("_T")

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
    trial = Trial(small(graph))
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


def small(graph: Graph) -> Graph:
    """The same network at a small size, if it is dynamic."""
    own = shapes.size_of(graph.input)
    if own is None or graph_sizes.size_bound(graph) is not None:
        return graph
    step = graph_sizes.coarsest_stride(graph)
    side = -(-SIDE // step) * step
    if side >= min(own.height, own.width):
        return graph
    try:
        smaller = graph_sizes.resized(graph, Size(side, side))
        _run(smaller.model, [feeds.noise(smaller.inputs, Size(side, side))])
    except Exception:  # ONNX Runtime's errors have no narrower base; if the small size fails, use the graph's own
        return graph
    return smaller


class Trial:
    """A graph in float32 and, with every value rounded, in float16, on the same three pictures."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes = [graphs.name_of(n.outputs[0]) for n in graph.model.graph if _in_float(n)]
        self._floats = [graphs.name_of(n.outputs[0]) for n in graph.model.graph if _is_float(n.outputs[0])]
        self._pictures = pictures(graph)
        self._wanted = _run(graph.model, self._pictures)
        self._ranges = feeds.spans(graph.outputs, self._wanted)
        self._range = self._ranges[0]

    def psnr_db(self, fallback: Collection[str]) -> float:
        """The worst picture with all but ``fallback`` in float16: infinite if equal, minus infinity if not finite."""
        return _db(max(self._errors(fallback)), self._range)

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
        """``look`` applied to every operator's float outputs, for each picture; in batches that fit into memory."""
        pixels = footprint.largest(self._pictures)
        steps = footprint.steps(self._floats, footprint.per_pixel(self._graph), STEP_MEMORY / pixels)
        seen: dict[str, list[_T]] = {}
        for picture in self._pictures:
            network = Stepwise(self._graph.model, [picture])
            for step in steps:
                (found,) = network.look(step, lambda values: {name: look(array) for name, array in values.items()})
                for name, said in found.items():
                    seen.setdefault(name, []).append(said)
        return seen

    def margin_db(self, fallback: Collection[str]) -> float:
        """The worst picture's margin over the requirement, with all but ``fallback`` in float16."""
        pairs, step = self._pairs(fallback), self._range / 255
        margins = [_db(max(_error(*each) for pair in pairs for each in pair), self._range) - ENOUGH_DB]
        levels = [(got / step, wanted / step) for pair in pairs for got, wanted in self._of_pictures(pair)]
        if levels:
            rounded = _db(max(_error(np.rint(got), np.rint(wanted)) for got, wanted in levels), 255.0)
            farthest = _db(max(_peak(got - wanted) ** 2 for got, wanted in levels), 255.0)
            margins += [rounded - ENOUGH_8_BIT_DB, farthest - _db(FARTHEST**2, 255.0)]
        signals = [_db(_error(*each), float(each[1].std())) for pair in pairs for each in self._of_values(pair)]
        return min([*margins, *(found - ENOUGH_SIGNAL_DB for found in signals)])

    def _of_values(self, pair: Sequence[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
        """The outputs other than pictures that are not constant, which are judged by their own standard deviation."""
        kinds = [spec.kind for spec in self._graph.outputs]
        return [each for each, kind in zip(pair, kinds, strict=True) if kind not in _ELSE and each[1].std() > 0]

    def _of_pictures(self, pair: Sequence[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
        return [each for each, spec in zip(pair, self._graph.outputs, strict=True) if spec.is_picture]

    def worst(self, first: frozenset[str]) -> frozenset[str]:
        """``first``, and the operators with the largest errors, as many as needed."""
        allowed = self._range**2 / 10 ** (ENOUGH_DB / 10)
        blamed = self._blame([name for name in self._nodes if name not in first], allowed / 16)
        ranked = sorted(blamed, key=lambda group: blamed[group])
        for _ in range(6):  # errors are not exactly additive: lower the target until it suffices
            sums = np.cumsum([blamed[group] for group in ranked])
            names = first.union(*(set(group) for group, total in zip(ranked, sums, strict=True) if total > allowed))
            if self.margin_db(names) >= 0:
                return names
            allowed /= 4
        return frozenset(self._nodes)

    def _blame(self, nodes: Sequence[str], small: float) -> dict[tuple[str, ...], float]:
        """Output error with only this group in float16; groups whose error is small are not split further."""
        errors = self._errors(frozenset())
        worst = errors.index(max(errors))
        groups, blamed = [tuple(nodes)], {}
        while groups:
            group = groups.pop()
            error = self._errors(set(self._nodes) - set(group), worst)[0]
            if len(group) > 1 and error > small:
                groups += [group[: len(group) // 2], group[len(group) // 2 :]]
            else:
                blamed[group] = error
        return blamed

    def _errors(self, fallback: Collection[str], only: int | None = None) -> list[float]:
        """The mean squared error of each picture, or of one."""
        return [max(_error(*each) for each in pair) for pair in self._pairs(fallback, only)]

    def _pairs(self, fallback: Collection[str], only: int | None = None) -> list[list[tuple[Array, Array]]]:
        """The outputs for each picture, or one, with all but ``fallback`` in float16, and in float32.

        All outputs are scaled to the range of the first, so that their errors are comparable.
        """
        chosen = slice(None) if only is None else slice(only, only + 1)
        found = _run(_rounded(self._graph.model, frozenset(fallback)), self._pictures[chosen])
        return [self._scaled(*each) for each in zip(found, self._wanted[chosen], strict=True)]

    def _scaled(self, got: Sequence[Array], wanted: Sequence[Array]) -> list[tuple[Array, Array]]:
        factors = [np.float32(self._range / each) for each in self._ranges]
        return [(one * by, other * by) for one, other, by in zip(got, wanted, factors, strict=True)]


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


def _run(model: ir.Model, pictures: Sequence[Feed]) -> list[list[Array]]:
    """All outputs for each feed, without optimizations, which would remove casts there and back."""
    session = graphs.session(model, as_written=True)
    return [list(session.run(None, picture)) for picture in pictures]


def _reason(graph: Graph, names: frozenset[str], why: str) -> str:
    kinds = Counter(n.op_type for n in graph.model.graph if graphs.name_of(n.outputs[0]) in names)
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f"{listed} of {len(graph.model.graph)} operators compute in float32: {why}"


def _peak(array: Array) -> float:
    return float(np.abs(array).max(initial=0.0))


def _db(error: float, value_range: float) -> float:
    return np.inf if error == 0 else float(10 * np.log10(value_range**2 / error)) if np.isfinite(error) else -np.inf
