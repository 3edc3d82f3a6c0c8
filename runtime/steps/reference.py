"""The int8 reference in single steps: each is fed with the levels that a runtime had, not with the reference's own.

A step is everything between int8 tensors that a runtime shows: one operator with its rounding, or several where
tensors between them are fused away or float. The QDQ model (``quantize.qdq``) is cut at these tensors, so that one
inference evaluates all steps, none of which sees the errors of another.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.disk.files import write_bytes
from clearport.graph import shapes
from clearport.operators.activations import CLIP
from clearport.operators.binary import ADD, DIV, SUB
from clearport.operators.choices import CAST, GREATER, WHERE
from clearport.operators.quantization import DEQUANTIZE, QUANTIZE, REQUANTIZE
from clearport.operators.reductions import REDUCE_SUM
from clearport.operators.unary import ABS

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from clearport.base import Array

GIVEN = "{}.given"
"""The input of a step model with a tensor's levels: uint8, in the axes of the graph."""

LEVELS, OFF = "{}.q", "{}:off"
"""Outputs of a step model."""

SWITCH = "{}:on"
"""Inputs of ``write_switched``."""

_PLUMBING, _GUARD = frozenset({QUANTIZE.name, DEQUANTIZE.name, REQUANTIZE.name}), ".lowest"
"""Operators of the QDQ form that compute nothing, and what guards read (a Max with the lowest number)."""

TIE = 0.01
"""Levels from the border between two levels within which a value may be rounded either way.

Some steps meet exact halves on many values, linear interpolation and leaky ReLUs with a ratio of scales such as 3.75.
Sums of float32 were up to 0.0002 levels off, XNNPACK's linear interpolation, whose weights have 11 bits, up to 0.0135
(RLFN at 360x640, three values of 15 million were over 0.01).
"""


