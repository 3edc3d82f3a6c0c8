"""The form of an ONNX file in which Rockchip's toolkit takes it, with the same values.

What stands in the way of our files, as measured with rknn-toolkit2 2.5.0:

- It reads operator sets up to 19. A file of a later one is labeled 19 where none of its operators has changed since.
- int8 tensors whose zero points are all 0 it quantizes again: it takes their range to be -128..127 steps, makes it
  symmetric, and so has 126 steps where there were 127. In a network whose rounding was compensated (GPTQ) that costs
  several dB. With another zero point it keeps them as they are. So weights are counted from -1, which changes no value,
  and uint8 activations whose zero point is 128 from 127, which cuts their lowest level off: whether a picture reaches
  it is for the caller to see.
- Where consumers share a DequantizeLinear and one of them wants another scale, it makes all of them float16 and then
  refuses the convolutions among them. So each consumer gets one of its own.

What no form was found for: it makes one convolution of x + conv(x), at every optimization level, and quantizes its
weights again.
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
    """A file for the toolkit; ``cut`` are the activations that lack their lowest level."""

    model: onnx.ModelProto
    cut: tuple[str, ...]


def in_its_form(model: onnx.ModelProto, *, cut: bool = False) -> Form:
    """The same network as the toolkit takes it; ``model`` stays as it is.

    With ``cut``, activations whose zero point is 128 lose their lowest level; without, the toolkit quantizes them
    again.

    Raises:
        UnsupportedOperator: an operator is of another opset, or of none that the toolkit could know.
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
            why = f"it is that of opset {since}, and the toolkit reads up to {OPSET}"
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
    """uint8 operands of sums and products, which lie around 128, as the int8 ones around 0 that they stand for."""
    if weights.dtype != np.uint8 or zero is None or (zero != _MIDDLE).any():
        return weights, zero
    return (weights.astype(np.int16) - _MIDDLE).astype(np.int8), np.zeros_like(zero, np.int8)


def _shift(weights: Array, zero: Array | None) -> int:
    """By how much int8 weights whose zero is 0 can be moved: -1, or 1 where they reach -128; 0: not at all."""
    if weights.dtype != np.int8 or weights.ndim == 0 or (zero is not None and zero.any()):
        return 0
    if weights.min(initial=0) > _INT8.min:
        return -1
    return 1 if weights.max(initial=0) < _INT8.max else 0


def _cut_lowest_level(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Count activations from 127 instead of 128; the ends of the graph stay, their raw values are a contract."""
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
