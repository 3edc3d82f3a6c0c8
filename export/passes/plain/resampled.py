"""Decompose resizing modes that few targets support into convolutions and matrix products.

Given: Resize at a fixed size, cubic, with antialias, or linear with symmetric half pixels.
Result: for integer factors and few channels, edge padding, a Conv that computes all sub-pixels, and DepthToSpace, which
also have int8 kernels; else two products with interpolation matrices for rows and columns. The weights are ONNX
Runtime's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export import resampling
from clearport.export.passes.plain.picks import picked
from clearport.export.passes.rewriting import constant, each_float, fixed, insert
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Callable

    from clearport.base import Array, Graph

_FEW = 16
"""Maximum channels: with more, a dense convolution is slower than two products."""
_REACH = 4
"""Maximum radius of the convolution, in pixels."""


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {"Resize": _resize})


def picked_out(graph: Graph, stays: Callable[[ir.Node], bool]) -> Graph:
    """Replace Resize nodes of known size for which ``stays`` is false by gathers (nearest) or products (linear)."""
    changed = each_float(graph, {"Resize": lambda node: None if stays(node) else _named(node, _picked_out(node))})
    return changed if changed is graph else graphs.check(changed)


def _named(node: ir.Node, value: ir.Value | None) -> ir.Value | None:
    """Give a value the name of the value it replaces, which may be in a scale table."""
    old = node.outputs[0]
    if value is not None and not old.is_graph_output():
        value.name, old.name = old.name, f"{old.name}.replaced"
    return value


def _picked_out(node: ir.Node) -> ir.Value | None:
    shape, after = fixed(graphs.need(node, 0)), fixed(node.outputs[0])
    if shape is None or after is None or not resampling.known(node):
        return None
    found = [resampling.places(node, axis, shape[axis]).astype(int).tolist() for axis in (2, 3)]
    if tuple(map(len, found)) != after[2:]:  # shape inference and ONNX Runtime disagree on the size
        return None
    if graphs.attr_str(node, "mode", "nearest") != "nearest":
        rows, columns = (resampling.weights(node, axis, shape[axis]) for axis in (2, 3))
        return _multiplied(node, shape, after, rows, columns)
    value: ir.Value | None = graphs.need(node, 0)
    for axis, places in zip((2, 3), found, strict=True):
        value = None if value is None else picked(node, value, axis, places)
    return value


def _resize(node: ir.Node) -> ir.Value | None:
    shape, after = fixed(graphs.need(node, 0)), fixed(node.outputs[0])
    mode = graphs.attr_str(node, "mode", "nearest")
    symmetric = graphs.attr_str(node, "coordinate_transformation_mode", "half_pixel") == "half_pixel_symmetric"
    rare = mode == "cubic" or (mode == "linear" and (graphs.attr_int(node, "antialias", 0) or symmetric))
    if shape is None or after is None or not rare or not resampling.known(node):
        return None
    rows, columns = (resampling.weights(node, axis, shape[axis]) for axis in (2, 3))
    return _convolved(node, shape, after, rows, columns) or _multiplied(node, shape, after, rows, columns)


def _multiplied(node: ir.Node, shape: tuple[int, ...], after: tuple[int, ...], rows: Array, columns: Array) -> ir.Value:
    taller = (*shape[:2], after[2], shape[3])
    left = insert(node, "MatMul", [constant(node, "rows", rows[None, None]), graphs.need(node, 0)], taller)
    return insert(node, "MatMul", [left, constant(node, "columns", columns.T.copy())], after)


def _convolved(
    node: ir.Node, shape: tuple[int, ...], after: tuple[int, ...], rows: Array, columns: Array
) -> ir.Value | None:
    count, channels, height, width = shape
    factor = after[2] // height
    if factor < 2 or after[2:] != (factor * height, factor * width) or channels > _FEW:
        return None
    taps = [_taps(weights, factor) for weights in (rows, columns)]
    if taps[0] is None or taps[1] is None or taps[0].shape != taps[1].shape:
        return None
    reach = taps[0].shape[1] // 2
    kernel = np.zeros((factor, factor, channels, channels, *taps[0].shape[1:], *taps[1].shape[1:]))
    for c in range(channels):
        kernel[:, :, c, c] = np.einsum("ik,jl->ijkl", taps[0], taps[1])
    kernel = kernel.reshape(factor**2 * channels, channels, *kernel.shape[4:])
    pads = constant(node, "pads", [0, 0, reach, reach] * 2)
    wide = insert(
        node, "Pad", [graphs.need(node, 0), pads], (*shape[:2], height + 2 * reach, width + 2 * reach), {"mode": "edge"}
    )
    weights = [constant(node, "weight", kernel), constant(node, "bias", np.zeros(len(kernel)))]
    made = insert(node, "Conv", [wide, *weights], (count, len(kernel), height, width))
    return insert(node, "DepthToSpace", [made], after, {"blocksize": factor, "mode": "DCR"})


def _taps(weights: Array, factor: int) -> Array | None:
    """(factor, taps): weights of neighboring pixels for each of ``factor`` sub-pixels, edge repeated; None if
    irregular.
    """
    length = weights.shape[1]
    for reach in range(1, _REACH + 1):
        if length < 2 * reach + 1:
            return None
        middle = length // 2
        found = weights[middle * factor : (middle + 1) * factor, middle - reach : middle + reach + 1]
        whole = np.zeros_like(weights)
        for place in range(length):
            for tap in range(2 * reach + 1):
                at = min(max(place + tap - reach, 0), length - 1)
                whole[place * factor : (place + 1) * factor, at] += found[:, tap]
        if np.allclose(whole, weights, rtol=0, atol=1e-6):
            return found
    return None
