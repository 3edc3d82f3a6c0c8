"""ONNX models of single steps: their comparisons, and extraction from the QDQ model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.operators import table
from clearport.operators.activations import CLIP
from clearport.operators.binary import ADD, DIV, SUB
from clearport.operators.choices import CAST, GREATER
from clearport.operators.quantization import DEQUANTIZE
from clearport.operators.reductions import REDUCE_SUM
from clearport.operators.unary import ABS

if TYPE_CHECKING:
    import onnx

    from clearport.base import Array

GIVEN = "{}.given"
"""The input of a step model with a tensor's levels: uint8, in the axes of the graph."""

LEVELS, OFF = "{}.q", "{}:off"
"""Outputs of a step model."""

TIE = 0.01
"""Distance from the boundary between two levels, in levels, within which a value may be rounded either way.

Some steps meet exact halves on many values, linear interpolation and leaky ReLUs with a ratio of scales such as 3.75.
Sums of float32 were up to 0.0002 levels off, XNNPACK's linear interpolation, whose weights have 11 bits, up to 0.0135
(RLFN at 360x640, three values of 15 million were over 0.01).
"""


class Writer:
    """Appends the comparisons of steps to a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in described(graph)}
        self.constant("steps:low", np.array(0, np.float32))
        self.constant("steps:high", np.array(255, np.float32))
        self.constant("steps:most", np.array(0.5 + TIE, np.float32))

    def compare(self, name: str, quantize: onnx.NodeProto, hidden: Mapping[str, onnx.NodeProto]) -> None:
        """The output ``OFF``: number of given levels that are not a rounding of the step's exact value, per channel.

        ``hidden`` are the roundings to the same grid that the runtime does not show. Where only moves follow one, the
        step rounds its values a second time, which changes nothing; the runtime may round but once, and ties are ties
        of the value before both.
        """
        from onnx import TensorProto, helper

        value, scale, zero = quantize.input[:3]
        value = self._before(value, hidden)
        given = self._cast(GIVEN.format(name))
        counted = self._node(ADD.name, self._node(DIV.name, value, scale), self._cast(zero))
        exact = self._node(CLIP.name, counted, "steps:low", "steps:high")
        missed = self._node(GREATER.name, self._node(ABS.name, self._node(SUB.name, given, exact)), "steps:most")
        rank = self._ranks.get(f"{name}.q", 0)
        axes = np.array([axis for axis in range(rank) if axis != 1], np.int64)
        self.constant(f"{name}:axes", axes)
        out = OFF.format(name)
        self._node(REDUCE_SUM.name, self._cast(missed), f"{name}:axes", keepdims=0, out=out)
        self._graph.output.append(helper.make_tensor_value_info(out, TensorProto.FLOAT, None))

    def _before(self, value: str, hidden: Mapping[str, onnx.NodeProto]) -> str:
        """A value without the ``hidden`` roundings behind which it was only moved."""
        node = next((node for node in self._graph.node if value in node.output), None)
        if node is None:
            return value
        if node.op_type == DEQUANTIZE.name and node.input[0].removesuffix(".q") in hidden:
            return self._before(hidden[node.input[0].removesuffix(".q")].input[0], hidden)
        if node.op_type not in table.operators() or not table.operators()[node.op_type].moves_data:
            return value
        inputs = [self._before(each, hidden) if each else each for each in node.input]
        return value if inputs == list(node.input) else self._again(node, inputs, value)

    def _again(self, node: onnx.NodeProto, inputs: list[str], value: str) -> str:
        """``value`` as a copy of its node makes it of other inputs."""
        copy = self._graph.node.add()
        copy.CopyFrom(node)
        copy.name = f"steps:{len(self._graph.node) - 1}"
        copy.input[:] = inputs
        copy.output[:] = [f"{copy.name}:{place}" for place in range(len(node.output))]
        return str(copy.output[list(node.output).index(value)])

    def _cast(self, value: str) -> str:
        from onnx import TensorProto

        return self._node(CAST.name, value, to=TensorProto.FLOAT)

    def _node(self, operator: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        from onnx import helper

        out = out or f"steps:{len(self._graph.node)}"
        self._graph.node.append(helper.make_node(operator, list(inputs), [out], name=out, **attributes))
        return out

    def constant(self, name: str, array: Array) -> None:
        from onnx import numpy_helper

        self._graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))


def described(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    """Every value whose shape a graph states."""
    yield from graph.value_info
    yield from graph.input
    yield from graph.output


def needed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the nodes and inputs that no output needs."""
    graph = model.graph
    wanted = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    inputs = [value for value in graph.input if value.name in wanted]
    constants = [tensor for tensor in graph.initializer if tensor.name in wanted]
    for field, values in ((graph.node, kept[::-1]), (graph.input, inputs), (graph.initializer, constants)):
        del field[:]
        field.extend(values)
    del graph.value_info[:]
    return model
