"""Nonnegative computed indices: runtimes differ in the meaning of -1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from clearport.export.passes.rewriting import body_of, insert, sizes
from clearport.export.passes.signs import never_negative
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array


def from_front(node: ir.Node, indices: ir.Value, lengths: Array) -> ir.Value:
    """``indices`` (integers), with ``lengths`` added to negative ones; unchanged if none can be negative."""
    if never_negative(indices):
        return indices
    dtype, shape = indices.dtype or ir.DataType.INT64, sizes(indices)
    zero, whole = (
        graphs.new_constant(body_of(node), f"{node.outputs[0].name}.{word}", array.astype(dtype.numpy()))
        for word, array in (("zero", 0 * lengths), ("length", lengths))
    )
    behind = _typed(insert(node, "Less", [indices, zero], shape), ir.DataType.BOOL)
    counted = _typed(insert(node, "Cast", [behind], shape, {"to": int(dtype)}), dtype)
    added = _typed(insert(node, "Mul", [counted, whole], shape), dtype)
    return _typed(insert(node, "Add", [indices, added], shape), dtype)


def _typed(value: ir.Value, dtype: ir.DataType) -> ir.Value:
    value.type = ir.TensorType(dtype)
    return value
