"""A clearport graph as a Core AI program.

From outside in::

    fp32, fp16:  float32 (1, C, H, W) in the network's range -> [cast] -> network -> [cast] -> the same
    int8:        uint8, int8 or float32 (1, C, H, W) -> dequantize -> network -> quantize -> the same
    image:       BGRA image -> uint8 (H, W, 4) -> (1, 3, H, W) in the network's range -> network -> the same, back

The image variant has RGB pictures as images and all other inputs and outputs as above, in float32.

With int8 every value in the scale table is rounded to its int8 grid by a quantize/dequantize pair, except after
quantization-agnostic operators, whose outputs already lie on that grid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.base import Graph, IODType, Precision, TensorSpec
from clearport.errors import BadInput
from clearport.export.coreai import beta, images
from clearport.export.coreai.lowering import Lowering, dtype_of, refined, refuse, sides_of
from clearport.export.without_rule import unknown
from clearport.graph import nodes as graphs
from clearport.graph.nodes import name_of
from clearport.operators import table
from clearport.quantized import QParams, ScaleTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

_UINT8_OFFSET = 128  # from the table's int8 zero point to that of its uint8 twin


@dataclass(frozen=True)
class Plan:
    """What to lower, and how. ``table`` is set for int8, ``fallback`` applies to float16.

    ``images``: the image variant, whose inputs and outputs are no integer tensors, whatever ``io`` says.
    """

    graph: Graph
    precision: Precision
    io: IODType
    table: ScaleTable | None = None
    fallback: frozenset[str] = frozenset()
    images: bool = False

    @property
    def pictures(self) -> list[TensorSpec]:
        """The inputs and outputs that the image variant has as images."""
        ends = (*self.graph.inputs, *self.graph.outputs)
        return [spec for spec in ends if spec.is_picture and (spec.color, spec.channels) == ("RGB", 3)]

    def as_image(self, spec: TensorSpec) -> bool:
        """Whether a tensor is an image in the file."""
        return self.images and spec in self.pictures

    def contract(self, spec: TensorSpec) -> TensorSpec:
        """Description of an input or output of the file."""
        named = re.sub(r"\W|^(?=\d)", "_", spec.name)  # the package takes Python identifiers
        if spec.kind == "index":
            return replace(spec, name=named, dtype="int32")
        plain = replace(spec, name=named)
        if self.as_image(spec):
            return replace(plain.with_dtype("uint8", 1.0, 0, "NHWC"), value_range=(0.0, 255.0))
        if not self.as_integers(spec):
            return plain
        grid, zero_point = self.grid(spec)
        return plain.with_dtype(self.io, grid.scale[0], int(zero_point), "NCHW")

    def as_integers(self, spec: TensorSpec) -> bool:
        """Whether a tensor of the file is quantized."""
        if self.images or self.table is None:
            return False
        return self.io != "float32" and spec.is_picture and spec.name in self.table

    def grid(self, spec: TensorSpec) -> tuple[QParams, np.generic]:
        """The quantization parameters of an input or output, and its zero point in the file's dtype."""
        assert self.table is not None
        params = self.table[spec.name]
        if self.io == "uint8":
            return params, np.uint8(params.zero_point + _UINT8_OFFSET)
        return params, np.int8(params.zero_point)

    def ends(self) -> tuple[list[beta.End], list[beta.End]]:
        """Inputs and outputs as Core AI has them."""
        body, graph = self.graph.model.graph, self.graph
        pairs = (zip(graph.inputs, body.inputs, strict=True), zip(graph.outputs, body.outputs, strict=True))
        inputs, outputs = ([self._end(spec, value) for spec, value in pair] for pair in pairs)
        return inputs, outputs

    def _end(self, spec: TensorSpec, value: ir.Value) -> beta.End:
        made = self.contract(spec)
        if self.as_image(spec):
            height, width = made.shape[1:3]
            return beta.End(made.name, (int(height), int(width), beta.IMAGE_CHANNELS), np.uint8, image=True)
        sides = made.shape if value.shape is None else tuple(value.shape)
        return beta.End(made.name, tuple(n if isinstance(n, int) else -1 for n in sides), _type(made.dtype))


def _type(name: str) -> type[np.generic]:
    kind: type[np.generic] = np.dtype(name).type
    return kind


