"""QDQ files: models with pairs of QuantizeLinear and DequantizeLinear in 8 bits.

They are split into the float network, with dequantized weights, and the scales of its tensors, for the same passes and
targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.errors import BadInput
from clearport.export.from_onnx.lift_older import before, constant, layer_of
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array

_PAIR = ("QuantizeLinear", "DequantizeLinear")
_OTHERS = frozenset(
    {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "QGemm", "QLinearAdd"}
)
OPERATORS = _OTHERS.union(_PAIR)
"""Operators that quantize, or compute in integers."""
_NARROW = frozenset({"int4", "uint4"})
_ENDS = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}


@dataclass(frozen=True)
class Rounding:
    """A file's quantization of one tensor: its name in the float network, and the real values of the lowest and highest
    level.
    """

    value: str
    low: float
    high: float


def taken_apart(model: ir.Model, name: str) -> tuple[Rounding, ...]:
    """Convert a QDQ model to its float network, in place; returns its quantization.

    Raises:
        BadInput: it has integer operators, or its scales are computed.
    """
    others = [f"{node.op_type} {layer_of(node)!r}" for node in model.graph if node.op_type in _OTHERS]
    if others:
        raise BadInput(
            f"{name}: it holds integer operators ({', '.join(others[:4])}): convert it to QDQ form, or give the "
            "float network"
        )
    found: list[Rounding] = []
    for node in tuple(model.graph):
        if node.op_type == "DequantizeLinear":
            _dequantize(node, name, found)
    for node in tuple(model.graph):
        if node.op_type == "QuantizeLinear":
            _end_quantized(node, name, found)
    return tuple(found)


def _dequantize(node: ir.Node, name: str, found: list[Rounding]) -> None:
    """Fold DequantizeLinear: dequantize a constant, cancel a QuantizeLinear, or scale an integer input."""
    source = graphs.need(node, 0)
    array, giver = graphs.constant(source), source.producer()
    scale, zero, kind = _parameters(node, name, held=array is not None)
    if array is not None:
        real = (array.astype(np.float64) - _aligned(zero, array, node)) * _aligned(scale, array, node)
        _replace(node, constant(node, real.astype(np.float32)))
        return
    if giver is not None and giver.op_type == "QuantizeLinear":
        value = graphs.need(giver, 0)
        rounding = _rounding(value, scale, zero, kind)
        if rounding.low == 0 and not _cut(value):  # saturation replaced a ReLU
            value = before(giver, "Relu", [value])
            value.type, value.name = ir.TensorType(ir.DataType.FLOAT), f"{rounding.value}.relu"
            rounding = replace(rounding, value=value.name)
        found.append(rounding)
        _replace(node, value)
        return
    if giver is None and source.is_graph_input():
        low, high = ((end - float(zero)) * float(scale) for end in _ENDS[kind])
        moved = before(node, "Sub", [source, constant(node, np.array(zero, np.float32).reshape(()))])
        result = before(node, "Mul", [moved, constant(node, np.array(scale, np.float32).reshape(()))])
        result.type = ir.TensorType(ir.DataType.FLOAT)
        found.append(Rounding(result.name or "", low, high))
        source.type = ir.TensorType(ir.DataType.FLOAT)
        _replace(node, result)
        return
    raise BadInput(f"{name}: DequantizeLinear {layer_of(node)!r} reads computed integers")


def _cut(value: ir.Value) -> bool:
    """Whether a value is an input, a clamp's output, or known to be nonnegative."""
    node = value.producer()
    return node is None or (graphs.clamp_of(node) is not None or node.op_type in {"Sigmoid", "Softmax"})


def _end_quantized(node: ir.Node, name: str, found: list[Rounding]) -> None:
    """Remove a remaining QuantizeLinear at an integer output: the float value before rounding is the output."""
    result = node.outputs[0]
    if not result.is_graph_output():
        if not result.uses():
            graphs_of(node).remove(node)
            return
        raise BadInput(f"{name}: QuantizeLinear {layer_of(node)!r}: its integers are used in further arithmetic")
    scale, zero, kind = _parameters(node, name)
    value = graphs.need(node, 0)
    found.append(_rounding(value, scale, zero, kind))
    divided = before(node, "Div", [value, constant(node, np.array(scale, np.float32).reshape(()))])
    moved = before(node, "Add", [divided, constant(node, np.array(zero, np.float32).reshape(()))])
    low, high = _ENDS[kind]
    ends = [constant(node, np.array(end, np.float32)) for end in (low, high)]
    node.op_type = "Clip"
    node.attributes.clear()
    node.resize_inputs(3)
    for index, given in enumerate((moved, *ends)):
        node.replace_input_with(index, given)
    result.type = ir.TensorType(ir.DataType.FLOAT)


