"""An ONNX file -> a graph in clearport's dialect, for one size or for any."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from clearport.base import Graph, TensorSpec
from clearport.errors import BadInput
from clearport.export import origins
from clearport.export.from_onnx import formats, resizes
from clearport.export.from_onnx.check import if_refusal
from clearport.export.from_onnx.lift import lifted
from clearport.export.from_onnx.read import reading
from clearport.export.passes import order as passes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Scale
    from clearport.export.from_onnx.plain import Plain

MOST_VALUES = 1 << 29
"""Maximum elements of one tensor at run time: 2 GiB in float32."""


def graph_of(
    found: Plain, name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], scale: Scale
) -> Graph:
    """The graph of a file after all passes.

    Args:
        found: the file.
        name: the network's name.
        inputs: in the order of the file, with the sizes of the resulting graph.
        outputs: likewise.
        scale: output size over input size.

    Raises:
        BadInput: the file has operators that clearport's dialect cannot express.
    """
    where = str(found.given.path)
    with reading(found.given.path):
        model = _prepared(found, name, inputs, outputs)
        try:
            graph = passes.run(Graph(model, tuple(inputs), tuple(outputs), name, scale))
        except graphs.MalformedGraph as error:
            raise BadInput(f"{where}: {' '.join(str(error).split())[:400]}") from error
    left = [if_refusal(node.name or "") for node in graph.model.graph if node.op_type == "If"]
    if left:
        raise BadInput(f"{where}: operators that cannot be exported: {'; '.join(left)}")
    return graph


def check_sizes(found: Plain, inputs: Sequence[TensorSpec]) -> None:
    """Check that running a file on inputs of the given sizes needs no more memory than a plausible network.

    Raises:
        BadInput: a value within it is too large, or the shapes contradict each other.
    """
    with reading(found.given.path):
        _typed(found, inputs)


def _prepared(found: Plain, name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> ir.Model:
    """The file's model in clearport's opset and in float32, with the sizes of inputs and outputs."""
    where = str(found.given.path)
    model = lifted(_typed(found, inputs), where)
    common.RemoveInitializersFromInputsPass()(model)
    formats.in_float32(model, where)
    for node in model.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None
    for value, spec in zip((*model.graph.inputs, *model.graph.outputs), (*inputs, *outputs), strict=True):
        value.shape = ir.Shape(spec.shape)
    _tidy(model, name)
    return model


def _typed(found: Plain, inputs: Sequence[TensorSpec]) -> ir.Model:
    """The file's model with its inputs' sizes, and with the shapes that inference in its own opset finds for them."""
    model = onnx.ModelProto()
    model.CopyFrom(found.floats or found.model)
    shapes = {spec.name: spec.shape for spec in inputs}
    for value in model.graph.input:
        if value.name in shapes:
            _set_shape(value, shapes[value.name])
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    for node in model.graph.node:
        _say_axes(node)
    try:
        model = resizes.inferred(model)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        words = " ".join(str(error).split())
        raise BadInput(f"{found.given.path}: the shapes within it contradict each other: {words[:300]}") from error
    for value in (*model.graph.value_info, *model.graph.output):
        _check_size(value, str(found.given.path))
    return ir.from_proto(model)


def _say_axes(node: onnx.NodeProto) -> None:
    """The axes of MeanVarianceNormalization, whose definition in ONNX is malformed where they are left out."""
    if node.op_type == "MeanVarianceNormalization" and not node.attribute:
        node.attribute.append(onnx.helper.make_attribute("axes", [0, 2, 3]))


def _set_shape(value: onnx.ValueInfoProto, shape: Sequence[int | str]) -> None:
    sides = value.type.tensor_type.shape.dim
    del sides[:]
    for n in shape:
        sides.add(**({"dim_value": n} if isinstance(n, int) else {"dim_param": n}))


def _check_size(value: onnx.ValueInfoProto, where: str) -> None:
    sides = [side.dim_value for side in value.type.tensor_type.shape.dim if side.HasField("dim_value")]
    if math.prod(sides) > MOST_VALUES:
        raise BadInput(f"{where}: value {value.name!r} has {'x'.join(map(str, sides))} elements: too large for memory")


def _tidy(model: ir.Model, name: str) -> None:
    """Remove traces of the machine that made it; constants become plain arrays that are not shared."""
    origins.from_file(model)
    common.ClearMetadataAndDocStringPass()(model)
    model.producer_name, model.producer_version = "clearport", ""
    model.graph.name = name
    for value in model.graph.initializers.values():
        tensor = value.const_value
        assert tensor is not None
        value.const_value = ir.tensor(np.array(tensor.numpy()), name=value.name)