def convert(plan: Plan) -> Any:
    """The Core AI program of ``plan``, in memory.

    Raises:
        UnsupportedOperator: an operator has no conversion rule, or attributes that Core AI does not support.
        BadInput: two ends would have one name.
    """
    inputs, outputs = plan.ends()
    names = [end.name for end in (*inputs, *outputs)]
    if len(set(names)) < len(names):
        raise BadInput(f"coreai: input and output names must be unique, got {', '.join(names)}")

    def write(*values: Any) -> Sequence[Any]:
        low = Lowering(plan.precision, plan.table, fallback=plan.fallback)
        for value, spec, given in zip(plan.graph.model.graph.inputs, plan.graph.inputs, values, strict=True):
            with beta.layer(spec.name):
                low.values[spec.name] = _enter(low, plan, spec, value, given)
        for node in graphs.computed(plan.graph.model.graph):
            with beta.layer(name_of(node.outputs[0])):
                _lower_node(low, node)
        return [_leave(low, plan, spec) for spec in plan.graph.outputs]

    return beta.build(inputs, outputs, write)


def _lower_node(low: Lowering, node: ir.Node) -> None:
    """Write ``node`` and round its result to its grid, where it has one."""
    low.begin(node)
    name, params = name_of(node.outputs[0]), low.quant(node)
    result = _with_shape(low, node, _ruled(low, node))
    if params is not None and not _moves_on_grid(low, node, params):
        result = low.requantize(result, params)
    low.values[name] = result


def _ruled(low: Lowering, node: ir.Node) -> Any:
    rule = table.of(node).coreai
    if rule is None:
        raise unknown("coreai", node)
    return rule(low, node)


def _with_shape(low: Lowering, node: ir.Node, result: Any) -> Any:
    """``result`` with the graph's known sides, some of which a computed shape hides."""
    shape = node.outputs[0].shape
    if shape is None:
        return result
    sides = [int(n) if isinstance(n, int) else None for n in shape]
    found = sides_of(result)
    if len(found) != len(sides) or any(None not in {a, b} and a != b for a, b in zip(found, sides, strict=True)):
        raise refuse(node, f"Core AI infers the shape {found}, but the graph has {tuple(sides)}")
    merged = [a if a is not None else b for a, b in zip(sides, found, strict=True)]
    return refined(low, result, merged)


def _moves_on_grid(low: Lowering, node: ir.Node, params: QParams) -> bool:
    """Whether all inputs of ``node`` lie on the grid of its outputs."""
    record = table.of(node)
    sources = [v for i, v in enumerate(node.inputs) if v is not None and i not in record.not_data and _is_float(v)]
    entries: Mapping[str, QParams] = low.table.entries if low.table is not None else {}
    return record.moves_data and all(entries.get(name_of(value)) == params for value in sources)


def _is_float(value: ir.Value) -> bool:
    return value.dtype is None or not value.dtype.is_integer()


def _enter(low: Lowering, plan: Plan, spec: TensorSpec, value: ir.Value, x: Any) -> Any:
    """Convert a file input for the first operators."""
    low.begin(next((node for node in value.consumers() if name_of(node.outputs[0]) in low.fallback), None))
    if spec.kind == "index":
        return x
    if plan.as_image(spec):
        x = images.entered(low, spec, x)
    if plan.as_integers(spec):
        params, zero_point = plan.grid(spec)
        return low.dequantize(x, params.scale[0], zero_point)
    if low.table is not None and spec.name in low.table:
        return low.requantize(x, low.table[spec.name])
    return x if dtype_of(x) == np.dtype(low.compute) else low.ops.cast(x, low.compute)


def _leave(low: Lowering, plan: Plan, spec: TensorSpec) -> Any:
    """Convert the last operator's output to the file's output."""
    low.begin(None)
    y = low.values[spec.name]
    with beta.layer(spec.name):
        if plan.as_integers(spec):
            params, zero_point = plan.grid(spec)
            return low.quantize(y, params.scale[0], zero_point)
        if plan.as_image(spec):
            return images.left(low, spec, y)
        wanted = _type(plan.contract(spec).dtype)
        return y if dtype_of(y) == np.dtype(wanted) else low.ops.cast(y, wanted)
