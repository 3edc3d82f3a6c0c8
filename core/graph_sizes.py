"""Sizes of a graph: the input size that it holds, others that it may be given, and the strides of what is inside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clearport import graphs

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from clearport.base import Graph, Size


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
        input=replace(graph.input, shape=(1, 3, *place)),
        output=replace(graph.output, shape=(1, 3, *scaled)),
    )


def coarsest_stride(graph: Graph) -> int:
    """How many input pixels one cell of the coarsest feature map covers per side: sizes must be multiples of it."""
    strides: dict[str, float] = {}
    sizes: dict[str, float] = {}  # values that are computed from a shape -> the stride of what has that shape
    for node in graph.model.graph:
        names = [v.name for v in node.inputs if v is not None and v.name]
        if node.op_type == "Shape" or any(name in sizes for name in names):
            known = [sizes.get(name, strides.get(name, 1.0)) for name in names]
            if node.op_type != "Resize":
                sizes.update((graphs.name_of(value), min(known, default=1.0)) for value in node.outputs)
                continue
        step = max((strides.get(name, 1.0) for name in names if name not in sizes), default=1.0)
        strides.update((graphs.name_of(value), _stride(node, step, sizes)) for value in node.outputs)
    return max(1, *(round(step) for step in strides.values()))


def _stride(node: ir.Node, step: float, sizes: Mapping[str, float]) -> float:
    """The stride of what a node gives, where that of what it takes is ``step``."""
    if node.op_type in {"Conv", "MaxPool", "AveragePool"}:
        return step * graphs.attr_ints(node, "strides", (1, 1))[0]
    if node.op_type == "ConvTranspose":
        return step / graphs.attr_ints(node, "strides", (1, 1))[0]
    if node.op_type in {"DepthToSpace", "SpaceToDepth"}:
        block = graphs.attr_int(node, "blocksize", 1)
        return step / block if node.op_type == "DepthToSpace" else step * block
    return _resized_stride(node, step, sizes) if node.op_type == "Resize" else step


def _resized_stride(node: ir.Node, step: float, sizes: Mapping[str, float]) -> float:
    scales, target = graphs.constant(graphs.operand(node, 2)), graphs.operand(node, 3)
    if scales is not None:
        return step / float(scales[2])
    if target is not None and graphs.name_of(target) in sizes:
        return sizes[graphs.name_of(target)]
    ends = (graphs.need(node, 0), node.outputs[0])
    given, made = (v.shape[2] if v.shape is not None else None for v in ends)
    return step * given / made if isinstance(given, int) and isinstance(made, int) else step


def size_bound(graph: Graph) -> ir.Node | None:
    """The first operator that holds a spatial size as a constant, so that the graph fits one input size only."""
    for node in graph.model.graph:
        if node.op_type in {"Reshape", "Expand"} or (node.op_type == "Resize" and graphs.operand(node, 3) is not None):
            return node
        axes = graphs.constant(graphs.operand(node, 3)) if node.op_type == "Slice" else None
        if axes is not None and any(axis != 1 for axis in axes.tolist()):
            return node
    return None
