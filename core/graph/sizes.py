"""Sizes of a graph: the input size that it holds, others that it may be given, and the strides of what is inside."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from clearport.base import Size
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

    from clearport.base import Graph

_PARTS = 64
"""Scales are taken for fractions of at most so many parts: 0.7 is 7/10, though as a float32 number it is a bit less."""


def resized(graph: Graph, size: Size | None) -> Graph:
    """The same network for another input size, or for any size (None); shapes inside are inferred again.

    Only right where ``size_bound`` finds nothing.
    """
    import onnx_ir as ir

    copy = graphs.clone(graph)
    for value in graphs.values(copy):
        value.shape = None
    place: tuple[int | str, ...] = ("H", "W") if size is None else (size.height, size.width)
    copy.model.graph.inputs[0].shape = ir.Shape([1, 3, *place])
    checked = graphs.check(copy)
    scaled = tuple(n * graph.scale if isinstance(n, int) else f"{graph.scale}*{n}" for n in place)
    return replace(
        checked,
        inputs=(replace(graph.input, shape=(1, 3, *place)),),
        outputs=(replace(graph.output, shape=(1, 3, *scaled)),),
    )


def coarsest_stride(graph: Graph) -> int:
    """What the sides of an input must be multiples of, so that no feature map has a part of a cell.

    Along each side a cell covers so many input pixels, or a fraction of one; of several branches it is the least common
    multiple.
    """
    return math.lcm(*(stride.numerator for axis in (0, 1) for stride in _strides(graph, axis)))


def _strides(graph: Graph, axis: int) -> Iterator[Fraction]:
    """Of every value, the input pixels that one of its cells covers along the height (axis 0) or width (1)."""
    one = Fraction(1)
    strides: dict[str, Fraction] = {}
    sizes: dict[str, Fraction] = {}  # values that are computed from a shape -> the stride of what has that shape
    for node in graph.model.graph:
        names = [v.name for v in node.inputs if v is not None and v.name]
        if node.op_type == "Shape" or any(name in sizes for name in names):
            known = [sizes.get(name, strides.get(name, one)) for name in names]
            if node.op_type != "Resize":
                sizes.update((graphs.name_of(value), min(known, default=one)) for value in node.outputs)
                continue
        step = max((strides.get(name, one) for name in names if name not in sizes), default=one)
        strides.update((graphs.name_of(value), _stride(node, step, sizes, axis)) for value in node.outputs)
    yield from strides.values()


def _stride(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    """The stride of what a node gives, where that of what it takes is ``step``."""
    if node.op_type in {"Conv", "MaxPool", "AveragePool"}:
        return step * graphs.attr_ints(node, "strides", (1, 1))[axis]
    if node.op_type == "ConvTranspose":
        return step / graphs.attr_ints(node, "strides", (1, 1))[axis]
    if node.op_type in {"DepthToSpace", "SpaceToDepth"}:
        block = graphs.attr_int(node, "blocksize", 1)
        return step / block if node.op_type == "DepthToSpace" else step * block
    return _resized_stride(node, step, sizes, axis) if node.op_type == "Resize" else step


def _resized_stride(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    """By the scale that the node has; where it has sizes, those are taken for rounded ones."""
    scales, target = graphs.constant(graphs.operand(node, 2)), graphs.operand(node, 3)
    if scales is not None:
        return step / Fraction(float(scales[2 + axis])).limit_denominator(_PARTS)
    if target is not None and graphs.name_of(target) in sizes:
        return sizes[graphs.name_of(target)]
    ends = (graphs.need(node, 0), node.outputs[0])
    given, made = (v.shape[2 + axis] if v.shape is not None else None for v in ends)
    if not isinstance(given, int) or not isinstance(made, int):
        return step
    return Fraction(max(1, round(step * Fraction(given, made))))


def size_bound(graph: Graph) -> ir.Node | None:
    """The first operator that holds a spatial size as a constant, so that the graph fits one input size only."""
    for node in graph.model.graph:
        if node.op_type in {"Reshape", "Expand"} or (node.op_type == "Resize" and graphs.operand(node, 3) is not None):
            return node
        axes = graphs.constant(graphs.operand(node, 3)) if node.op_type == "Slice" else None
        if axes is not None and any(axis != 1 for axis in axes.tolist()):
            return node
    return None if graph.input.dynamic else _misfit(graph)


def _misfit(graph: Graph) -> ir.Node | None:
    """The operator that refuses twice the size: a constant with pixels of its own (an embedding of positions) does."""
    height, width = (int(n) for n in graph.input.shape[2:])
    body = graph.model.graph
    try:
        doubled = resized(graph, Size(2 * height, 2 * width)).model.graph.outputs[0]
    except graphs.MalformedGraph as error:
        named = re.search(r"node name: (\S+?)\)", str(error))
        return next((node for node in body if named and node.name == named[1]), None) or body[0]
    given, made = (list(value.shape or ())[2:] for value in (body.outputs[0], doubled))
    return None if made == [2 * n for n in given if isinstance(n, int)] else body.outputs[0].producer()