@dataclass(frozen=True)
class Grid:
    """The uint8 grid of a tensor: real = (level - zero_point) * scale."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Difference:
    """A runtime's step against the reference's, per channel of the tensor (axis 1; one for other ranks).

    Attributes:
        levels: the largest difference, in int8 levels.
        differing: how many values differ from the reference's.
        squares: sum of the squared differences.
        count: how many values a channel has.
        off: how many of ``differing`` the reference's own value, before it is rounded, is more than half a level and
            ``TIE`` away from; None where that was not asked for.
    """

    levels: Array
    differing: Array
    squares: Array
    count: int
    off: Array | None = None

    @property
    def values(self) -> int:
        """How many values were compared."""
        return self.count * self.levels.size


class StepReference:
    """The steps of a QDQ model.

    Args:
        path: the model: uint8 activations, float32 ends (a bundle's ``reference_qdq.onnx``).
    """

    def __init__(self, path: Path) -> None:
        import onnx

        self._model = onnx.load(path)
        self.metadata = {prop.key: prop.value for prop in self._model.metadata_props}
        constants = {tensor.name: tensor for tensor in self._model.graph.initializer}
        self._quantize = {
            node.output[0].removesuffix(".q"): node
            for node in self._model.graph.node
            if node.op_type == QUANTIZE.name and node.input[0] not in constants
        }
        self.grids = {name: _grid(node, constants) for name, node in self._quantize.items()}
        """Of every int8 tensor, by its name in the graph, in the order of the graph."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The model's inputs, each of which is a tensor of ``grids`` if it is real values."""
        return tuple(value.name for value in self._model.graph.input)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The model's outputs."""
        return tuple(value.name for value in self._model.graph.output)

    @cached_property
    def _makers(self) -> dict[str, onnx.NodeProto]:
        return {out: node for node in self._model.graph.node for out in node.output}

    def sources(self, name: str, shown: Collection[str]) -> set[str]:
        """The shown tensors that the step of ``name`` reads."""
        found: set[str] = set()
        todo, seen = list(self._quantize[name].input[:1]), set()
        while todo:
            value = todo.pop()
            if value in seen:
                continue
            seen.add(value)
            tensor = value.removesuffix(".q")
            if value.endswith(".q") and tensor in shown and tensor in self._quantize:
                found.add(tensor)
            elif value in self._makers:
                todo += [each for each in self._makers[value].input if each]
        return found

    def size(self, name: str, height: int, width: int) -> int:
        """How many values a tensor has for an input of ``height`` x ``width``; free sides count as the input's."""
        count = Fraction(1)
        for axis, side in enumerate(self._shapes.get(f"{name}.q", ())):
            times, of = (shapes.multiple(side) if isinstance(side, str) else None) or (Fraction(1), "HW"[axis == 3])
            count *= side if isinstance(side, int) else times * (height if of == "H" else width)
        return math.ceil(count)

    @cached_property
    def _shapes(self) -> dict[str, list[int | str]]:
        return {
            value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in _described(self._model.graph)
        }

    def operators(self, name: str, shown: Collection[str]) -> tuple[str, ...]:
        """The operators of a step between ``shown`` tensors, each once, the last one first."""
        return tuple(dict.fromkeys(operator for _, operator in self.nodes(name, shown))) or (REQUANTIZE.name,)

    def nodes(self, name: str, shown: Collection[str]) -> list[tuple[str, str]]:
        """Name and operator of everything that a step between ``shown`` tensors computes, the last one first."""
        found: list[tuple[str, str]] = []
        todo, seen = list(self._quantize[name].input[:1]), set()
        while todo:
            value = todo.pop(0)
            known = value.endswith(".q") and value.removesuffix(".q") in shown
            if value in seen or known or value not in self._makers:
                continue
            seen.add(value)
            node = self._makers[value]
            if node.op_type not in _PLUMBING and not any(each.endswith(_GUARD) for each in node.input):
                found.append((node.name, node.op_type))
            todo += [each for each in node.input if each]
        return found

    def write_unrounded(self, path: Path, wanted: Sequence[str]) -> dict[str, str]:
        """Write the network without rounding: activations are clipped to their int8 ranges, which are its clamps too.

        The result has the names of the outputs, which are the ``wanted`` tensors as real values.
        """
        model, outs = self._clipped(switches=False)
        self._output(model, [outs[name] for name in wanted])
        write_bytes(path, _needed(model).SerializeToString())
        return {name: outs[name] for name in wanted}

    def write_switched(self, path: Path) -> tuple[str, ...]:
        """Write the network with an input ``SWITCH`` (bool) for each tensor, which says whether it is rounded.

        The result are the tensors with a switch.
        """
        model, outs = self._clipped(switches=True)
        write_bytes(path, _needed(model).SerializeToString())
        return tuple(outs)

    def _clipped(self, *, switches: bool) -> tuple[onnx.ModelProto, dict[str, str]]:
        """A copy that clips in place of rounding, and each tensor's real values in it; ``switches`` choose either."""
        import onnx
        from onnx import TensorProto, helper

        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        graph = model.graph
        writer, outs, nodes = _Writer(graph), {}, []
        for node in graph.node:
            name = node.input[0].removesuffix(".q") if node.input else ""
            if node.op_type != DEQUANTIZE.name or not node.input[0].endswith(".q") or name not in self._quantize:
                nodes.append(node)
                continue
            out, grid = node.output[0], self.grids[name]
            ends = [f"{name}:{end}" for end in ("low", "high")]
            for end, level in zip(ends, (0, 255), strict=True):
                writer.constant(end, np.array((level - grid.zero_point) * grid.scale, np.float32))
            clipped = f"{name}:clipped" if switches else out
            nodes.append(helper.make_node(CLIP.name, [self._quantize[name].input[0], *ends], [clipped]))
            if switches:
                node.output[0] = f"{name}:rounded"
                on = SWITCH.format(name)
                graph.input.append(helper.make_tensor_value_info(on, TensorProto.BOOL, []))
                nodes += [node, helper.make_node(WHERE.name, [on, node.output[0], clipped], [out])]
            outs[name] = out
        del graph.node[:]
        graph.node.extend(nodes)
        return model, outs

    def _output(self, model: onnx.ModelProto, names: Sequence[str]) -> None:
        from onnx import TensorProto, helper

        del model.graph.output[:]
        model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)

    def write(
        self, path: Path, wanted: Sequence[str], shown: Collection[str], *, exact: bool = False
    ) -> tuple[str, ...]:
        """Write the steps of ``wanted`` tensors between ``shown`` ones as an ONNX model; the names of its inputs.

        Its inputs are those of the network that the steps need and ``GIVEN`` levels of tensors. Its outputs are the
        reference's levels of each wanted tensor (``LEVELS``) or, for ``exact``, how many of the given levels of it are
        off (``OFF``, per channel).
        """
        import onnx
        from onnx import TensorProto, helper

        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        graph = model.graph
        del graph.output[:]
        read = set(wanted).union(*(self.sources(name, shown) for name in wanted))
        for node in graph.node:
            tensor = node.input[0].removesuffix(".q") if node.input else ""
            if node.op_type == DEQUANTIZE.name and node.input[0].endswith(".q") and tensor in read & set(shown):
                node.input[0] = GIVEN.format(tensor)
        for tensor in sorted(read):
            graph.input.append(helper.make_tensor_value_info(GIVEN.format(tensor), TensorProto.UINT8, None))
        writer = _Writer(graph)
        for name in wanted:
            if exact:
                writer.compare(name, self._quantize[name])
            else:
                graph.output.append(helper.make_tensor_value_info(LEVELS.format(name), TensorProto.UINT8, None))
        write_bytes(path, _needed(model).SerializeToString())
        return tuple(value.name for value in graph.input)


