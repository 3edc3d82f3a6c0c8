"""Convolutions with computed kernels, as sums over taps: most runtimes support constant kernels only.

Given: Conv of one picture whose kernel other layers compute (dynamic and conditional convolutions, 1912.03458 and
1904.04971). Result: a Slice per tap; for depthwise kernels each is multiplied by the kernel's per-channel value, else
all taps are concatenated for one MatMul, with groups as a batch axis.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.export.passes.rewriting import constant, each_float, fixed, insert, reshaped
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Graph

_PICTURE = 4
_LAST = 2**31 - 1


@dataclass(frozen=True)
class _Window:
    """Geometry of a kernel (height, width), and the size (height, width) of its output."""

    kernel: tuple[int, int]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    given: tuple[int, int]


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {"Conv": _computed})


def _computed(node: ir.Node) -> ir.Value | None:
    source, kernel = graphs.need(node, 0), graphs.need(node, 1)
    before, shape, after = fixed(source), fixed(kernel), fixed(node.outputs[0])
    if graphs.constant(kernel) is not None or before is None or shape is None or after is None:
        return None
    plain = graphs.attr_str(node, "auto_pad", "NOTSET") in {"NOTSET", "VALID"}
    group = graphs.attr_int(node, "group", 1)
    depthwise = group == before[1] == shape[0] and shape[1] == 1
    if len(before) != _PICTURE or before[0] != 1 or not plain:
        return None
    window = _Window(
        (shape[2], shape[3]),
        graphs.attr_ints(node, "strides", (1, 1)),
        graphs.attr_ints(node, "dilations", (1, 1)),
        graphs.attr_ints(node, "pads", (0,) * 4),
        (after[2], after[3]),
    )
    taps = _taps(node, source, window)
    found = _by_channels(node, taps, kernel) if depthwise else _by_product(node, taps, kernel, after, group)
    bias = graphs.operand(node, 2)
    if bias is None:
        return found
    return insert(node, "Add", [found, reshaped(node, bias, (1, shape[0], 1, 1))], after)


def _taps(node: ir.Node, source: ir.Value, window: _Window) -> list[ir.Value]:
    """The input under each tap, from the top left."""
    before = fixed(source) or ()
    top, left, bottom, right = window.pads
    if any(window.pads):
        pads = constant(node, "pads", [0, 0, top, left, 0, 0, bottom, right])
        shape = (*before[:2], before[2] + top + bottom, before[3] + left + right)
        source = insert(node, "Pad", [source, pads], shape, {"mode": "constant"})
    found = []
    for tap in itertools.product(*map(range, window.kernel)):
        starts = [place * step for place, step in zip(tap, window.dilations, strict=True)]
        counted = zip(starts, window.given, window.strides, strict=True)
        ends = [min(start + (n - 1) * step + 1, _LAST) for start, n, step in counted]
        cuts = [constant(node, "cut", list(each)) for each in (starts, ends, (2, 3), window.strides)]
        found.append(insert(node, "Slice", [source, *cuts], (*before[:2], *window.given)))
    return found


def _by_channels(node: ir.Node, taps: list[ir.Value], kernel: ir.Value) -> ir.Value:
    channels, shape = (fixed(kernel) or (1,))[0], fixed(taps[0])
    numbers = reshaped(node, kernel, (1, channels, len(taps), 1))
    total: ir.Value | None = None
    for place, tap in enumerate(taps):
        cuts = [constant(node, "cut", [n]) for n in (place, place + 1, 2, 1)]
        factor = insert(node, "Slice", [numbers, *cuts], (1, channels, 1, 1))
        product = insert(node, "Mul", [tap, factor], shape)
        total = product if total is None else insert(node, "Add", [total, product], shape)
    assert total is not None
    return total


def _by_product(node: ir.Node, taps: list[ir.Value], kernel: ir.Value, after: tuple[int, ...], group: int) -> ir.Value:
    outputs, inputs, *window = fixed(kernel) or (1, 1, 1, 1)
    pixels, length = int(np.prod(after[2:])), inputs * len(taps)
    rows = [reshaped(node, tap, (group, inputs, pixels)) for tap in taps]
    stacked = rows[0] if len(rows) == 1 else insert(node, "Concat", rows, (group, length, pixels), {"axis": 1})
    turned = insert(node, "Transpose", [kernel], (outputs, *window, inputs), {"perm": [0, 2, 3, 1]})
    matrix = reshaped(node, turned, (group, outputs // group, length))
    return reshaped(node, insert(node, "MatMul", [matrix, stacked], (group, outputs // group, pixels)), after)
