"""ONNX files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.disk.files import size_bytes
from clearport.pipeline.formats.described import Described, Tally, end

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import TensorSpec

_SUMS = {"Conv": 0, "ConvTranspose": 0, "Gemm": 0, "MatMul": 1}


def described(path: Path) -> Described:
    """See ``Described``; sizes come from ONNX's shape inference."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    graph = model.graph
    names = {init.name for init in graph.initializer}
    values = [*graph.input, *graph.output, *graph.value_info]
    shapes = {v.name: _shape(v) for v in values} | {i.name: tuple(i.dims) for i in graph.initializer}
    copies = {n.output[0]: n.input[0] for n in graph.node if n.op_type in {"DequantizeLinear", "QuantizeLinear"}}
    tally = Tally()
    for init in graph.initializer:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(init.data_type)
        tally.weights[str(dtype)] += int(np.prod(init.dims, dtype=np.int64)) * dtype.itemsize
    for node in graph.node:
        tally.operators[node.op_type] += 1
        if node.op_type in _SUMS and len(node.input) > 1:
            weight = shapes.get(node.input[1]) or shapes.get(copies.get(node.input[1], ""), ())
            _count(tally, node, weight, shapes)
    opsets = ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in model.opset_import)
    inputs = tuple(_end(v, graph) for v in graph.input if v.name not in names)
    outputs = tuple(_end(v, graph) for v in graph.output)
    size, remarks = size_bytes(path), (f"opset {opsets}",)
    return Described(path, "onnxruntime", size, inputs, outputs, tally.operators, tally.weights, tally.macs, remarks)


def _count(tally: Tally, node: Any, weight: tuple[Any, ...], shapes: dict[str, tuple[Any, ...]]) -> None:
    """Count a layer; a transposed convolution has products per input element."""
    transposed = node.op_type == "ConvTranspose"
    result = shapes.get(node.input[0] if transposed else node.output[0], (None,))
    axis = len(weight) - 1 if node.op_type == "MatMul" else _SUMS[node.op_type]
    axis = 1 if node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute) else axis
    tally.add(weight or (None,), axis, result)


def _shape(value: Any) -> tuple[int | str, ...]:
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in dims)


def _end(value: Any, graph: Any) -> TensorSpec:
    import onnx

    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    constants = {i.name: i for i in graph.initializer}
    for node in graph.node:  # an integer input or output of a QDQ model has the scale of the adjacent node
        ends = node.input[:1] if node.op_type == "DequantizeLinear" else node.output[:1]
        if node.op_type in {"DequantizeLinear", "QuantizeLinear"} and value.name in ends and len(node.input) == 3:
            scale, zero = (onnx.numpy_helper.to_array(constants[name]) for name in node.input[1:])
            return end(value.name, _shape(value), dtype, float(scale), int(zero))
    return end(value.name, _shape(value), dtype)
