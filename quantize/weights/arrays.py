"""Weights and biases onto their integer grids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.quantize import scheme
from clearport.quantize.placement.floats import is_convolution
from clearport.quantized import QParams

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    import onnx_ir as ir

    from clearport.base import Array, Graph


_ON_GRID = 1e-3
"""Tolerance, in levels, for float32 weights to lie on an 8-bit grid."""


def output_axis(node: ir.Node) -> int:
    """The output channel axis of a convolution's weight.

    A transposed convolution has (inputs, outputs of one group, ...): its groups share what belongs to that axis,
    unless each has one output only.
    """
    if not table.of(node).transposed:
        return 0
    shape = graphs.need_constant(node, 1).shape
    return 0 if graphs.attr_int(node, "group", 1) == shape[0] and shape[1] == 1 else 1


def by_output(node: ir.Node, weight: Array, factor: Array) -> Array:
    """The weight with each output channel multiplied by its entry in ``factor``."""
    if not table.of(node).transposed:  # (outputs, inputs of one group, ...)
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    return _by_second_axis(node, weight, factor)


def by_input(node: ir.Node, weight: Array, factor: Array) -> Array:
    """The weight with each input channel multiplied by its entry in ``factor``."""
    if table.of(node).transposed:  # (inputs, outputs of one group, ...)
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    return _by_second_axis(node, weight, factor)


def _by_second_axis(node: ir.Node, weight: Array, factor: Array) -> Array:
    """The second axis of a weight counts the channels of one group."""
    group = graphs.attr_int(node, "group", 1)
    split = weight.reshape(group, -1, *weight.shape[1:])
    found: Array = split * factor.reshape(group, 1, -1, *[1] * (weight.ndim - 2))
    return found.reshape(weight.shape)


def peaks(weight: Array, axis: int) -> Array:
    """The largest magnitude of each output channel, float64."""
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
    return np.asarray(np.abs(rows).max(axis=1), np.float64)


def params(node: ir.Node, source: QParams, top: Array | None = None) -> tuple[QParams, QParams]:
    """Parameters of a convolution's weight and bias; ``source`` are those of its input.

    ``top`` is the real value of level 127 for each output channel (default: its largest magnitude). A channel whose
    bias would overflow its grid gets a coarser weight scale: its weights are then too small to matter.
    """
    weight, bias = graphs.need_constant(node, 1), graphs.need_constant(node, 2)
    axis = output_axis(node)
    chosen = scheme.symmetric(peaks(weight, axis) if top is None else top, axis)
    shared = len(bias) // len(chosen.scale)  # outputs of this many groups share one scale
    most = scheme.most_bias(source) * source.scale[0]
    least = np.abs(bias.astype(np.float64)).reshape(shared, -1).max(axis=0) / most
    scales = tuple(scheme.single(max(s, low)) for s, low in zip(chosen.scale, least, strict=True))
    return QParams(scales, 0, "int8", axis), scheme.bias(source, QParams(scales * shared, 0, "int8", 0))


def own_top(weight: Array, axis: int) -> Array:
    """The value of level 127 for each output channel of weights already on an 8-bit grid, for the coarsest such grid.

    Channels on no grid get their largest magnitude.
    """
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1).astype(np.float64)
    found = np.abs(rows).max(axis=1)
    for index, row in enumerate(rows):
        if found[index]:
            levels = np.outer(np.arange(1, scheme.WEIGHT_HIGH + 1), row / found[index])
            off = np.abs(levels - np.rint(levels)).max(axis=1)
            steps = int(np.argmax(off < _ON_GRID)) + 1 if (off < _ON_GRID).any() else scheme.WEIGHT_HIGH
            found[index] *= scheme.WEIGHT_HIGH / steps
    return np.asarray(found)


def convolutions(graph: Graph) -> Iterator[ir.Node]:
    """Every convolution, in order."""
    return (node for node in graph.model.graph if is_convolution(node))


def constants(graph: Graph, activations: Container[str]) -> Iterator[tuple[ir.Value, Array]]:
    """The constants that are quantized like activations, of operators that write the int8 values ``activations``."""
    for node in graph.model.graph:
        form = table.of(node).int8
        rounded = form is not None and form.rounds_constants and graphs.name_of(node.outputs[0]) in activations
        for value in node.inputs if rounded else ():
            array = graphs.constant(value)
            if value is not None and array is not None:
                yield value, array


def replaced(graph: Graph, arrays: Mapping[str, Array]) -> Graph:
    """The graph with the named initializers replaced (float32, same shapes)."""
    import onnx_ir as ir

    result = graphs.clone(graph)
    for name, array in arrays.items():
        value = result.model.graph.initializers[name]
        value.const_value = ir.tensor(np.ascontiguousarray(array, np.float32).reshape(np.shape(array)), name=name)
    return result
