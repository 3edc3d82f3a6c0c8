"""TFLite rules: comparisons, logic, selection (Where) and casts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from clearport.export.tflite.lower import Lowering
from clearport.export.tflite.operands import aligned

if TYPE_CHECKING:
    import onnx_ir as ir

_TYPES = {"bool": "BOOL", "float32": "FLOAT32", "int32": "INT32", "int64": "INT64"}


def comparison(low: Lowering, node: ir.Node, op: str) -> None:
    """Greater, Equal, And and the like -> GREATER, EQUAL, LOGICAL_AND and the like, with Boolean output."""
    inputs, order = aligned(low, node)
    low.write(node, op, inputs, np.broadcast_shapes(*(t.dims for t in inputs)), order)


def negation(low: Lowering, node: ir.Node) -> None:
    """Not -> LOGICAL_NOT."""
    given, order = low.stored(node)
    low.write(node, "LOGICAL_NOT", [given], given.dims, order)


def where(low: Lowering, node: ir.Node) -> None:
    """Where -> SELECT_V2."""
    inputs, order = aligned(low, node)
    low.write(node, "SELECT_V2", inputs, np.broadcast_shapes(*(t.dims for t in inputs)), order)


def cast(low: Lowering, node: ir.Node) -> None:
    """Cast -> CAST."""
    given, order = low.stored(node)
    wanted = low.dtype(node.outputs[0])
    if given.dtype == wanted:
        low.bind(node, given, order)
        return
    ends = (getattr(schema.TensorType, _TYPES[dtype]) for dtype in (given.dtype, wanted))
    low.write(node, "CAST", [given], given.dims, order, **dict(zip(("inDataType", "outDataType"), ends, strict=True)))
