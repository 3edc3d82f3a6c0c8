"""Intermediate tensors of a .tflite file, made outputs in an in-memory copy.

Delegates such as XNNPACK materialize them, too, since graph outputs must be readable.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Array

_NATIVE = {4: (0, 2, 3, 1)}
"""Rank -> the default axis order of a file's tensor; other orders are in its name (``NAME/0312``)."""


def with_outputs(file: bytes, wanted: Collection[str]) -> bytes:
    """The model with its int8 tensors called ``wanted`` or ``wanted/<axis order>`` as additional outputs."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))
    graph = model.subgraphs[0]
    outputs = [int(index) for index in graph.outputs]
    computed = {int(index) for operator in graph.operators for index in operator.outputs}
    for index, tensor in enumerate(graph.tensors):
        name = tensor.name.decode() if isinstance(tensor.name, bytes) else str(tensor.name)
        shown = index in computed and tensor.type == schema.TensorType.INT8 and graph_name(name) in wanted
        if shown and index not in outputs:
            outputs.append(index)
    graph.outputs = np.array(outputs, np.int32)
    builder = flatbuffers.Builder(len(file) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def graph_name(name: str) -> str:
    """The graph's name of a file's tensor."""
    start, slash, order = name.rpartition("/")
    return start if slash and order.isdigit() else name


def found(details: list[dict[str, Any]], wanted: Collection[str]) -> dict[str, dict[str, Any]]:
    """The ``wanted`` outputs by their names in the graph; of several copies of a tensor the first."""
    taps: dict[str, dict[str, Any]] = {}
    for each in details:
        name = graph_name(each["name"])
        if name in wanted and each["dtype"] is np.int8:
            taps.setdefault(name, each)
    return taps


def in_graph_order(stored: Array, name: str) -> Array:
    """A tensor transposed to the graph's axis order; ``name`` is the file's."""
    _, slash, digits = name.rpartition("/")
    own = tuple(map(int, digits)) if slash and digits.isdigit() else _NATIVE.get(stored.ndim)
    return stored if own is None else stored.transpose(np.argsort(own))
