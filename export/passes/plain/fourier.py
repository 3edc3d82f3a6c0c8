"""Decompose discrete Fourier transforms into products with a matrix.

Given: DFT along one axis at a fixed size, forward or inverse, real or complex, full or one-sided. Result: one MatMul
along that axis, with real and imaginary parts concatenated; the matrix is ONNX Runtime's own transform of the unit
vectors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, each_float, fixed, insert, reshaped
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph

_MOST = 1 << 24
"""Maximum elements of a matrix."""


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {"DFT": _transform})


def _transform(node: ir.Node) -> ir.Value | None:
    source, axis = graphs.need(node, 0), graphs.scalar(graphs.operand(node, 2))
    before, after = fixed(source), fixed(node.outputs[0])
    if before is None or after is None or (axis is None and graphs.operand(node, 2) is not None):
        return None
    place = int(-2 if axis is None else axis) % len(before)
    length, parts, made = before[place], before[-1], after[place] * after[-1]
    if length * parts * made > _MOST or place == len(before) - 1:
        return None
    others = [k for k in range(len(before) - 1) if k != place]
    order = [*others, place, len(before) - 1]
    turned = insert(node, "Transpose", [source], [before[k] for k in order], {"perm": order})
    rows = math.prod(before[k] for k in others)
    flat = reshaped(node, turned, (rows, length * parts))
    matrix = constant(node, "transform", _matrix(node, length, parts))
    product = insert(node, "MatMul", [flat, matrix], (rows, made))
    whole = reshaped(node, product, [after[k] for k in order])
    return insert(node, "Transpose", [whole], after, {"perm": [order.index(k) for k in range(len(order))]})


def _matrix(node: ir.Node, length: int, parts: int) -> Array:
    """(length * parts, new length * new parts): the transform of each unit vector."""
    import onnxruntime as ort

    units = np.eye(length * parts, dtype=np.float32).reshape(-1, length, parts)
    source = ir.val("units", ir.DataType.FLOAT, ir.Shape(units.shape))
    held = {"axis": np.array(1, np.int64)}
    size = graphs.constant(graphs.operand(node, 1))
    if size is not None:
        held["size"] = np.array(int(size.reshape(-1)[0]), np.int64)
    values = {name: ir.val(name, const_value=ir.tensor(array, name=name)) for name, array in held.items()}
    attributes = [attribute for name, attribute in node.attributes.items() if name != "axis"]
    made = ir.Node("", "DFT", [source, values.get("size"), values["axis"]], attributes)
    made.outputs[0].name, made.outputs[0].type = "made", ir.TensorType(ir.DataType.FLOAT)
    body = ir.Graph(
        [source],
        made.outputs,
        nodes=[made],
        initializers=list(values.values()),
        opset_imports={"": graphs.OPSET},
        name="one axis",
    )
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(
        graphs.to_bytes(ir.Model(body, ir_version=10)), options, providers=["CPUExecutionProvider"]
    )
    found: Array = session.run(None, {"units": units})[0]
    return found.reshape(len(units), -1)
