"""The int8 reference, step by step: each step is fed the runtime's int8 levels, not the reference's own.

A step is the subgraph between int8 tensors that a runtime exposes: one operator with its rounding, or several if the
tensors between them are fused away or float. The QDQ model (``quantize.qdq``) is cut at these tensors, so that one
inference evaluates all steps, none of which sees the errors of another.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from clearport.disk.files import write_bytes
from clearport.graph import shapes
from clearport.operators.activations import CLIP
from clearport.operators.choices import WHERE
from clearport.operators.quantization import DEQUANTIZE, QUANTIZE, REQUANTIZE
from clearport.runtime.steps.step_models import GIVEN, LEVELS, Writer, described, needed

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from clearport.base import Array

Kind = Literal["levels", "off", "ends"]

SWITCH = "{}:on"
"""Inputs of ``write_switched``."""

_PLUMBING, _GUARD = frozenset({QUANTIZE.name, DEQUANTIZE.name, REQUANTIZE.name}), ".lowest"
"""Operators of the QDQ form that compute nothing, and what guards read (a Max with the lowest number)."""


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
        off: number of ``differing`` values that differ from the reference's unrounded value by more than half a level
            plus ``TIE``; None if not requested.
    """

    levels: Array
    differing: Array
    squares: Array
    count: int
    off: Array | None = None

    @property
    def values(self) -> int:
        """Number of compared values."""
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
        """The exposed tensors that the step of ``name`` reads."""
        return self.read_for(self._quantize[name].input[0], shown)

    def read_for(self, value: str, shown: Collection[str]) -> set[str]:
        """The exposed tensors from which a value of the model is computed."""
        found: set[str] = set()
        todo, seen = [value], set()
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
        """Number of elements of a tensor for an input of ``height`` x ``width``; dynamic sides count as the input's."""
        count = Fraction(1)
        for axis, side in enumerate(self._shapes.get(f"{name}.q", ())):
            times, of = (shapes.multiple(side) if isinstance(side, str) else None) or (Fraction(1), "HW"[axis == 3])
            count *= side if isinstance(side, int) else times * (height if of == "H" else width)
        return math.ceil(count)

    @cached_property
    def _shapes(self) -> dict[str, list[int | str]]:
        return {
            value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in described(self._model.graph)
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
        write_bytes(path, needed(model).SerializeToString())
        return {name: outs[name] for name in wanted}

    def write_switched(self, path: Path) -> tuple[str, ...]:
        """Write the network with an input ``SWITCH`` (bool) for each tensor, which says whether it is rounded.

        The result are the tensors with a switch.
        """
        model, outs = self._clipped(switches=True)
        write_bytes(path, needed(model).SerializeToString())
        return tuple(outs)

    def _clipped(self, *, switches: bool) -> tuple[onnx.ModelProto, dict[str, str]]:
        """A copy that clips in place of rounding, and each tensor's real values in it; ``switches`` choose either."""
        import onnx
        from onnx import TensorProto, helper

        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        graph = model.graph
        writer, outs, nodes = Writer(graph), {}, []
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

    def write(self, path: Path, wanted: Sequence[str], shown: Collection[str], kind: Kind) -> tuple[str, ...]:
        """Write the steps of ``wanted`` tensors between ``shown`` ones as an ONNX model; the names of its inputs.

        Its inputs are those of the network that the steps need and ``GIVEN`` levels of tensors. Its outputs are by
        ``kind``: the reference's ``levels`` of each wanted tensor (``LEVELS``); how many of the given levels of it are
        ``off`` (``OFF``, per channel); or, of wanted outputs of the network, these themselves (``ends``).
        """
        import onnx
        from onnx import TensorProto, helper

        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        graph = model.graph
        ends = {value.name: value for value in self._model.graph.output}
        del graph.output[:]
        if kind == "ends":
            read = set[str]().union(*(self.read_for(name, shown) for name in wanted))
        else:
            read = set(wanted).union(*(self.sources(name, shown) for name in wanted))
        for node in graph.node:
            tensor = node.input[0].removesuffix(".q") if node.input else ""
            if node.op_type == DEQUANTIZE.name and node.input[0].endswith(".q") and tensor in read & set(shown):
                node.input[0] = GIVEN.format(tensor)
        for tensor in sorted(read):
            graph.input.append(helper.make_tensor_value_info(GIVEN.format(tensor), TensorProto.UINT8, None))
        writer = Writer(graph)
        for name in wanted:
            if kind == "ends":
                graph.output.append(ends[name])
            elif kind == "off":
                writer.compare(name, self._quantize[name], self._hidden(name, shown))
            else:
                graph.output.append(helper.make_tensor_value_info(LEVELS.format(name), TensorProto.UINT8, None))
        write_bytes(path, needed(model).SerializeToString())
        return tuple(value.name for value in graph.input)

    def _hidden(self, name: str, shown: Collection[str]) -> dict[str, onnx.NodeProto]:
        """The roundings to the grid of a tensor that are not shown."""
        same = (each for each, grid in self.grids.items() if grid == self.grids[name] and each not in shown)
        return {each: self._quantize[each] for each in same}


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
