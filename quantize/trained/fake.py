"""A quantized graph in PyTorch, with fake quantization exactly where its scale table has steps.

Every value of the table is rounded to its grid and saturated, every weight and bias is the integer that the files hold,
times its scale, and what the table leaves out is float: the arithmetic of the QDQ model (``qdq``). Rounding has the
gradient of the identity (straight-through, arXiv 1308.3432), saturation none beyond its ends. So the integers learn
what the int8 network needs of them, errors of other layers included.

Weights are learned in *levels* of their own grid, per output channel, and biases in steps of their layer's output: one
learning rate then means the same for every layer of every network. The scales of weights may be learned, too, as shares
of what they were; biases follow, whose scale is that of the input times that of the weight.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from clearport.graph import nodes as graphs
from clearport.quantize import scheme
from clearport.quantize.calibration import torch_form
from clearport.quantize.ranges import constrain
from clearport.quantize.weights import arrays as weights
from clearport.quantized import QParams, QuantizedGraph, ScaleTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

    from clearport.base import Array

_BIAS_UNIT = 0.1
"""What a step of one does to a bias, in steps of its layer's output: a bias is added to every pixel."""

_SCALE_UNIT = 0.02
"""What a step of one does to a weight's scale, as a share of it."""


class FakeQuantized(nn.Module):
    """The network of a quantized graph: ``forward`` takes and gives tensors of any batch size, float32.

    Its parameters are those of the convolutions, apart from convolutions that only copy channels.

    Args:
        quantized: with int8 activations; its constants are the start.
    """

    def __init__(self, quantized: QuantizedGraph) -> None:
        super().__init__()
        self.start = quantized
        table = quantized.table
        named = quantized.graph.model.graph.initializers
        self._activations = {
            name: (table[name].scale[0], table[name].zero_point)
            for value in graphs.values(quantized.graph)
            if (name := graphs.name_of(value)) in table
        }
        self._constants = {name: _tensor(value) for name, value in named.items() if _is_real(value)}
        self._layers = list(_layers(quantized))
        for number, layer in enumerate(self._layers):
            self.add_module(f"{number}", layer)

    def forward(self, feed: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """The outputs, in the graph's order."""
        constants = dict(self._constants)
        for layer in self._layers:
            constants.update(layer())
        return torch_form.run(self.start.graph, {**feed, **constants}, through=self._through)

    def _through(self, name: str, value: torch.Tensor) -> torch.Tensor:
        if name not in self._activations:
            return value
        scale, zero_point = self._activations[name]
        if torch.is_grad_enabled():
            return torch.fake_quantize_per_tensor_affine(value, scale, zero_point, scheme.LOW, scheme.HIGH)
        levels = (value / torch.tensor(scale)).round_().add_(zero_point).clamp_(scheme.LOW, scheme.HIGH)
        return levels.sub_(zero_point).mul_(torch.tensor(scale))

    @torch.no_grad()
    def quantized(self) -> QuantizedGraph:
        """The quantized graph with what was learned: the same outputs, up to the order of float32 sums."""
        arrays: dict[str, Array] = {}
        entries = dict(self.start.table.entries)
        for layer in self._layers:
            arrays.update((name, value.numpy().copy()) for name, value in layer().items())
            entries.update(layer.entries())
        graph = weights.replaced(self.start.graph, arrays)
        return QuantizedGraph(graph, ScaleTable(entries, self.start.table.calibration))


class _Layer(nn.Module, ABC):
    """A convolution whose constants learn."""

    @abstractmethod
    def forward(self) -> dict[str, torch.Tensor]:
        """The real values of weight and bias, by name."""

    @abstractmethod
    def entries(self) -> dict[str, QParams]:
        """The grids of weight and bias; none if they are float."""


class _Int8Layer(_Layer):
    """The integers of a convolution that computes in int8."""

    def __init__(self, node: ir.Node, quantized: QuantizedGraph) -> None:
        super().__init__()
        table = quantized.table
        self.weight, self.bias = (graphs.name_of(graphs.need(node, index)) for index in (1, 2))
        source, out = graphs.name_of(graphs.need(node, 0)), graphs.name_of(node.outputs[0])
        weight, bias = (graphs.need_constant(node, index) for index in (1, 2))
        self.source, self.grid = table[source], table[self.weight]
        self._shared = len(bias) // len(self.grid.scale)
        self._scale = torch.from_numpy(scheme.column(self.grid, weight.ndim).copy())
        self._unit = _BIAS_UNIT * table[out].scale[0]
        self.levels = nn.Parameter(torch.from_numpy(weight / scheme.column(self.grid, weight.ndim)).round())
        self.steps = nn.Parameter(torch.from_numpy(np.asarray(bias / np.float32(self._unit), np.float32)))
        self.growth = nn.Parameter(torch.zeros_like(self._scale))

    def forward(self) -> dict[str, torch.Tensor]:
        scale = self._grown()
        whole = self.levels.clamp(-scheme.WEIGHT_HIGH, scheme.WEIGHT_HIGH)
        bias_scale = torch.tensor(self.source.scale[0]) * scale.reshape(-1).repeat(self._shared)
        biases = (self.steps * self._unit / bias_scale).clamp(-scheme.BIAS_HIGH, scheme.BIAS_HIGH)
        return {self.weight: _straight(whole) * scale, self.bias: _straight(biases) * bias_scale}

    def _grown(self) -> torch.Tensor:
        return self._scale * torch.exp(_SCALE_UNIT * self.growth)

    def entries(self) -> dict[str, QParams]:
        scales = tuple(scheme.single(float(s)) for s in self._grown().reshape(-1))
        grid = replace(self.grid, scale=scales)
        return {self.weight: grid, self.bias: scheme.bias(self.source, replace(grid, scale=scales * self._shared))}


class _FloatLayer(_Layer):
    """A convolution that computes in float: its weight and bias in 127ths of their largest."""

    def __init__(self, node: ir.Node) -> None:
        super().__init__()
        self._units: list[float] = []
        self.names = [graphs.name_of(v) for v in node.inputs[1:] if v is not None]
        self.parts = nn.ParameterList()
        for value in node.inputs[1:]:
            array = np.asarray(graphs.constant(value), np.float32)
            self._units.append(float(np.abs(array).max()) / scheme.WEIGHT_HIGH or 1.0)
            self.parts.append(nn.Parameter(torch.from_numpy(array / np.float32(self._units[-1]))))

    def forward(self) -> dict[str, torch.Tensor]:
        return {name: part * unit for name, part, unit in zip(self.names, self.parts, self._units, strict=True)}

    def entries(self) -> dict[str, QParams]:
        return {}


def _layers(quantized: QuantizedGraph) -> Iterator[_Layer]:
    for node in weights.convolutions(quantized.graph):
        if any(graphs.constant(value) is None for value in node.inputs[1:]) or constrain.is_copy(node):
            continue
        is_int8 = graphs.name_of(graphs.need(node, 1)) in quantized.table
        yield _Int8Layer(node, quantized) if is_int8 else _FloatLayer(node)


def _straight(value: torch.Tensor) -> torch.Tensor:
    """Rounded to integers, halves to even, with the gradient of the identity."""
    return value + (value.round() - value).detach()


def _tensor(value: ir.Value) -> torch.Tensor:
    return torch.from_numpy(np.array(graphs.constant(value), np.float32))


def _is_real(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()
