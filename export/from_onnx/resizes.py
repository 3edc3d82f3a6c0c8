"""Resize by factors in an ONNX file at fixed sizes: ONNX's shape inference finds the sizes that ONNX Runtime computes.

Both round size times factor down, inference in float64 and ONNX Runtime in float32: ten pixels times 0.7, which float32
holds as 0.699999988, are 6 and 7. A graph has inferred sizes within, and the outputs that its file had when it ran. A
factor a few float32 ulps away gives the same size in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from clearport.export import resampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clearport.base import Array


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with inferred shapes; factors that inference and ONNX Runtime read differently are moved.

    Raises:
        onnx.shape_inference.InferenceError: shapes contradict each other.
    """
    while True:
        found = onnx.shape_inference.infer_shapes(model, data_prop=True)
        shapes = {value.name: value for value in (*found.graph.input, *found.graph.value_info)}
        if not any(_moved(model.graph, node, index, shapes) for node, index in _resizes(model.graph)):
            return found


def _resizes(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Nodes that may have factors, and the index of that input: in opset 9 and 10 the second."""
    for node in graph.node:
        if node.op_type in {"Upsample", "Resize"} and len(node.input) in {2, 3}:
            yield node, len(node.input) - 1


def _moved(graph: onnx.GraphProto, node: onnx.NodeProto, index: int, shapes: Mapping[str, onnx.ValueInfoProto]) -> bool:
    """Whether factors of the node were moved."""
    factors, sides = _constant(graph, node.input[index]), _sides(shapes.get(node.input[0]))
    axes = next((list(each.ints) for each in node.attribute if each.name == "axes"), list(range(len(sides))))
    if factors is None or factors.dtype != np.float32 or len(factors) != len(axes):
        return False
    moved = factors.copy()
    for place, axis in enumerate(axes):
        if (side := sides[axis]) is not None:
            moved[place] = resampling.moved(factors[place], side, int(np.floor(factors[place] * np.float32(side))))
    if np.array_equal(moved, factors):
        return False
    name = f"{node.output[0]}.factors"
    if name in {tensor.name for tensor in graph.initializer}:
        return False
    graph.initializer.append(numpy_helper.from_array(moved, name))
    node.input[index] = name
    return True


def _sides(value: onnx.ValueInfoProto | None) -> list[int | None]:
    """Sizes of the axes; None for one that is not known."""
    if value is None:
        return []
    sides = value.type.tensor_type.shape.dim
    return [side.dim_value if side.HasField("dim_value") else None for side in sides]


def _constant(graph: onnx.GraphProto, name: str) -> Array | None:
    for tensor in graph.initializer:
        if tensor.name == name:
            return np.asarray(numpy_helper.to_array(tensor))
    for node in graph.node:
        if node.op_type == "Constant" and name in node.output and node.attribute[0].name == "value":
            return np.asarray(numpy_helper.to_array(node.attribute[0].t))
    return None
