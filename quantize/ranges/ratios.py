"""Minimum output scales that kernels support.

A kernel multiplies its integer accumulator by the ratio of input scales to output scale, in fixed point. An output that
cancels (a mean of centered values) has only rounding errors as its range; with its own scale that ratio would be
thousands, and ONNX Runtime (QLinearGlobalAveragePool) and XNNPACK reject 256 and more. Such an output gets the finest
scale that the ratio allows: it carries only its inputs' rounding errors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.quantize import scheme
from clearport.quantize.placement import floats as placement
from clearport.quantize.placement import fold

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from clearport.base import Array, Graph
    from clearport.quantized import QParams

MOST = 128
"""The largest ratio of input scales to output scale: kernels require less than 256."""


def finest(graph: Graph, entries: Mapping[str, QParams]) -> dict[str, float]:
    """For outputs with a too fine scale in ``entries``, the finest valid one."""
    found: dict[str, float] = {}
    for node in graph.model.graph:
        name = graphs.name_of(node.outputs[0])
        if fold.saturates(node) and name in entries:
            least = scheme.single(_steps(node, entries) / MOST)  # as it will be kept, else it is never reached
            if entries[name].scale[0] < least:
                found[name] = least
    return found


def _steps(node: ir.Node, entries: Mapping[str, QParams]) -> float:
    """The scale of the inputs, times the scale of the other operand or of the largest weight for products."""
    steps = [entries[name].scale[0] for v in placement.data_inputs(node) if (name := graphs.name_of(v)) in entries]
    constants = [array for value in node.inputs if (array := graphs.constant(value)) is not None]
    if placement.is_convolution(node):
        return max(steps, default=0.0) * _step(constants[0])
    if table.of(node).combines == "product":
        return math.prod([*steps, *map(_step, constants)])
    return max(steps, default=0.0)


def _step(array: Array) -> float:
    return float(max(array.max(), -array.min())) / scheme.WEIGHT_HIGH