def graphs_of(node: ir.Node) -> ir.Graph:
    """The graph that contains a node."""
    assert isinstance(node.graph, ir.Graph)
    return node.graph


def _rounding(value: ir.Value, scale: Array, zero: Array, kind: str) -> Rounding:
    low, high = _ENDS[kind]
    step, offset = float(np.ravel(scale)[0]), float(np.ravel(zero)[0])
    return Rounding(value.name or "", (low - offset) * step, (high - offset) * step)


def _parameters(node: ir.Node, name: str, *, held: bool = False) -> tuple[Array, Array, str]:
    """Scale, zero point, and dtype (the zero point's); those of a constant (``held``) may be of blocks and 4 bits."""
    scale, zero = graphs.constant(graphs.need(node, 1)), graphs.constant(graphs.operand(node, 2))
    what = f"{name}: {node.op_type} {layer_of(node)!r}"
    if scale is None or (zero is None and graphs.operand(node, 2) is not None):
        raise BadInput(f"{what}: its scale or zero point is computed")
    if graphs.attr_int(node, "block_size", 0) and not held:
        raise BadInput(f"{what}: block-wise scales are not supported")
    kind = "uint8" if zero is None else str(zero.dtype)
    if kind not in _ENDS and kind != "int32" and not (held and kind in _NARROW):
        raise BadInput(f"{what}: {kind} is not supported; expected 8 bits")
    return np.asarray(scale, np.float64), np.asarray(0 if zero is None else zero, np.float64), kind


def _aligned(values: Array, array: Array, node: ir.Node) -> Array:
    """Per-axis scales, reshaped to broadcast with the array, or those of blocks, repeated along the axis."""
    if values.size == 1:
        return np.asarray(values.reshape(()))
    axis, block = graphs.attr_int(node, "axis", 1) % array.ndim, graphs.attr_int(node, "block_size", 0)
    if block:
        return np.repeat(values, block, axis).take(range(array.shape[axis]), axis)
    return np.asarray(values.reshape([-1 if i == axis else 1 for i in range(array.ndim)]))


def _replace(node: ir.Node, value: ir.Value) -> None:
    result = node.outputs[0]
    if result.is_graph_output():
        keeper = before(node, "Identity", [value])
        keeper.type, keeper.shape = result.type, result.shape
        keeper.name, result.name = result.name, f"{result.name}.rounded"
        value = keeper
    ir.convenience.replace_all_uses_with(result, value, replace_graph_outputs=True)
    giver = node.inputs[0].producer() if node.inputs[0] is not None else None
    graphs_of(node).remove(node, safe=True)
    if (
        giver is not None
        and giver.op_type == "QuantizeLinear"
        and not any(v.uses() or v.is_graph_output() for v in giver.outputs)
    ):
        graphs_of(giver).remove(giver, safe=True)


def with_float_ends(model: ir.Model) -> bool:
    """Make integer inputs and outputs of a model float, in place; returns whether there were any."""
    body, found = model.graph, False
    for value in tuple(body.inputs):
        kind = str(value.dtype).lower() if value.dtype is not None else ""
        if kind in _ENDS:
            found = True
            _round_input(body, value, kind)
    for index, value in enumerate(tuple(body.outputs)):
        if value.dtype is not None and str(value.dtype).lower() in _ENDS:
            found = True
            node = ir.node("Cast", [value], {"to": int(ir.DataType.FLOAT)})
            body.append(node)
            node.outputs[0].type, node.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), value.shape
            node.outputs[0].name, value.name = value.name, f"{value.name}.whole"
            body.outputs[index] = node.outputs[0]
    return found


def _round_input(body: ir.Graph, value: ir.Value, kind: str) -> None:
    uses, whole, first = tuple(value.uses()), value.type, body[0]
    value.type = ir.TensorType(ir.DataType.FLOAT)
    rounded = before(first, "Round", [value])
    ends = [constant(first, np.array(end, np.float32)) for end in _ENDS[kind]]
    cast = before(first, "Cast", [before(first, "Clip", [rounded, *ends])], to=int(ir.DataType[kind.upper()]))
    cast.type = whole
    for use in uses:
        use.node.replace_input_with(use.idx, cast)
