"""Graphs, scale tables and rows as messages of ``runtime.worker.wire``: JSON, and the bytes of ONNX models as arrays.

Fields are written and read by their types, so that new fields of ``Graph`` or ``ScaleTable`` are included.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
import onnx_ir as ir
from pydantic import TypeAdapter

from clearport.base import Artifact, Graph, Options, Skipped
from clearport.graph import nodes as graphs
from clearport.quantized import QuantizedGraph, ScaleTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array

_ROWS: TypeAdapter[list[Artifact | Skipped]] = TypeAdapter(list[Artifact | Skipped])
OPTIONS = TypeAdapter(Options)
"""Adapter of an export's options."""

_TABLE: TypeAdapter[ScaleTable] = TypeAdapter(ScaleTable)


def pack_graph(graph: Graph) -> tuple[dict[str, Any], Array]:
    """The fields of a graph as JSON values, and its model as the bytes (N,) uint8 of an ONNX file."""
    head = {name: adapter.dump_python(getattr(graph, name), mode="json") for name, adapter in _adapters().items()}
    return head, np.frombuffer(graphs.to_bytes(graph.model), np.uint8)


def unpack_graph(head: Mapping[str, Any], model: Array) -> Graph:
    """The graph of ``pack_graph``."""
    read = {name: adapter.validate_python(head[name]) for name, adapter in _adapters().items()}
    return Graph(model=unpack_model(model.tobytes()), **read)


def unpack_model(data: bytes) -> ir.Model:
    """The model of an ONNX file in memory; its constants are NumPy arrays."""
    import onnx

    model: ir.Model = ir.from_proto(onnx.ModelProto.FromString(data))
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        value.const_value = ir.tensor(np.array(value.const_value.numpy()), name=value.name)
    return model


def pack_quantized(quantized: QuantizedGraph) -> tuple[dict[str, Any], Array]:
    """``pack_graph`` of a quantized graph, with its scale table."""
    head, model = pack_graph(quantized.graph)
    return {"graph": head, "table": _TABLE.dump_python(quantized.table, mode="json")}, model


def unpack_quantized(head: Mapping[str, Any], model: Array) -> QuantizedGraph:
    """The quantized graph of ``pack_quantized``."""
    return QuantizedGraph(unpack_graph(head["graph"], model), _TABLE.validate_python(head["table"]))


def pack_rows(rows: Sequence[Artifact | Skipped]) -> list[dict[str, Any]]:
    """A target's artifacts and skipped rows, as JSON values."""
    found: list[dict[str, Any]] = _ROWS.dump_python(list(rows), mode="json")
    return found


def unpack_rows(rows: Any) -> list[Artifact | Skipped]:
    """The rows of ``pack_rows``."""
    return _ROWS.validate_python(rows)


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """Adapters of every field of a graph but its model."""
    hints = get_type_hints(Graph, localns={"ir": ir})
    return {field.name: TypeAdapter(hints[field.name]) for field in fields(Graph) if field.name != "model"}
