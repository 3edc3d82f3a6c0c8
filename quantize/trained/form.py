"""An int8 form as data: it turns the network's float graph, for any input size, into the same quantized graph.

It holds the decisions of a quantization (float nodes, ranges, scale table) and the constants that differ from the float
graph's, so that no calibration is needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from clearport.errors import BadInput
from clearport.graph import nodes as graphs
from clearport.quantize import flow
from clearport.quantize.placement import floats as placement
from clearport.quantize.placement import mixed
from clearport.quantize.ranges import leaky_relu
from clearport.quantize.trained import skeleton
from clearport.quantize.weights import arrays as weights
from clearport.quantized import QuantizedGraph, ScaleTable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from clearport.base import Array, Graph

Bounds = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Decisions:
    """The decisions of a quantization, by the names of the float graph's layers.

    Attributes:
        layers: those of the float graph (``flow.prepared``).
        floats: the nodes that compute in float.
        bounds: value name -> minimum and maximum real value on the calibration photos.
        table: the scale table.
    """

    layers: tuple[skeleton.Layer, ...]
    floats: tuple[str, ...]
    bounds: Bounds
    table: ScaleTable


_DECISIONS: TypeAdapter[Decisions] = TypeAdapter(Decisions)


@dataclass(frozen=True)
class Form:
    """An int8 form; ``arrays`` (float32, by name) are the quantized graph's constants that differ from the float
    graph's.
    """

    decisions: Decisions
    arrays: Mapping[str, Array]

    def on(self, graph: Graph) -> QuantizedGraph:
        """The quantized graph of ``graph``, a float graph of the same network for any input size.

        Raises:
            BadInput: it has other layers.
        """
        base = flow.prepared(graph)
        known, arrays = self._renamed(base)
        folded = mixed.lowered(base, placement.floats(base, known.floats), known.bounds)
        _check(folded.graph, known.table.entries, arrays)
        whole = graphs.check(weights.replaced(folded.graph, arrays))
        return QuantizedGraph(leaky_relu.expressed(whole, known.table.entries), known.table)

    def trained(self, graph: Graph, quantized: QuantizedGraph) -> Form:
        """The form with the constants and scales of ``quantized``, a trained version of ``on(graph)``."""
        base = flow.prepared(graph)
        known, _ = self._renamed(base)
        return _made(base, quantized, placement.floats(base, known.floats), known.bounds)

    def _renamed(self, base: Graph) -> tuple[Decisions, dict[str, Array]]:
        """Decisions and arrays with the names of another graph of the same layers.

        Raises:
            BadInput: it has other layers.
        """
        known = self.decisions
        found = skeleton.renaming(known.layers, skeleton.layers(base))
        entries = {found.value(name): params for name, params in known.table.entries.items()}
        record = dict(known.table.calibration)
        record["islands"] = {found.nodes.get(name, name): what for name, what in record["islands"].items()}
        for what in ("tail", "float_layers"):
            record[what] = [found.nodes.get(name, name) for name in record[what]]
        decided = Decisions(
            skeleton.layers(base),
            tuple(sorted(found.nodes[name] for name in known.floats if name in found.nodes)),
            {found.value(name): ends for name, ends in known.bounds.items()},
            ScaleTable(entries, record),
        )
        return decided, {found.value(name): array for name, array in self.arrays.items()}

    def to_text(self) -> str:
        """The decisions as JSON."""
        return json.dumps(_DECISIONS.dump_python(self.decisions, mode="json"), separators=(",", ":"))


def of_text(text: str, arrays: Mapping[str, Array]) -> Form:
    """The form from the text of ``Form.to_text`` and its arrays.

    Raises:
        BadInput: the text is not an int8 form.
    """
    try:
        return Form(_DECISIONS.validate_json(text), arrays)
    except (ValidationError, ValueError) as error:
        raise BadInput(f"not an int8 form of clearport: {str(error).splitlines()[0]}") from error


def form_of(graph: Graph, quantized: QuantizedGraph) -> Form:
    """The form that reproduces ``quantized``, which was quantized from ``graph`` with ``QuantizeOptions.bounds``.

    Raises:
        ValueError: the calibration record of ``quantized`` has no bounds.
    """
    record = dict(quantized.table.calibration)
    if "bounds" not in record:
        raise ValueError("quantize with bounds=True")
    bounds: Bounds = {name: (low, high) for name, (low, high) in record.pop("bounds").items()}
    base = flow.prepared(graph)
    floats = placement.floats(base, [*record["islands"], *record["tail"], *record["float_layers"]])
    return _made(base, replace(quantized, table=replace(quantized.table, calibration=record)), floats, bounds)


def _made(base: Graph, quantized: QuantizedGraph, floats: Collection[str], bounds: Bounds) -> Form:
    plain = mixed.lowered(base, frozenset(floats), bounds).graph.model.graph.initializers
    found = ((name, graphs.constant(value)) for name, value in quantized.graph.model.graph.initializers.items())
    arrays = {
        name: np.asarray(array, np.float32)
        for name, array in found
        if array is not None
        and array.dtype == np.float32
        and not np.array_equal(array, np.asarray(graphs.constant(plain[name])))
    }
    return Form(Decisions(skeleton.layers(base), tuple(sorted(floats)), bounds, quantized.table), arrays)


def _check(graph: Graph, entries: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Check that table and arrays match the values and constants of the graph.

    Raises:
        BadInput: they do not.
    """
    constants = {name: graphs.constant(value) for name, value in graph.model.graph.initializers.items()}
    for name, array in arrays.items():
        have = constants.get(name)
        if have is None or have.shape != array.shape:
            raise BadInput(
                f"constant {name} has the shape {list(array.shape)} in the int8 form, and here "
                f"{'is missing' if have is None else list(have.shape)}"
            )
    known = constants.keys() | {graphs.name_of(value) for value in graphs.values(graph)}
    lost = [name for name in entries if name not in known]
    if lost:
        raise BadInput(f"value {lost[0]} of the int8 form is missing here")
