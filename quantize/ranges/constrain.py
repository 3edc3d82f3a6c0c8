"""Ranges -> a scale table that is valid for every target.

The rules of TFLite's int8 specification: operators that move data share one scale; Sigmoid outputs have scale 1/256 and
zero point -128, Tanh 1/128 and 0; the image has the exact scale of a pixel; a folded clamp to 0..hi is hi/255 at -128.
And one of ours: a leaky ReLU's input scale is exact in fixed point (``leaky_relu``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clearport.graph import nodes as graphs
from clearport.quantize import scheme
from clearport.quantize.placement import float_regions
from clearport.quantize.placement.floats import is_plain_convolution
from clearport.quantize.placement.fold import Folded
from clearport.quantize.ranges import leaky_relu, ratios
from clearport.quantized import QParams

if TYPE_CHECKING:
    from collections.abc import Collection

    import onnx_ir as ir

Ranges = Mapping[str, tuple[float, float]]


def activations(folded: Folded, ranges: Ranges) -> dict[str, QParams]:
    """Parameters of every int8 activation, from the real ranges of the values of the original graph.

    ``folded`` is the result of ``float_regions.run``: no group has two fixed scales.
    """
    groups = float_regions.groups_of(folded)
    members = groups.members()
    entries: dict[str, QParams] = {}
    for each in members.values():
        params = _of_group(each, folded, ranges)
        entries.update(dict.fromkeys(each, params))
    _coarsen(folded, groups, members, entries)
    alone = {name for name in entries if name not in folded.fixed and len(members[groups.root(name)]) == 1}
    leaky_relu.widen(folded.graph.model, alone, entries)
    _copies(folded, alone, entries)
    return {name: entries[name] for v in graphs.values(folded.graph) if (name := graphs.name_of(v)) in entries}


def _coarsen(
    folded: Folded, groups: float_regions.Groups, members: Mapping[str, list[str]], entries: dict[str, QParams]
) -> None:
    """Coarsen scales that are too fine for kernels, with all values that share them."""
    while True:
        found = {name: step for name, step in ratios.finest(folded.graph, entries).items() if name not in folded.fixed}
        free = {
            root: step
            for name, step in found.items()
            if not folded.fixed.keys() & set(members[root := groups.root(name)])
        }
        if not free:
            return
        for root, step in free.items():
            entries.update(dict.fromkeys(members[root], scheme.coarser(entries[root], step)))


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


def _copies(folded: Folded, alone: Collection[str], entries: dict[str, QParams]) -> None:
    """Give a convolution that only copies channels its input's scale, so that it is exact."""
    for node in folded.graph.model.graph:
        name = graphs.name_of(node.outputs[0])
        if name in alone and is_copy(node):
            entries[name] = entries[graphs.name_of(graphs.need(node, 0))]


def is_copy(node: ir.Node) -> bool:
    """Whether a convolution repeats or reorders its input's channels: 1x1, one tap of 1.0 per filter, no bias."""
    if not is_plain_convolution(node) or graphs.attr_int(node, "group", 1) != 1:
        return False
    weight, bias = graphs.need_constant(node, 1), graphs.need_constant(node, 2)
    if weight.shape[2:] != (1, 1) or bias.any():
        return False
    taps = weight.reshape(len(weight), -1)
    return bool(((taps != 0).sum(axis=1) == 1).all() and (taps.max(axis=1) == 1.0).all())
