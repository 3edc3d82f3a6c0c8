"""Convert all float dtypes, and integer inputs and outputs, to float32, in which clearport's graphs compute.

Weights in float16, bfloat16 and float64 keep their values to float32 precision. A uint8 input picture becomes float32
in 0..255; a uint8 output becomes the float value before rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.errors import BadInput
from clearport.export.from_onnx.lift_older import before, constant, layer_of
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.movers import CONCAT
from clearport.operators.quantization import REQUANTIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOATS = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})
WHOLE = frozenset({ir.DataType.INT32, ir.DataType.INT64, ir.DataType.BOOL})
_PIXELS = frozenset({ir.DataType.UINT8})
_WITHIN = 0.498
"""Offset that makes rounding equivalent to truncation: slightly less than 0.5, to avoid ties."""


def in_float32(model: ir.Model, name: str) -> ir.Model:
    """Convert a network to float32, inputs and outputs included, in place.

    Raises:
        BadInput: an integer input or output takes part in integer arithmetic, which float would change.
    """
    for value in tuple(model.graph.inputs):
        if value.dtype in _PIXELS:
            _open_input(value, name)
    for value in tuple(model.graph.outputs):
        if value.dtype in _PIXELS:
            _open_output(model.graph, value, name)
    for value in _values(model.graph):
        if value.dtype in FLOATS:
            value.type = ir.TensorType(ir.DataType.FLOAT)
        if value.const_value is not None and value.const_value.dtype in FLOATS:
            value.const_value = _widened(value.const_value, value.name)
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        _widen_attributes(node)
    return model


def open_inputs(body: ir.Graph) -> None:
    """Make integer and Boolean inputs float32, rounded to whole numbers, and single numbers vectors, in place.

    Targets take float32 alone, for a diffusion step, a class, a flag; some of them need an axis.
    """
    for value in tuple(body.inputs):
        single = value.shape is not None and not len(value.shape)
        if value.dtype not in WHOLE and not single:
            continue
        uses, first, dtype = tuple(value.uses()), body[0], value.dtype
        value.type = ir.TensorType(ir.DataType.FLOAT if dtype in WHOLE else dtype or ir.DataType.FLOAT)
        taken = value
        if single:
            value.shape = ir.Shape([1])
            taken = before(first, "Reshape", [value, constant(first, np.array([], np.int64))])
            taken.type, taken.shape = value.type, ir.Shape([])
        if dtype in WHOLE:
            taken = _whole(first, taken, dtype)
        for use in uses:
            use.node.replace_input_with(use.idx, taken)
        for place, result in enumerate(tuple(body.outputs)):
            if result is value:
                body.outputs[place] = taken


def _whole(first: ir.Node, value: ir.Value, dtype: ir.DataType) -> ir.Value:
    """The nearest number of another type, for which some targets have comparisons only."""
    if dtype == ir.DataType.BOOL:
        made = before(first, "Greater", [value, constant(first, np.array(0.5, np.float32))])
    else:
        rounded = before(first, "Round", [value])
        rounded.type, rounded.shape = value.type, value.shape
        made = before(first, "Cast", [rounded], to=int(dtype))
    made.type, made.shape = ir.TensorType(dtype), value.shape
    return made


def _moves(node: ir.Node) -> bool:
    """Whether an operator only moves data, of any dtype."""
    record = table.of(node)
    return record.kind == "mover" or record is REQUANTIZE


def _values(body: ir.Graph) -> Iterator[ir.Value]:
    yield from body.inputs
    yield from body.initializers.values()
    for node in ir.traversal.RecursiveGraphIterator(body):
        yield from node.outputs
        for value in node.inputs:
            if value is not None:
                yield value


def _widened(tensor: ir.TensorProtocol, name: str | None) -> ir.TensorProtocol:
    return ir.tensor(np.asarray(tensor.numpy()).astype(np.float32), name=name)


def _widen_attributes(node: ir.Node) -> None:
    for key, attribute in tuple(node.attributes.items()):
        if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in FLOATS:
            node.attributes[key] = ir.AttrTensor(key, _widened(attribute.as_tensor(), None))
        is_format = key == "to" or (key == "dtype" and attribute.type == ir.AttributeType.INT)
        if is_format and ir.DataType(attribute.as_int()) in FLOATS:
            node.attributes[key] = ir.AttrInt64(key, int(ir.DataType.FLOAT))


def _open_input(value: ir.Value, name: str) -> None:
    """Make values float32 from an integer input up to its Cast to float."""
    value.type = ir.TensorType(ir.DataType.FLOAT)
    for use in tuple(value.uses()):
        node = use.node
        if node.op_type == "Cast":
            continue
        if not _moves(node):
            raise BadInput(
                f"{name}: {node.op_type} {layer_of(node)!r} computes with the integer input {value.name!r}: "
                "cast the input to float first"
            )
        for written in node.outputs:
            if written.dtype != ir.DataType.FLOAT:
                _open_input(written, name)


def _open_output(body: ir.Graph, value: ir.Value, name: str) -> None:
    """Remove the final conversion to integers, except for the offset of truncation."""
    node = value.producer()
    value.type = ir.TensorType(ir.DataType.FLOAT)
    if node is None:
        return
    if _moves(node):
        for place, read in enumerate(node.inputs):
            data = place == 0 or table.of(node) is CONCAT  # exporters do not always declare intermediate dtypes
            if read is not None and (read.dtype in _PIXELS or (read.dtype is None and data)):
                _open_output(body, read, name)
        return
    if node.op_type != "Cast":
        raise BadInput(f"{name}: {node.op_type} {layer_of(node)!r} computes output {value.name!r} in integers")
    source = graphs.need(node, 0)
    rounding = source.producer()
    if rounding is not None and rounding.op_type == "Round":
        node.replace_input_with(0, graphs.need(rounding, 0))
    elif rounding is None or rounding.op_type not in {"Floor", "Ceil"}:
        lowered = before(node, "Sub", [source, constant(node, np.array(_WITHIN, np.float32))])
        ends = [constant(node, np.array(number, np.float32)) for number in (0, 255)]
        node.replace_input_with(0, before(node, "Clip", [lowered, *ends]))
    node.attributes["to"] = ir.AttrInt64("to", int(ir.DataType.FLOAT))
