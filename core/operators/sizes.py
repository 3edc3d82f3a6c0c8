"""Sizes of a graph: its input size, other valid input sizes, and the strides of its tensors."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size
from clearport.graph import nodes as graphs
from clearport.graph import shapes
from clearport.operators import table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from clearport.base import Graph, TensorSpec


def resized(graph: Graph, size: Size | None) -> Graph:
    """The same network for another input size, or for any size (None); shapes inside are inferred again.

    Only right where ``size_bound`` finds nothing.
    """
    import onnx_ir as ir

    own = shapes.size_of(graph.input)
    inputs, outputs = (shapes.freed(s, own) if own else s for s in (graph.inputs, graph.outputs))
    inputs = shapes.at(inputs, size)
    copy = graphs.clone(graph)
    for value in graphs.values(copy):
        value.shape = None
    for value, spec in zip(copy.model.graph.inputs, inputs, strict=True):
        value.shape = ir.Shape(spec.shape)
    checked = graphs.check(copy)
    made = (_measured(spec, value) for spec, value in zip(outputs, checked.model.graph.outputs, strict=True))
    return replace(checked, inputs=inputs, outputs=tuple(made))


def _measured(spec: TensorSpec, value: ir.Value) -> TensorSpec:
    """The contract of an output with the sizes that inference found; free ones keep their symbols."""
    if value.shape is None or len(value.shape) != len(spec.shape):
        return spec
    return replace(
        spec, shape=tuple(n if isinstance(n, int) else old for n, old in zip(value.shape, spec.shape, strict=True))
    )


def coarsest_stride(graph: Graph) -> int:
    """What the sides of an input must be multiples of, so that no feature map has a part of a cell.

    Along each side a cell covers so many input pixels, or a fraction of one; of several branches it is the least common
    multiple.
    """
    return math.lcm(*(stride.numerator for axis in (0, 1) for stride in _strides(graph, axis).values()))


def output_steps(graph: Graph, index: int) -> tuple[Fraction, Fraction]:
    """Stride of an output in input pixels (height, width), as far as the operators tell."""
    name = graphs.name_of(graph.model.graph.outputs[index])
    height, width = (_strides(graph, axis).get(name, Fraction(1)) for axis in (0, 1))
    return height, width


def _strides(graph: Graph, axis: int) -> dict[str, Fraction]:
    """Tensor name -> stride in input pixels along the height (axis 0) or width (1)."""
    one = Fraction(1)
    strides: dict[str, Fraction] = {}
    sizes: dict[str, Fraction] = {}  # tensors computed from a shape -> the stride of the tensor with that shape
    for node in graph.model.graph:
        names = [v.name for v in node.inputs if v is not None and v.name]
        record = table.of(node)
        if record.kind == "shape" or any(name in sizes for name in names):
            known = [sizes.get(name, strides.get(name, one)) for name in names]
            if record.kind != "resize":
                sizes.update((graphs.name_of(value), min(known, default=one)) for value in node.outputs)
                continue
        step = max((strides.get(name, one) for name in names if name not in sizes), default=one)
        stride = step if record.stride is None else record.stride(node, step, sizes, axis)
        strides.update((graphs.name_of(value), stride) for value in node.outputs)
    return strides


def size_bound(graph: Graph) -> ir.Node | None:
    """The first operator that holds a spatial size as a constant, so that the graph fits one input size only."""
    bound = next(_holders(graph), None)
    return bound if bound is not None or graph.input.dynamic else _misfit(graph)


def _holders(graph: Graph) -> Iterator[ir.Node]:
    """The operators that hold a spatial size as a constant."""
    return (node for node in graph.model.graph if table.of(node).fits_one_size(node))


def shrunk(graph: Graph, size: Size) -> Graph | None:
    """A static network at another size, where nothing but Resizes hold one: they come to it in proportion.

    Attention that looks at a small map and comes back to the size of the picture does so. None where that is not
    enough.
    """
    own = shapes.size_of(graph.input)
    if own is None:
        return None
    copy, places = graphs.clone(graph), ((size.height, own.height), (size.width, own.width))
    for node in _holders(copy):
        held = graphs.constant(graphs.operand(node, 3)) if table.of(node).kind == "resize" else None
        if held is None or any(int(n) * now % old for n, (now, old) in zip(held[2:], places, strict=True)):
            return None
        sizes = [*held[:2], *(int(n) * now // old for n, (now, old) in zip(held[2:], places, strict=True))]
        node.replace_input_with(
            3, graphs.new_constant(copy.model.graph, f"{node.name}.sizes", np.array(sizes, np.int64))
        )
    try:
        result = resized(copy, size)
    except graphs.MalformedGraph:
        return None
    before, after = (shapes.size_of(each.output) for each in (graph, result))
    if before is not None and after is not None:
        grown = ((after.height, before.height), (after.width, before.width))
        if any(new * old != last * now for (new, last), (now, old) in zip(grown, places, strict=True)):
            return None
    return result


def _misfit(graph: Graph) -> ir.Node | None:
    """The operator that fails at twice the size, such as one with a per-pixel constant (positional embedding)."""
    height, width = (int(n) for n in graph.input.shape[2:])
    body = graph.model.graph
    try:
        doubled = resized(graph, Size(2 * height, 2 * width)).model.graph.outputs[0]
    except graphs.MalformedGraph as error:
        named = re.search(r"node name: (\S+?)\)", str(error))
        return next((node for node in body if named and node.name == named[1]), None) or body[0]
    given, made = (list(value.shape or ())[2:] for value in (body.outputs[0], doubled))
    return None if made == [2 * n for n in given if isinstance(n, int)] else body.outputs[0].producer()
