"""The ONNX form of a quantized graph: float operators between QuantizeLinear and DequantizeLinear.

ONNX Runtime and OpenVINO fuse it to integer kernels, and any ONNX runtime can evaluate it: it is the reference for
every int8 artifact. Float values have no QuantizeLinear after them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx_ir as ir

from clearport.graph import nodes as graphs
from clearport.operators.activations import CLIP
from clearport.operators.binary import MAX
from clearport.operators.quantization import DEQUANTIZE, QUANTIZE, REQUANTIZE
from clearport.quantize import scheme

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from clearport.base import Array, TensorSpec
    from clearport.graph.nodes import Activation
    from clearport.quantized import QParams, QuantizedGraph, ScaleTable

_OFFSET = {"int8": 0, "uint8": 128}
_STORED = {"int8": ir.DataType.INT8, "uint8": ir.DataType.UINT8, "uint16": ir.DataType.UINT16}

WIDE_OPSET, WIDE_IR_VERSION = 21, 10
"""The first opset whose QuantizeLinear has uint16, and its IR version: ONNX Runtime 1.18 and later."""

_LOWEST = np.float32(np.finfo(np.float32).min)


def to_qdq(
    quantized: QuantizedGraph,
    activations: Literal["uint8", "int8"] = "uint8",
    io: Literal["uint8", "float32"] = "float32",
) -> ir.Model:
    """The QDQ model; weights are int8 and biases int32 initializers behind a DequantizeLinear each, constant operands
    of sums and products have the dtype of activations. What the table has as uint16 is uint16, which needs opset 21.

    Args:
        activations: the dtype between operators: uint8 is equivalent to the int8 table (zero point + 128, same real
            values) and supported by x86 kernels.
        io: ``float32`` inputs and outputs are real values; with ``uint8``, pictures are pixels and everything else real
            values (only with uint8 activations).
    """
    if io == "uint8" and activations != "uint8":
        raise ValueError("uint8 pixels need uint8 activations")
    return graphs.check(replace(quantized.graph, model=simulated(quantized, activations, io))).model


def simulated(
    quantized: QuantizedGraph,
    activations: Literal["uint8", "int8"] = "uint8",
    io: Literal["uint8", "float32"] = "float32",
) -> ir.Model:
    """``to_qdq`` without its check, for the many short-lived models of a search."""
    writer = _Writer(graphs.clone(quantized.graph).model.graph, quantized.table, activations)
    values = [*writer.body.inputs, *(out for node in writer.body for out in node.outputs)]
    activated = [value for value in values if value.name in quantized.table]
    writer.dequantize_constants()
    writer.guard_floats()
    for value in activated:
        writer.quantize(value)
    if io == "uint8":
        writer.open_ends(*({s.name for s in specs if s.is_picture} for specs in _ends(quantized)))
    return _model(writer, quantized)


def _ends(quantized: QuantizedGraph) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    return quantized.graph.inputs, quantized.graph.outputs


def with_free_scales(quantized: QuantizedGraph) -> ir.Model:
    """The QDQ model (uint8) whose activation parameters are inputs ``<tensor>.scale`` and ``<tensor>.zero_point``.

    One session can then try many scale tables.
    """
    model = simulated(quantized)
    body = model.graph
    for value in graphs.values(quantized.graph):
        if value.name not in quantized.table:
            continue
        for part in ("scale", "zero_point"):
            free = body.initializers.pop(f"{value.name}.{part}")
            free.const_value = None
            body.inputs.append(free)
    return model


def parameters(entries: Mapping[str, QParams]) -> dict[str, Array]:
    """The feeds of ``with_free_scales`` besides the image, for the activations in ``entries``."""
    scales: dict[str, Array] = {f"{k}.scale": np.asarray(p.scale[0], np.float32) for k, p in entries.items()}
    zeros = {f"{k}.zero_point": np.asarray(p.zero_point + _OFFSET["uint8"], np.uint8) for k, p in entries.items()}
    return {**scales, **zeros}


def with_switches(quantized: QuantizedGraph, clamps: Mapping[str, Activation]) -> ir.Model:
    """The float graph in which each activation of the table is rounded to its grid where ``<tensor>.on`` is true.

    One session can then measure the effect of rounding each of them. ``clamps``, by value, are those that the table's
    ranges implement: they also apply where a value is not rounded.
    """
    writer = _Writer(graphs.clone(quantized.graph).model.graph, quantized.table, "uint8")
    values = [*writer.body.inputs, *(out for node in writer.body for out in node.outputs)]
    switches = [writer.switch(v, clamps.get(graphs.name_of(v))) for v in values if v.name in quantized.table]
    model = _model(writer, quantized)
    for switch in switches:
        found = model.graph.initializers.pop(switch)
        found.const_value = None
        model.graph.inputs.append(found)
    return model


def _model(writer: _Writer, quantized: QuantizedGraph) -> ir.Model:
    model = quantized.graph.model
    result = ir.Model(writer.body, ir_version=model.ir_version, producer_name=model.producer_name, producer_version="")
    if any(params.dtype == "uint16" for params in quantized.table.entries.values()):
        result.graph.opset_imports[""] = WIDE_OPSET
        result.ir_version = WIDE_IR_VERSION
    result.graph.sort()
    return result


class _Writer:
    """Edits its own copy of one graph in place."""

    def __init__(self, body: ir.Graph, table: ScaleTable, activations: Literal["uint8", "int8"]) -> None:
        self.body, self.table = body, table
        self.dtype = activations

    def dequantize_constants(self) -> None:
        """Replace each quantized initializer by its integers and a DequantizeLinear.

        Weights that several operators share get integers for each: where ONNX Runtime (1.31) makes them uint8, on x86
        CPUs without VNNI, it does so for each reader under one name, and the second fails.
        """
        for name, value in list(self.body.initializers.items()):
            if name not in self.table:
                continue
            readers = list(value.uses())
            apart = self.table[name].dtype == "int8" and self.table[name].axis is not None
            for number, uses in enumerate([[use] for use in readers] if apart else [readers]):
                real = self._dequantized(value, name, f"{name}.{number + 1}" if number else name, uses[0].node)
                for reader, index in uses:
                    reader.replace_input_with(index, real)
            del self.body.initializers[name]

    def _dequantized(self, value: ir.Value, name: str, new: str, first: ir.Node) -> ir.Value:
        """The real values of an initializer, from integers called after ``new``, for ``first`` and later nodes."""
        params, array = self.table[name], graphs.constant(value)
        assert array is not None
        integers, zero_point = self._stored(scheme.to_integers(array, params), params)
        levels = graphs.new_constant(self.body, f"{new}.q", integers)
        scale, zero = self._parameters(new, params, zero_point)
        node = ir.node(DEQUANTIZE.name, [levels, scale, zero], _axis(params), name=f"{new}.dequantize")
        self._name(node, f"{new}.real", ir.DataType.FLOAT, value)
        self.body.insert_before(first, node)
        return node.outputs[0]

    def _stored(self, levels: Array, params: QParams) -> tuple[Array, Array]:
        """The levels of a constant as they are stored, and their zero point.

        An operand of a sum or product gets the dtype of activations: beside uint8 ones, ONNX Runtime (1.31) computes a
        sum with an int8 constant in float. Weights (with an axis) and biases stay int8 and int32.
        """
        if params.dtype == "uint16":
            return levels, np.asarray(params.zero_point, np.uint16)
        if params.dtype == "int8" and params.axis is None and self.dtype == "uint8":
            shifted: Array = (levels.astype(np.int16) + _OFFSET["uint8"]).astype(np.uint8)
            return shifted, np.asarray(_OFFSET["uint8"], np.uint8)
        return levels, np.zeros((), params.dtype)

    def guard_floats(self) -> None:
        """Replace the Identity where a float value becomes int8 by a no-op.

        With default settings ONNX Runtime (1.31) would convert float operators between a DequantizeLinear and a
        QuantizeLinear to int8, also across quantization-agnostic operators: a Softmax then loses 30 dB, a convolution
        and a Gemm get 8-bit weights with one scale for all channels. A Max with the lowest number is the cheapest
        operator that it neither removes nor fuses.
        """
        for node in self.body:
            source, written = node.inputs[0], node.outputs[0]
            if node.op_type != REQUANTIZE.name or written.name not in self.table or source is None:
                continue
            if source.name not in self.table:
                node.op_type = MAX.name
                node.resize_inputs(2)
                node.replace_input_with(1, graphs.new_constant(self.body, f"{written.name}.lowest", _LOWEST))

    def quantize(self, value: ir.Value) -> None:
        """Insert QuantizeLinear and DequantizeLinear after ``value``, for all of its consumers."""
        name = graphs.name_of(value)
        params = self.table[name]
        readers = tuple(value.uses())
        dtype, zero_point = self._activation(params)
        scale, zero = self._parameters(name, params, np.asarray(zero_point, dtype))
        down = ir.node(QUANTIZE.name, [value, scale, zero], name=f"{name}.quantize")
        up = ir.node(DEQUANTIZE.name, [down.outputs[0], scale, zero], name=f"{name}.dequantize")
        self._name(down, f"{name}.q", _STORED[dtype], value)
        self._name(up, f"{name}.real", ir.DataType.FLOAT, value)
        for reader, index in readers:
            reader.replace_input_with(index, up.outputs[0])
        place = value.producer()
        if place is None:
            self.body.insert_before(self.body[0], [down, up])
        else:
            self.body.insert_after(place, [down, up])
        if value.is_graph_output():
            self._leave(value, up.outputs[0])

    def _activation(self, params: QParams) -> tuple[str, int]:
        """The dtype and the zero point of an activation in the file."""
        if params.dtype == "uint16":
            return params.dtype, params.zero_point
        return self.dtype, params.zero_point + _OFFSET[self.dtype]

    def switch(self, value: ir.Value, clamp: Activation | None) -> str:
        """Let consumers of ``value`` read it rounded to its grid, or only clamped, by a constant; returns the
        constant's name.
        """
        name = graphs.name_of(value)
        self.quantize(value)
        up = next(node for node in self.body if node.name == f"{name}.dequantize")
        on = graphs.new_constant(self.body, f"{name}.on", np.array(True))
        rounded = up.outputs[0]
        chosen = ir.node("Where", [on, rounded, self._clamped(up, value, clamp)], name=f"{name}.switch")
        self._name(chosen, f"{name}.chosen", ir.DataType.FLOAT, value)
        for use in tuple(rounded.uses()):
            if use.node is not chosen:
                use.node.replace_input_with(use.idx, chosen.outputs[0])
        self.body.append(chosen)
        if rounded.is_graph_output():
            self._leave(rounded, chosen.outputs[0], "rounded")
        return f"{name}.on"

    def _clamped(self, after: ir.Node, value: ir.Value, clamp: Activation | None) -> ir.Value:
        if clamp is None:
            return value
        ends = zip(("lo", "hi"), np.clip([clamp.lo, clamp.hi], _LOWEST, -_LOWEST), strict=True)
        bounds = [graphs.new_constant(self.body, f"{value.name}.{end}", np.float32(at)) for end, at in ends]
        node = ir.node(CLIP.name, [value, *bounds], name=f"{value.name}.clamp")
        self._name(node, f"{value.name}.clamped", ir.DataType.FLOAT, value)
        self.body.insert_after(after, node)
        return node.outputs[0]

    def open_ends(self, sources: Collection[str], results: Collection[str]) -> None:
        """Use uint8 pixels at both ends: drop the first QuantizeLinear and the last DequantizeLinear."""
        for source in self.body.inputs:
            if source.name in sources:
                self._open_source(source)
        for result in tuple(self.body.outputs):
            if result.name in results:
                self._open_result(result)

    def _open_source(self, source: ir.Value) -> None:
        first = next(node for node in graphs.consumers(source) if node.op_type == QUANTIZE.name)
        pixels = first.outputs[0]
        ir.convenience.replace_all_uses_with(pixels, source)
        self.body.remove(first, safe=True)
        source.type = ir.TensorType(_STORED[self.dtype])

    def _open_result(self, result: ir.Value) -> None:
        last = result.producer()
        assert last is not None
        levels = graphs.need(last, 0)
        self._leave(result, levels)
        if not result.uses():
            self.body.remove(last, safe=True)

    def _leave(self, old: ir.Value, new: ir.Value, state: str = "computed") -> None:
        """Output ``new`` from the graph under the name of ``old``."""
        name = old.name
        self.body.outputs[list(self.body.outputs).index(old)] = new
        old.name = f"{name}.{state}"
        new.name = name

    def _parameters(self, name: str, params: QParams, zero_point: np.ndarray) -> tuple[ir.Value, ir.Value]:
        shape = () if params.axis is None else (len(params.scale),)
        scale = np.asarray(params.scale, np.float32).reshape(shape)
        zeros = np.broadcast_to(zero_point, shape)
        return (
            graphs.new_constant(self.body, f"{name}.scale", scale),
            graphs.new_constant(self.body, f"{name}.zero_point", zeros),
        )

    def _name(self, node: ir.Node, name: str, dtype: ir.DataType, like: ir.Value) -> None:
        written = node.outputs[0]
        written.name, written.type, written.shape = name, ir.TensorType(dtype), like.shape


def _axis(params: QParams) -> dict[str, int]:
    return {} if params.axis is None else {"axis": params.axis}
