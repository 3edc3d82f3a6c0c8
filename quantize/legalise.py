"""Ranges -> a scale table that every target takes.

The rules of TFLite's int8 specification: operators that move data share one scale; Sigmoid writes 1/256 at -128, Tanh
1/128 at 0; the image has the exact scale of a pixel; a folded clamp to 0..hi is hi/255 at -128. And one of ours: what a
leaky ReLU reads has steps that are a little larger where that makes it exact in XNNPACK's fixed point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from clearport import graphs
from clearport.base import QParams
from clearport.quantize import islands, scheme
from clearport.quantize.fold import Folded

if TYPE_CHECKING:
    from collections.abc import Collection

    import onnx_ir as ir

    from clearport.base import Array

Ranges = Mapping[str, tuple[float, float]]

SLOPE_PARTS = 256
"""XNNPACK's int8 leaky ReLU (``qs8-vlrelu``) multiplies by whole parts of this; else it was up to 0.67 steps off."""

SLOPE_MOST = 128
"""The largest ratio of input to output scale that XNNPACK takes there."""

_NEARLY_HALF = 0.5 - 1e-4

SLOPE_WIDENING = 1.03
"""The most that the steps before a leaky ReLU may grow for that."""


def activations(folded: Folded, ranges: Ranges) -> dict[str, QParams]:
    """Parameters of every int8 activation, from the real ranges of the values of the original graph.

    ``folded`` is what ``islands.run`` gives: no two fixed scales meet in one group.
    """
    groups = islands.groups_of(folded)
    members = groups.members()
    entries: dict[str, QParams] = {}
    for each in members.values():
        params = _of_group(each, folded, ranges)
        entries.update(dict.fromkeys(each, params))
    alone = {name for name in entries if name not in folded.fixed and len(members[groups.root(name)]) == 1}
    _slopes(folded, alone, entries)
    _copies(folded, alone, entries)
    return {name: entries[name] for v in graphs.values(folded.graph) if (name := graphs.name_of(v)) in entries}


def _of_group(members: list[str], folded: Folded, ranges: Ranges) -> QParams:
    given = {folded.fixed[name] for name in members if name in folded.fixed}
    if given:
        (params,) = given
        return params
    cut = [_cut(ranges[folded.observed[name]], name, folded) for name in members]
    return scheme.of_range(min(low for low, _ in cut), max(high for _, high in cut))


def _cut(observed: tuple[float, float], name: str, folded: Folded) -> tuple[float, float]:
    clamp = folded.clamps.get(name)
    low, high = observed
    return (low, high) if clamp is None else (max(low, clamp.lo), min(high, clamp.hi))


def _slopes(folded: Folded, alone: Collection[str], entries: dict[str, QParams]) -> None:
    """Widen what leaky ReLUs read, where no other tensor must have the same scale."""
    for node in folded.graph.model.graph:
        name = graphs.name_of(node.outputs[0])
        if (
            node.op_type == "LeakyRelu"
            and name in entries
            and (source := graphs.name_of(graphs.need(node, 0))) in alone
        ):
            ratio = leaky_ratio(
                entries[source].scale[0] / entries[name].scale[0], graphs.attr_float(node, "alpha", 0.01)
            )
            entries[source] = replace(entries[source], scale=(scheme.single(ratio * entries[name].scale[0]),))


@cache
def leaky_ratio(ratio: float, slope: float) -> float:
    """The ratio of a leaky ReLU's input scale to its output scale, for which fixed point rounds as real numbers do.

    Args:
        ratio: the one that the ranges ask for.
        slope: what the operator multiplies negative numbers by.

    Returns:
        The ratio from ``ratio`` to ``SLOPE_WIDENING`` times as much, of whole ``SLOPE_PARTS``, for which the fewest
        levels are rounded differently, or could be because they lie at a half; ``ratio`` where there is none.
    """
    if ratio > SLOPE_MOST:
        return ratio
    parts = np.arange(math.ceil(ratio * SLOPE_PARTS), math.floor(ratio * SLOPE_PARTS * SLOPE_WIDENING) + 1)
    return float(parts[np.argmin(_misrounded(parts, slope))]) / SLOPE_PARTS if len(parts) else ratio


def _misrounded(parts: Array, slope: float) -> Array:
    """For how many distances from zero XNNPACK's product is not the nearest level, or is one of two that are."""
    distances = np.arange(1, 256) / SLOPE_PARTS
    found = np.zeros(len(parts), np.int64)
    for exact, used in ((parts, parts), (-slope * parts, np.rint(-slope * parts))):
        wanted = np.multiply.outer(exact, distances)
        given = np.floor(np.multiply.outer(used, distances) + 0.5)
        found += (np.abs(given - wanted) > _NEARLY_HALF).sum(axis=1)
    return found


def _copies(folded: Folded, alone: Collection[str], entries: dict[str, QParams]) -> None:
    """A convolution that only copies channels writes what it reads: with the same scale it is exact."""
    for node in folded.graph.model.graph:
        name = graphs.name_of(node.outputs[0])
        if name in alone and is_copy(node):
            entries[name] = entries[graphs.name_of(graphs.need(node, 0))]


def is_copy(node: ir.Node) -> bool:
    """Whether a convolution repeats or reorders its input's channels: 1x1, one tap of 1.0 per filter, no bias."""
    if node.op_type != "Conv" or graphs.attr_int(node, "group", 1) != 1:
        return False
    weight, bias = graphs.need_constant(node, 1), graphs.need_constant(node, 2)
    if weight.shape[2:] != (1, 1) or bias.any():
        return False
    taps = weight.reshape(len(weight), -1)
    return bool(((taps != 0).sum(axis=1) == 1).all() and (taps.max(axis=1) == 1.0).all())
