"""ONNX files with plain inputs and outputs: float32, NCHW, names that every target accepts. Plain files are unchanged.

It is the reference of every artifact, in ONNX Runtime without optimizations, and what the bundle keeps as
``network.onnx``. Its operators and its opset are the file's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from clearport.errors import BadInput
from clearport.export.from_onnx import formats, quantized
from clearport.export.from_onnx.ends import WHOLE, End, read_ends
from clearport.export.from_onnx.quantized import Rounding
from clearport.export.from_onnx.read import reading
from clearport.graph import nodes as graphs
from clearport.models.normalized import order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clearport.base import Array, TensorSpec
    from clearport.export.from_onnx.read import Given

    Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Plain:
    """A file and its plain form.

    Attributes:
        given: the file.
        model: its plain form.
        inputs, outputs: its inputs and outputs.
        changed: descriptions of the changes.
        floats: the float network within a QDQ file, if its quantization is kept.
        roundings: that quantization.
    """

    given: Given
    model: onnx.ModelProto
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    changed: tuple[str, ...] = ()
    floats: onnx.ModelProto | None = None
    roundings: tuple[Rounding, ...] = ()

    def to_bytes(self) -> bytes:
        """One file that holds all of it."""
        return bytes(self.model.SerializeToString(deterministic=True))


def plain(given: Given, *, requantize: bool = False) -> Plain:
    """The plain form of a file; ``requantize`` removes the quantization of a QDQ file.

    Raises:
        BadInput: an input or output has a dtype or a shape that cannot be exported, or ``requantize`` and the file is
            not quantized.
    """
    with reading(given.path):
        return _plain(given, requantize=requantize)


def _plain(given: Given, *, requantize: bool) -> Plain:
    constants = {tensor.name for tensor in given.model.graph.initializer}
    sources = [value for value in given.model.graph.input if value.name not in constants]
    inputs = read_ends(sources, given)
    outputs = read_ends(given.model.graph.output, given, {end.name for end in inputs})
    if not inputs:
        raise BadInput(f"{given.path}: it has no inputs")
    if any(node.op_type in quantized.OPERATORS for node in given.model.graph.node):
        return _of_quantized(given, inputs, outputs, requantize=requantize)
    if requantize:
        raise BadInput(f"{given.path}: it is not quantized, so there is nothing to requantize: leave --requantize out")
    changed = _changes(given, inputs, outputs)
    if not changed and all(end.name == end.given for end in (*inputs, *outputs)):
        return Plain(given, given.model, inputs, outputs)
    model = ir.from_proto(given.model)
    common.RemoveInitializersFromInputsPass()(model)
    formats.in_float32(model, str(given.path))
    return Plain(given, _finished(model, inputs, outputs), inputs, outputs, changed)


def _finished(model: ir.Model, inputs: Sequence[End], outputs: Sequence[End]) -> onnx.ModelProto:
    """Give inputs and outputs plain names and axis orders, and inputs float32 and an axis."""
    formats.open_inputs(model.graph)
    _rename(model.graph, (*inputs, *outputs))
    for end in (*inputs, *outputs):
        if end.layout == "NHWC":
            _convert(model.graph, end, _moved(as_input=end in inputs), as_input=end in inputs)
        elif end.frames:
            _convert(model.graph, end, _stacked(model.graph, end, as_input=end in inputs), as_input=end in inputs)
    common.NameFixPass()(model)
    return ir.to_proto(model)


def _of_quantized(given: Given, inputs: Sequence[End], outputs: Sequence[End], *, requantize: bool) -> Plain:
    """A QDQ file: converted to float, or unchanged together with the float network within it."""
    floats, where = ir.from_proto(given.model), str(given.path)
    common.RemoveInitializersFromInputsPass()(floats)
    names = {end.given: end.name for end in (*inputs, *outputs)}
    found = quantized.taken_apart(floats, where)
    roundings = tuple(replace(each, value=names.get(each.value, each.value)) for each in found)
    formats.in_float32(floats, where)
    network = _finished(floats, inputs, outputs)
    if not any(node.op_type == "QuantizeLinear" for node in given.model.graph.node) and not roundings:
        return Plain(given, network, tuple(inputs), tuple(outputs), ("its weights are dequantized",))
    if requantize:
        return Plain(given, network, tuple(inputs), tuple(outputs), ("its 8-bit quantization is removed",))
    model = ir.from_proto(given.model)
    common.RemoveInitializersFromInputsPass()(model)
    changed = quantized.with_float_ends(model)
    kept = _finished(model, inputs, outputs)
    said = ("integer inputs and outputs become float32",) if changed else ()
    return Plain(given, kept, tuple(inputs), tuple(outputs), said, network, roundings)


def _changes(given: Given, inputs: Sequence[End], outputs: Sequence[End]) -> tuple[str, ...]:
    ends = (*inputs, *outputs)
    kinds = sorted({end.dtype for end in ends} - {"float32", *WHOLE})
    found = [f"{' and '.join(kinds)} at its ends are float32"] if kinds else []
    if any(t.data_type in _WIDE for t in given.model.graph.initializer) or "float16" in kinds:
        found.append("it computes in float32")
    whole = [end.name for end in inputs if end.dtype in WHOLE]
    found += [f"{' and '.join(whole)}: float32, rounded to whole numbers"] if whole else []
    lone = [value.name for value in given.model.graph.input if not value.type.tensor_type.shape.dim]
    found += [f"{' and '.join(lone)}: one number on an axis"] if lone else []
    found += ["its pictures are NCHW"] if any(end.layout == "NHWC" for end in ends) else []
    found += ["frames are concatenated as channels of one picture"] if any(end.frames for end in ends) else []
    return tuple(dict.fromkeys(found))


_WIDE = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)


def _rename(body: ir.Graph, ends: Sequence[End]) -> None:
    wanted = {end.given: end.name for end in ends if end.given != end.name}
    inside = [value for node in body for value in node.outputs] + list(body.initializers.values())
    for value in inside:  # a tensor that already has the name is renamed
        if value.name in wanted.values() and value.name not in wanted:
            value.name = f"{value.name}.inner"
    for value in (*body.inputs, *body.outputs):
        if value.name in wanted:
            value.name = wanted[value.name]


def _moved(*, as_input: bool) -> Callable[[ir.Value], ir.Node]:
    perm = [0, 2, 3, 1] if as_input else [0, 3, 1, 2]
    return lambda value: ir.node("Transpose", [value], {"perm": perm})


def _stacked(body: ir.Graph, end: End, *, as_input: bool) -> Callable[[ir.Value], ir.Node]:
    sizes = np.array(end.frames if as_input else end.shape, np.int64)
    shape = graphs.new_constant(body, f"{end.name}.frames", sizes)
    return lambda value: ir.node("Reshape", [value, shape])


def _convert(body: ir.Graph, end: End, made: Callable[[ir.Value], ir.Node], *, as_input: bool) -> None:
    """Insert a Transpose at an input or output, so that it is NCHW."""
    values = body.inputs if as_input else body.outputs
    index = next(i for i, value in enumerate(values) if value.name == end.name)
    value = values[index]
    node = made(value)
    moved = node.outputs[0]
    moved.type = value.type
    if as_input:
        for use in tuple(value.uses()):
            if use.node is not node:
                use.node.replace_input_with(use.idx, moved)
        value.shape = ir.Shape(end.shape)
        body.insert_before(body[0], node)
        return
    body.append(node)
    value.name, moved.name = f"{end.name}.given", end.name
    moved.shape = ir.Shape(end.shape)
    body.outputs[index] = moved


def with_plain_pictures(found: Plain, inputs: Sequence[TensorSpec]) -> Plain:
    """The file with its contract's normalization of pictures folded in, so that it accepts plain ones; or itself."""
    if not any(spec.mean or spec.std or order(spec) for spec in inputs):
        return found
    model = ir.from_proto(found.model)
    for value, spec in zip(tuple(model.graph.inputs), inputs, strict=True):
        _normalize(model.graph, value, spec)
    common.NameFixPass()(model)
    return replace(found, model=ir.to_proto(model), changed=(*found.changed, "its pictures are plain"))


def _normalize(body: ir.Graph, value: ir.Value, spec: TensorSpec) -> None:
    """As in PyTorch (``models/normalized.py``): color order, minus the mean, divided by the standard deviation."""
    steps: list[tuple[str, Array]] = []
    channels = order(spec)
    if channels is not None:
        steps.append(("Gather", np.array(channels, np.int64)))
    if spec.mean or spec.std:
        count = spec.channels or 1
        both = (("Sub", spec.mean or (0.0,) * count), ("Div", spec.std or (1.0,) * count))
        steps += [(op, np.array(numbers, np.float32).reshape(1, -1, 1, 1)) for op, numbers in both]
    uses, head, first = tuple(value.uses()), value, body[0]
    for op, numbers in steps:
        constant = ir.node("Constant", [], {"value": ir.tensor(numbers)})
        node = ir.node(op, [head, constant.outputs[0]], {"axis": 1} if op == "Gather" else None)
        body.insert_before(first, [constant, node])
        head = node.outputs[0]
        head.type = value.type
    for use in uses:
        use.node.replace_input_with(use.idx, head)
