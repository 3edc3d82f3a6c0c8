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
    from clearport.quantize.placement.fold import Folded
    from clearport.quantized import QParams

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
        """The quantized graph of ``graph``, the float graph of the same network for any size.

        Operators that have no int8 form at this size (a Resize to a size that is computed) are float, and their outputs
        are rounded behind them.

        Raises:
            BadInput: it has other layers.
        """
        base = flow.prepared(graph)
        known, arrays = self._renamed(base)
        folded = mixed.lowered(base, placement.floats(base, known.floats), known.bounds)
        entries = _entries(folded, known.table)
        _check(folded.graph, arrays)
        whole = graphs.check(weights.replaced(folded.graph, arrays))
        return QuantizedGraph(leaky_relu.expressed(whole, entries), ScaleTable(entries, known.table.calibration))

    def trained(self, graph: Graph, learned: QuantizedGraph) -> Form:
        """The form with the constants of ``learned``, which is ``on(graph)`` with others, and with its record."""
        back = skeleton.renaming(skeleton.layers(flow.prepared(graph)), self.decisions.layers)
        before = self.on(graph).graph.model.graph.initializers
        arrays, entries = dict(self.arrays), dict(self.decisions.table.entries)
        for name, value in learned.graph.model.graph.initializers.items():
            array, known = (np.asarray(graphs.constant(each)) for each in (value, before[name]))
            if not np.array_equal(array, known):
                arrays[back.value(name)] = np.asarray(array, np.float32)
            if name in learned.table:
                entries[back.value(name)] = learned.table[name]
        table = ScaleTable(entries, {**learned.table.calibration, **_named(self.decisions.table)})
        return Form(replace(self.decisions, table=table), arrays)

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


def _named(table: ScaleTable) -> dict[str, Any]:
    """What a record says of nodes by name."""
    return {name: table.calibration[name] for name in ("islands", "tail", "float_layers")}


def _entries(folded: Folded, table: ScaleTable) -> dict[str, QParams]:
    """The parameters of a folded graph's int8 values and constants; a copy of a value that is float here has its own.

    Raises:
        BadInput: one has none.
    """
    constants = [name for name in folded.graph.model.graph.initializers if name in table]
    names = [name for v in graphs.values(folded.graph) if (name := graphs.name_of(v)) not in folded.floats]
    entries: dict[str, QParams] = {}
    for name in (*names, *constants):
        found = name if name in table else name.removesuffix(".int8")
        if found not in table:
            raise BadInput(f"value {name} is int8 here, and has no scale in the int8 form")
        entries[name] = table[found]
    return entries


def _check(graph: Graph, arrays: Mapping[str, Array]) -> None:
    """Whether the arrays are constants of the graph.

    Raises:
        BadInput: they are not.
    """
    constants = {name: graphs.constant(value) for name, value in graph.model.graph.initializers.items()}
    for name, array in arrays.items():
        have = constants.get(name)
        if have is None or have.shape != array.shape:
            shape = "it is missing" if have is None else f"{list(have.shape)}"
            raise BadInput(f"constant {name} has the shape {list(array.shape)} in the int8 form, and here {shape}")
