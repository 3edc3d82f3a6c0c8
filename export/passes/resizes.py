"""Resize of named axes as one of all axes, the only form that later passes and targets read.

Given: Resize with ``axes``, whose factors or sizes are those of some axes in any order, or with a policy that keeps the
ratio of the sides.
Result: factors or sizes of every axis; computed sizes are joined with those of the other axes. A kept ratio becomes one
factor for all resized axes, which gives the rounded sizes, or else these sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.errors import BadInput
from clearport.export.passes.rewriting import constant, fixed, insert
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array, Graph

_ROI, _SCALES, _SIZES = 1, 2, 3
_RATIO = "keep_aspect_ratio_policy"


def run(graph: Graph) -> Graph:
    """Given and result: see the module.

    Raises:
        BadInput: the rank of what is resized is unknown, or a kept ratio follows from a size that is not fixed.
    """
    if not any(_is_of_some_axes(node) for node in graph.model.graph):
        return graph
    result = graphs.clone(graph)
    for node in tuple(result.model.graph):
        if _is_of_some_axes(node):
            _write_out(node)
    return result


def _is_of_some_axes(node: ir.Node) -> bool:
    return node.op_type == "Resize" and ("axes" in node.attributes or _keeps_ratio(node))


def _keeps_ratio(node: ir.Node) -> bool:
    return graphs.attr_str(node, _RATIO, "stretch") != "stretch" and graphs.operand(node, _SIZES) is not None


def _write_out(node: ir.Node) -> None:
    shape = graphs.need(node, 0).shape
    if shape is None:
        raise BadInput(f"Resize {node.name!r}: the rank of its input is unknown")
    rank = len(shape)
    axes = [axis % rank for axis in graphs.attr_ints(node, "axes", tuple(range(rank)))]
    if _keeps_ratio(node):
        _keep_ratio(node, axes)
        return
    node.attributes.pop("axes")
    node.attributes.pop(_RATIO, None)
    for index in (_SCALES, _SIZES):
        value = graphs.operand(node, index)
        if value is not None:
            node.replace_input_with(index, _of_all(node, value, axes, rank, of_sizes=index == _SIZES))
    region = graphs.constant(graphs.operand(node, _ROI))
    if region is not None and region.size == 2 * len(axes):
        both = np.repeat(np.array([0, 1], np.float32), rank)
        both[[*axes, *(rank + axis for axis in axes)]] = region
        node.replace_input_with(_ROI, constant(node, "roi", both))


def _of_all(node: ir.Node, value: ir.Value, axes: Sequence[int], rank: int, *, of_sizes: bool) -> ir.Value:
    """Factors or sizes of all axes: other factors are 1, other sizes those of the input."""
    held, source = graphs.constant(value), graphs.need(node, 0)
    given = fixed(source)
    if held is not None and not of_sizes:
        return constant(node, "scales", _placed(np.ones(rank), axes, held))
    if held is not None and given is not None:
        return constant(node, "sizes", [int(n) for n in _placed(np.array(given), axes, held)])
    if of_sizes:
        rest: ir.Value = insert(node, "Shape", [source], (rank,))
        rest.type = value.type
    else:
        rest = constant(node, "ones", np.ones(rank))
    joined = insert(node, "Concat", [value, rest], (len(axes) + rank,), {"axis": 0})
    order = [axes.index(axis) if axis in axes else len(axes) + axis for axis in range(rank)]
    joined.type = value.type
    picked = insert(node, "Gather", [joined, constant(node, "order", order)], (rank,), {"axis": 0})
    picked.type = value.type
    return picked


def _placed(whole: Array, axes: Sequence[int], held: Array) -> Array:
    whole[list(axes)] = held
    return whole


def _keep_ratio(node: ir.Node, axes: Sequence[int]) -> None:
    """One factor for all axes: the least or the greatest of those that the sizes ask for."""
    given, wanted = fixed(graphs.need(node, 0)), graphs.constant(graphs.operand(node, _SIZES))
    if given is None or wanted is None:
        raise BadInput(
            f"Resize {node.name!r}: the ratio of its sides is kept, which needs a fixed size: give --size HEIGHTxWIDTH"
        )
    fits = min if graphs.attr_str(node, _RATIO, "stretch") == "not_larger" else max
    factor = np.float32(fits(float(n) / given[axis] for n, axis in zip(wanted, axes, strict=True)))
    factors = _placed(np.ones(len(given), np.float32), axes, np.repeat(factor, len(axes)))
    after = np.floor(factors * np.array(given) + 0.5).astype(int)
    for name in ("axes", _RATIO):
        node.attributes.pop(name, None)
    by_factor = bool((np.floor(factors * np.array(given, np.float32)) == after).all())
    numbers = constant(node, "scales", factors) if by_factor else constant(node, "sizes", after.tolist())
    node.replace_input_with(_SCALES, numbers if by_factor else None)
    node.replace_input_with(_SIZES, None if by_factor else numbers)
