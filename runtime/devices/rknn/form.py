"""Rewrites an ONNX file to an equivalent one that Rockchip's toolkit supports.

Obstacles in clearport's files, as measured with rknn-toolkit2 2.5.0:

- It reads opsets up to 19. A file of a later opset is labeled 19 if none of its operators has changed since.
- It requantizes int8 tensors whose zero points are all 0: it assumes a range of -128..127 levels, makes it symmetric,
  and so has 126 levels instead of 127. In a network with compensated rounding (GPTQ) that costs several dB. Tensors
  with another zero point are kept. Hence weights get the zero point -1, which changes no value, and uint8 activations
  with zero point 128 get 127, which cuts off their lowest level: the caller must check that no picture reaches it.
- If consumers share a DequantizeLinear and one of them needs another scale, it makes all of them float16 and then
  refuses the convolutions among them. Hence each consumer gets its own.

Without a workaround: it fuses x + conv(x) to one convolution, at every optimization level, and requantizes its weights.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.errors import UnsupportedOperator
from clearport.operators.quantization import DEQUANTIZE, QUANTIZE

if TYPE_CHECKING:
    import onnx

    from clearport.base import Array

OPSET = 19
_INT8 = np.iinfo(np.int8)
_MIDDLE = 128


@dataclass(frozen=True)
class Form:
    """A file for the toolkit; ``cut`` are the activations without their lowest level."""

    model: onnx.ModelProto
    cut: tuple[str, ...]


def in_its_form(model: onnx.ModelProto, *, cut: bool = False) -> Form:
    """The network in the toolkit's form; ``model`` is not changed.

    With ``cut``, activations with zero point 128 lose their lowest level; otherwise the toolkit requantizes them.

    Raises:
        UnsupportedOperator: an operator is of a later opset or of another domain.
    """
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    _label(changed)
    _count_weights_from_another_zero(changed.graph)
    _one_dequantizer_for_each(changed.graph)
    return Form(changed, _cut_lowest_level(changed.graph) if cut else ())


def _label(model: onnx.ModelProto) -> None:
    import onnx

    versions = {entry.domain: entry for entry in model.opset_import}
    for node in model.graph.node:
        if node.domain:
            raise UnsupportedOperator(
                "rknn", node.op_type, node.name, f"its operator domain {node.domain} is not supported"
            )
        since = onnx.defs.get_schema(node.op_type, versions[""].version).since_version
        if since > OPSET:
            why = f"its version is of opset {since}, and the toolkit supports opsets up to {OPSET}"
            raise UnsupportedOperator("rknn", node.op_type, node.name, why)
    versions[""].version = min(versions[""].version, OPSET)


def _count_weights_from_another_zero(graph: onnx.GraphProto) -> None:
    from onnx import numpy_helper

    constants = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type != DEQUANTIZE.name or node.input[0] not in constants:
            continue
        weights = numpy_helper.to_array(constants[node.input[0]])
        zero = numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 and node.input[2] else None
        weights, zero = _signed(weights, zero)
        shift = _shift(weights, zero)
        if shift == 0:
            continue
        shape = numpy_helper.to_array(constants[node.input[1]]).shape
        moved, origin = f"{node.output[0]}.from_{shift}", f"{node.output[0]}.zero_{shift}"
        graph.initializer.append(numpy_helper.from_array((weights + np.int8(shift)).astype(np.int8), moved))
        graph.initializer.append(numpy_helper.from_array(np.full(shape, shift, np.int8), origin))
        node.input[:] = [moved, node.input[1], origin]
    used = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _signed(weights: Array, zero: Array | None) -> tuple[Array, Array | None]:
    """uint8 constant operands of sums and products with zero point 128, converted to int8 with zero point 0."""
    if weights.dtype != np.uint8 or zero is None or (zero != _MIDDLE).any():
        return weights, zero
    return (weights.astype(np.int16) - _MIDDLE).astype(np.int8), np.zeros_like(zero, np.int8)


def _shift(weights: Array, zero: Array | None) -> int:
    """The new zero point of int8 weights with zero point 0: -1, or 1 if they contain -128; 0 if neither is possible."""
    if weights.dtype != np.int8 or weights.ndim == 0 or (zero is not None and zero.any()):
        return 0
    if weights.min(initial=0) > _INT8.min:
        return -1
    return 1 if weights.max(initial=0) < _INT8.max else 0


def _cut_lowest_level(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Change zero points of activations from 128 to 127, except graph inputs and outputs, whose raw values are a
    contract.
    """
    from onnx import numpy_helper

    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    ends = {each.name for each in (*graph.input, *graph.output)}
    origin = f"{graph.name}.zero_{_MIDDLE - 1}"
    cut = []
    for node in graph.node:
        zero = constants.get(node.input[2]) if _scales(node) and node.input[0] not in constants else None
        if zero is None or zero.dtype != np.uint8 or (zero != _MIDDLE).any() or ends & {node.input[0], node.output[0]}:
            continue
        node.input[2] = origin
        if node.op_type == QUANTIZE.name:
            cut.append(node.input[0])
    if cut:
        graph.initializer.append(numpy_helper.from_array(np.asarray(_MIDDLE - 1, np.uint8), origin))
    return tuple(cut)


def _scales(node: onnx.NodeProto) -> bool:
    return node.op_type in {QUANTIZE.name, DEQUANTIZE.name} and len(node.input) > 2


def _one_dequantizer_for_each(graph: onnx.GraphProto) -> None:
    import onnx

    constants = {each.name for each in graph.initializer}
    shared = {
        node.output[0]: node
        for node in graph.node
        if node.op_type == DEQUANTIZE.name and node.input[0] not in constants
    }
    seen: Counter[str] = Counter()
    nodes = []
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name not in shared:
                continue
            if seen[name]:
                twin = onnx.NodeProto()
                twin.CopyFrom(shared[name])
                twin.name, twin.output[0] = f"{twin.name}.{seen[name]}", f"{name}.{seen[name]}"
                node.input[place] = twin.output[0]
                nodes.append(twin)
            seen[name] += 1
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
