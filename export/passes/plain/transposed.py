"""Express transposed convolutions that few kernels support by plain ones.

Given: ConvTranspose with dilations or groups, or with output_padding beyond its padding. Result: with stride 1, a Conv
with the flipped kernel. Otherwise dilations become zeros in the kernel, and each phase of the stride is a separate
Conv, interleaved by Concat and DepthToSpace, or, with different vertical and horizontal strides, by Reshapes. Ungrouped
ones without dilations and within their taps stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, each_float, fixed, insert, reshaped
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array, Graph


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {"ConvTranspose": _transposed})


def _transposed(node: ir.Node) -> ir.Value | None:
    weight, before, after = graphs.constant(graphs.need(node, 1)), fixed(graphs.need(node, 0)), fixed(node.outputs[0])
    if weight is None or before is None or after is None or weight.ndim != 4:
        return None
    if graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET" or "output_shape" in node.attributes:
        return None
    group, ones = graphs.attr_int(node, "group", 1), (1, 1)
    strides, dilations = (graphs.attr_ints(node, name, ones) for name in ("strides", "dilations"))
    pads, more = graphs.attr_ints(node, "pads", (0,) * 4), graphs.attr_ints(node, "output_padding", (0, 0))
    beyond = any(extra > end for extra, end in zip(more, pads[2:], strict=True))
    if group == 1 and dilations == ones and not beyond:
        return None
    kernel = _turned(_spread(weight, dilations), group)
    phases = [
        _phase(node, kernel, group, [_place(kernel.shape[2 + k], strides[k], pads[k], at[k]) for k in (0, 1)], strides)
        for at in np.ndindex(*strides)
    ]
    if len(phases) == 1:
        return phases[0]
    if strides[0] != strides[1]:
        return _by_axes(node, phases, strides, after)
    return _interleaved(node, phases, strides[0], after)


def _spread(weight: Array, dilations: Sequence[int]) -> Array:
    """The kernel with zeros between its taps."""
    sizes = [(n - 1) * d + 1 for n, d in zip(weight.shape[2:], dilations, strict=True)]
    spread = np.zeros((*weight.shape[:2], *sizes), weight.dtype)
    spread[:, :, :: dilations[0], :: dilations[1]] = weight
    return spread


def _turned(weight: Array, group: int) -> Array:
    """(I, O/group, kh, kw) as (O, I/group, kh, kw); the taps in their order."""
    inputs, outputs, *window = weight.shape
    split = weight.reshape(group, inputs // group, outputs, *window).swapaxes(1, 2)
    return np.ascontiguousarray(split.reshape(group * outputs, inputs // group, *window))


def _place(size: int, stride: int, pad: int, at: int) -> tuple[list[int], int]:
    """For outputs ``at``, ``at`` + stride ...: the contributing taps, in a plain kernel's order, and its pad."""
    first = (at + pad) % stride
    taps = list(range(first, size, stride))[::-1]
    ahead = (at + pad - first) // stride  # offset of the plain kernel's last tap, in pixels
    return taps, len(taps) - 1 - ahead


def _phase(
    node: ir.Node, kernel: Array, group: int, places: Sequence[tuple[list[int], int]], strides: Sequence[int]
) -> ir.Value:
    """The outputs of one phase of the stride."""
    before, after = fixed(graphs.need(node, 0)) or (), fixed(node.outputs[0]) or ()
    (rows, top), (columns, left) = places
    taps = kernel[:, :, rows][:, :, :, columns] if rows and columns else np.zeros((*kernel.shape[:2], 1, 1))
    sizes = [-(-n // s) for n, s in zip(after[2:], strides, strict=True)]
    starts = [top, left] if rows and columns else [0, 0]
    ends = [n + k - 1 - m - s for n, k, m, s in zip(sizes, taps.shape[2:], before[2:], starts, strict=True)]
    source = _bordered(node, [*starts, *ends])
    pads = [max(0, n) for n in (*starts, *ends)]
    operands = [source, constant(node, "weight", taps)] + [value for value in node.inputs[2:3] if value is not None]
    shape = (before[0], len(kernel), *sizes)
    return insert(node, "Conv", operands, shape, {"group": group, "pads": pads})


def _bordered(node: ir.Node, pads: Sequence[int]) -> ir.Value:
    """The input, cropped by negative pads."""
    source = graphs.need(node, 0)
    height, width = (fixed(source) or ())[2:]
    top, left, bottom, right = (max(0, -n) for n in pads)
    if not any((top, left, bottom, right)):
        return source
    bounds = [[top, left], [height - bottom, width - right], [2, 3], [1, 1]]
    shape = (*(fixed(source) or ())[:2], height - top - bottom, width - left - right)
    return insert(node, "Slice", [source, *(constant(node, "cut", numbers) for numbers in bounds)], shape)


def _interleaved(node: ir.Node, phases: Sequence[ir.Value], stride: int, after: tuple[int, ...]) -> ir.Value:
    count, channels, height, width = fixed(phases[0]) or ()
    together = insert(node, "Concat", phases, (count, channels * len(phases), height, width), {"axis": 1})
    whole = (count, channels, height * stride, width * stride)
    value = insert(node, "DepthToSpace", [together], whole, {"blocksize": stride, "mode": "DCR"})
    if whole == after:
        return value
    bounds = [constant(node, "cut", numbers) for numbers in ([0, 0], list(after[2:]), [2, 3], [1, 1])]
    return insert(node, "Slice", [value, *bounds], after)


def _by_axes(node: ir.Node, phases: Sequence[ir.Value], strides: Sequence[int], after: tuple[int, ...]) -> ir.Value:
    """Interleave columns, then rows."""
    count, channels, height, width = fixed(phases[0]) or ()
    lines = []
    for row in range(strides[0]):
        parts = phases[row * strides[1] : (row + 1) * strides[1]]
        lines.append(_in_turns(node, parts, 4, (count, channels, height, width * strides[1])))
    value = _in_turns(node, lines, 3, (count, channels, height * strides[0], width * strides[1]))
    if fixed(value) == after:
        return value
    bounds = [constant(node, "cut", numbers) for numbers in ([0, 0], list(after[2:]), [2, 3], [1, 1])]
    return insert(node, "Slice", [value, *bounds], after)


def _in_turns(node: ir.Node, parts: Sequence[ir.Value], axis: int, shape: tuple[int, ...]) -> ir.Value:
    """Stack pictures along a new axis, which is then merged into the preceding one."""
    if len(parts) == 1:
        return parts[0]
    given = fixed(parts[0]) or ()
    apart = [reshaped(node, part, (*given[:axis], 1, *given[axis:])) for part in parts]
    joined = insert(node, "Concat", apart, (*given[:axis], len(parts), *given[axis:]), {"axis": axis})
    return reshaped(node, joined, shape)
