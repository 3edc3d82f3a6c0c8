"""Leaky ReLUs with identical results for all 256 levels in fixed point and in float.

XNNPACK multiplies in fixed point (``qs8-vlrelu``) by multiples of 1/256, rounding half up. Float runtimes multiply by
the slope itself and round half to even, with ties decided by their last bits. So the scales and the slope are chosen
such that both multiply by the same number, and exact ties are offset to XNNPACK's side. Scales constrained otherwise
stay, and a few levels may differ; so may those of TFLite's reference kernel, which rounds twice.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from clearport.graph import nodes as graphs
from clearport.quantize import scheme

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import onnx_ir as ir

    from clearport.base import Graph
    from clearport.quantized import QParams

PARTS = 256
"""The denominator of XNNPACK's fixed-point factors."""

MOST = 128
"""The largest ratio of input to output scale that XNNPACK supports."""

WIDENING = 1.03
"""The largest increase of a leaky ReLU's input scale."""

_NEAR = 0.25
"""How far, in parts, a near slope may be from the operator's: the largest input comes out a quarter of a step off. Each
percent of widening costs 0.09 dB."""

_ABOVE, _BELOW = 2.0**-17, 2.0**-15
"""Relative offsets that push exact ties off .5, so that XNNPACK (half up) and float kernels (half to even) round alike:
positive products up by the first, negative ones toward zero by the second minus the first. The offsets exceed what
float32 loses when it adds a zero point before rounding (2**-17 of a step), and stay below the distance to the next
product (2**-8 of a step), up to 170 steps below zero."""


def widen(model: ir.Model, alone: Collection[str], entries: dict[str, QParams]) -> None:
    """Widen the input ranges of leaky ReLUs a little, unless another tensor must have the same scale."""
    for node in _leaky(model, entries):
        source, out = _ends(node)
        if source in alone:
            found = ratio(entries[source].scale[0] / entries[out].scale[0], _slope(node))
            entries[source] = replace(entries[source], scale=(scheme.single(found * entries[out].scale[0]),))


@cache
def ratio(asked: float, slope: float) -> float:
    """The ratio of a leaky ReLU's input scale to its output scale that fixed point can express.

    Args:
        asked: the ratio that follows from the ranges.
        slope: the operator's slope for negative values.

    Returns:
        Among the ratios from ``asked`` to ``WIDENING`` times ``asked`` that are multiples of 1 / ``PARTS`` (plus an
        offset against ties) and whose slope is near ``slope``, the one with the fewest ties, and the smallest of
        those; if no slope is near, the one with the nearest slope; ``asked`` if there is no such multiple.
    """
    parts = np.arange(math.ceil(asked * PARTS), math.floor(asked * PARTS * WIDENING) + 1)
    parts = parts[PARTS // 2 % parts != 0]  # half a step is a product of those, and ``_ABOVE`` of it too little
    if asked > MOST or not len(parts):
        return asked
    missed = np.abs(np.rint(slope * parts) / parts - slope)
    near = missed * parts < _NEAR
    parts, missed = (parts[near], parts[near]) if near.any() else (parts, missed)  # the least widening, or the nearest
    ties = np.gcd(parts, PARTS) % PARTS  # of 960 parts, 3.75, a quarter of the levels are; of whole ratios, none
    best = np.lexsort((missed, ties))[0]
    return float(parts[best]) / PARTS * (1 + _ABOVE)


def expressed(graph: Graph, entries: Mapping[str, QParams]) -> Graph:
    """The graph with the fixed-point slopes of int8 leaky ReLUs whose scales satisfy ``ratio``."""
    import onnx_ir as ir

    result = graphs.clone(graph)
    for node in _leaky(result.model, entries):
        source, out = _ends(node)
        parts = entries[source].scale[0] / entries[out].scale[0] * PARTS / (1 + _ABOVE)
        below = round(_slope(node) * round(parts))
        if math.isclose(parts, round(parts), rel_tol=_ABOVE / 4) and below > 0:
            node.attributes["alpha"] = ir.AttrFloat32("alpha", below / round(parts) * (1 - _BELOW))
    return result


def _leaky(model: ir.Model, entries: Mapping[str, QParams]) -> list[ir.Node]:
    return [n for n in model.graph if n.op_type == "LeakyRelu" and all(name in entries for name in _ends(n))]


def _ends(node: ir.Node) -> tuple[str, str]:
    return graphs.name_of(graphs.need(node, 0)), graphs.name_of(node.outputs[0])


def _slope(node: ir.Node) -> float:
    return graphs.attr_float(node, "alpha", 0.01)
