"""Fold input normalization (mean, standard deviation, color order) into the weights.

Given: inputs whose contract has ``mean`` and ``std`` per channel, or colors in the order BGR(A). Result: the network
takes RGB(A) in the picture's range. If only convolutions read the picture, color order and standard deviation are
folded into their weights. The mean is folded into their biases if they do not pad; otherwise (zero padding of the
normalized picture) it is subtracted before them. For other consumers a 1x1 convolution is inserted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.base import Graph, TensorSpec
from clearport.export.passes.rewriting import body_of, conv_1x1, insert, sizes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array


@dataclass(frozen=True)
class _Affine:
    """Channel c of the network's expected input is ``picture[order[c]] * factor[c] + offset[c]``."""

    order: tuple[int, ...]
    factor: Array
    offset: Array

    @classmethod
    def of(cls, spec: TensorSpec) -> _Affine:
        count = spec.channels or 1
        order = (2, 1, 0, *range(3, count)) if spec.color.startswith("BGR") else tuple(range(count))
        mean, std = (np.asarray(v or (d,) * count, np.float64) for v, d in ((spec.mean, 0.0), (spec.std, 1.0)))
        return cls(order, 1 / std, -mean / std)


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    wanted = [spec for spec in graph.inputs if spec.is_picture and (spec.mean or spec.std or _turned(spec))]
    if not wanted:
        return graph
    result = graphs.clone(graph)
    inputs = {graphs.name_of(value): value for value in result.model.graph.inputs}
    for spec in wanted:
        _fold(inputs[spec.name], _Affine.of(spec))
    return replace(result, inputs=tuple(_plain(spec) if spec in wanted else spec for spec in graph.inputs))


def _turned(spec: TensorSpec) -> bool:
    return spec.color.startswith("BGR")


def _plain(spec: TensorSpec) -> TensorSpec:
    return replace(spec, mean=(), std=(), color=spec.color.replace("BGR", "RGB"))


def _fold(picture: ir.Value, affine: _Affine) -> None:
    readers = graphs.consumers(picture)
    if not readers or picture.is_graph_output():
        return
    if not all(_takes_over(node, picture) for node in readers):
        _before_all(picture, readers, affine)
        return
    padded = any(any(graphs.attr_ints(node, "pads", (0,) * 4)) for node in readers)
    if padded and affine.offset.any():
        _subtract(picture, readers, affine)
        affine = replace(affine, offset=np.zeros_like(affine.offset))
    for node in readers:
        _into_weights(node, affine)


def _takes_over(node: ir.Node, picture: ir.Value) -> bool:
    """Whether a consumer is an ungrouped convolution with weights of its own."""
    plain = node.op_type == "Conv" and graphs.attr_int(node, "group", 1) == 1
    constants = [graphs.constant(value) for value in node.inputs[1:]]
    automatic = graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET"
    return plain and not automatic and node.inputs[0] is picture and all(c is not None for c in constants)


def _into_weights(node: ir.Node, affine: _Affine) -> None:
    weight = graphs.need_constant(node, 1).astype(np.float64)
    bias = graphs.constant(graphs.operand(node, 2))
    taken = weight * affine.factor.reshape(1, -1, 1, 1)
    moved = np.empty_like(taken)
    moved[:, list(affine.order)] = taken
    shift = (weight * affine.offset.reshape(1, -1, 1, 1)).sum((1, 2, 3))
    arrays = {1: moved, 2: shift if bias is None else bias + shift}
    node.resize_inputs(3)
    for (index, array), role in zip(arrays.items(), ("weight", "bias"), strict=True):
        name = f"{graphs.name_of(node.outputs[0])}.{role}.plain"
        node.replace_input_with(index, graphs.new_constant(body_of(node), name, array.astype(np.float32)))


def _subtract(picture: ir.Value, readers: tuple[ir.Node, ...], affine: _Affine) -> None:
    """The picture minus its per-channel mean; factor and order are folded into the weights."""
    means = np.empty_like(affine.offset)
    means[list(affine.order)] = -affine.offset / affine.factor
    first = _first(readers)
    black = graphs.new_constant(body_of(first), f"{picture.name}.mean", means.reshape(1, -1, 1, 1).astype(np.float32))
    _read_instead(picture, readers, insert(first, "Sub", [picture, black], sizes(picture)))


def _before_all(picture: ir.Value, readers: tuple[ir.Node, ...], affine: _Affine) -> None:
    weight = np.zeros((len(affine.order),) * 2)
    weight[np.arange(len(affine.order)), list(affine.order)] = affine.factor
    _read_instead(picture, readers, conv_1x1(_first(readers), picture, weight, affine.offset))


def _first(readers: tuple[ir.Node, ...]) -> ir.Node:
    return next(node for node in body_of(readers[0]) if node in readers)


def _read_instead(picture: ir.Value, readers: tuple[ir.Node, ...], value: ir.Value) -> None:
    for node in readers:
        for index, read in enumerate(node.inputs):
            if read is picture:
                node.replace_input_with(index, value)
