"""A quantized graph in PyTorch, with fake quantization of exactly the values in its scale table.

Every activation in the table is rounded to its quantization grid and saturated, every weight and bias is the integer of
the exported files times its scale, and everything else is float: the arithmetic of the QDQ model (``qdq``). The
gradient of rounding is the identity (straight-through estimator, arXiv 1308.3432); that of saturation is zero outside
the range. The integers thus also learn to compensate for the quantization errors of other layers.

The parameters are in quantization levels: weights in those of their grid, per output channel, and biases in those of
their layer's output. A learning rate then means the same for every layer of every network. The scales of weights can be
learned, too, relative to their initial values; a bias's scale is always that of the input times that of the weight.
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
"""Levels of the layer's output per unit of a bias parameter; small, as a bias is added to every pixel."""

_SCALE_UNIT = 0.02
"""Relative change of a weight's scale per unit of its parameter."""


class FakeQuantized(nn.Module):
    """A quantized graph as a module: ``forward`` maps float32 tensors (input name -> any batch size) to the outputs.

    Its parameters are the weights and biases of the convolutions, except of those that only copy channels.

    Args:
        quantized: with int8 activations; its constants are the initial values.
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
        """The quantized graph with the learned constants: the same outputs, up to the order of float32 sums."""
        arrays: dict[str, Array] = {}
        entries = dict(self.start.table.entries)
        for layer in self._layers:
            arrays.update((name, value.numpy().copy()) for name, value in layer().items())
            entries.update(layer.entries())
        graph = weights.replaced(self.start.graph, arrays)
        return QuantizedGraph(graph, ScaleTable(entries, self.start.table.calibration))


class _Layer(nn.Module, ABC):
    """A convolution with trainable weight and bias."""

    @abstractmethod
    def forward(self) -> dict[str, torch.Tensor]:
        """The real values of weight and bias, by name."""

    @abstractmethod
    def entries(self) -> dict[str, QParams]:
        """The scale-table entries of weight and bias; empty if they are float."""


class _Int8Layer(_Layer):
    """A convolution in int8: its parameters are in quantization levels."""

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
    """A convolution in float: its parameters are in 127ths of the largest magnitude."""

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
    """Rounded to integers (half to even), with the gradient of the identity (straight-through estimator)."""
    return value + (value.round() - value).detach()


def _tensor(value: ir.Value) -> torch.Tensor:
    return torch.from_numpy(np.array(graphs.constant(value), np.float32))


def _is_real(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()