def difference(own: Array, given: Array) -> Difference:
    """A runtime's levels ``given`` against those of the reference's step, uint8.

    Raises:
        ValueError: they have another shape.
    """
    if own.shape != given.shape:
        raise ValueError(f"shape {given.shape}, expected {own.shape}")
    channels = own.shape[1] if own.ndim > 1 else 1
    axes = tuple(axis for axis in range(own.ndim) if axis != 1)
    differing = np.count_nonzero(own != given, axis=axes).reshape(channels)
    levels, squares = np.zeros(channels, np.int64), np.zeros(channels)
    for channel in np.flatnonzero(differing):
        pair = (own, given) if own.ndim < 2 else (own[:, channel], given[:, channel])
        apart = np.abs(pair[0].astype(np.int32) - pair[1].astype(np.int32))
        levels[channel], squares[channel] = apart.max(), np.sum(apart**2, dtype=np.float64)
    return Difference(levels, differing, squares, own.size // channels)


def _grid(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> Grid:
    from onnx import numpy_helper

    scale, zero = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
    return Grid(float(scale), int(zero))


class _Writer:
    """Appends the comparisons of steps to a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in _described(graph)}
        self.constant("steps:low", np.array(0, np.float32))
        self.constant("steps:high", np.array(255, np.float32))
        self.constant("steps:most", np.array(0.5 + TIE, np.float32))

    def compare(self, name: str, quantize: onnx.NodeProto) -> None:
        """The output ``OFF``: given levels that are no rounding of the step's exact value, by channel."""
        from onnx import TensorProto, helper

        value, scale, zero = quantize.input[:3]
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


def _described(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from graph.value_info
    yield from graph.input
    yield from graph.output


def _needed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the nodes and inputs that no output needs."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    inputs = [value for value in graph.input if value.name in needed]
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    for field, values in ((graph.node, kept[::-1]), (graph.input, inputs), (graph.initializer, constants)):
        del field[:]
        field.extend(values)
    del graph.value_info[:]
    return model
