"""Ranges -> a scale table that every target takes.

The rules of TFLite's int8 specification: operators that move data share one scale; Sigmoid writes 1/256 at -128, Tanh
1/128 at 0; the image has the exact scale of a pixel; a folded clamp to 0..hi is hi/255 at -128.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from clearport import graphs
from clearport.base import Graph, QParams
from clearport.quantize import scheme
from clearport.quantize.fold import Folded

if TYPE_CHECKING:
    import onnx_ir as ir

Ranges = Mapping[str, tuple[float, float]]

MOVERS = frozenset(
    {"DepthToSpace", "Concat", "Slice", "Pad", "MaxPool", "AveragePool", "Resize", "Transpose", "Reshape"}
)
"""Operators whose output must have the scale and zero point of their inputs."""

_FIXED = {"Sigmoid": QParams((1 / 256,), -128), "Tanh": QParams((1 / 128,), 0)}


class _Groups:
    """Union-find over value names; ``root`` of a group is its first member."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parent = {name: name for name in names}

    def root(self, name: str) -> str:
        while self._parent[name] != name:
            name = self._parent[name]
        return name

    def join(self, a: str, b: str) -> None:
        self._parent[self.root(b)] = self.root(a)

    def members(self) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for name in self._parent:
            groups.setdefault(self.root(name), []).append(name)
        return groups


def activations(folded: Folded, ranges: Ranges) -> dict[str, QParams]:
    """Parameters of every activation, from the real ranges of the values of the original graph.

    Raises:
        ValueError: an operator would have to join two values whose scales are both fixed, and differ.
    """
    names = [graphs.name_of(v) for v in graphs.values(folded.graph)]
    groups = _Groups(names)
    for node in folded.graph.model.graph:
        if node.op_type in MOVERS:
            for value in data_inputs(node):
                groups.join(graphs.name_of(value), graphs.name_of(node.outputs[0]))
    fixed = _fixed(folded)
    entries: dict[str, QParams] = {}
    for members in groups.members().values():
        params = _of_group(members, fixed, folded, ranges)
        entries.update(dict.fromkeys(members, params))
    _copies(folded.graph, groups, fixed, entries)
    return {name: entries[name] for name in names}


def data_inputs(node: ir.Node) -> list[ir.Value]:
    """The inputs of an operator that carry pixels or features: neither constants nor left out."""
    return [v for v in node.inputs if v is not None and graphs.constant(v) is None]


def _fixed(folded: Folded) -> dict[str, QParams]:
    """The values whose parameters are given by what they mean."""
    source = folded.graph.input
    fixed = {source.name: scheme.of_range(*source.value_range)}
    for node in folded.graph.model.graph:
        name = graphs.name_of(node.outputs[0])
        if node.op_type in _FIXED:
            fixed[name] = _FIXED[node.op_type]
        clamp = folded.clamps.get(name)
        if clamp is not None and np.isfinite([clamp.lo, clamp.hi]).all():
            fixed[name] = scheme.of_range(clamp.lo, clamp.hi)
    return fixed


def _of_group(members: list[str], fixed: Mapping[str, QParams], folded: Folded, ranges: Ranges) -> QParams:
    given = {fixed[name] for name in members if name in fixed}
    if len(given) > 1:
        raise ValueError(f"{', '.join(members)} must share one scale, and several of them are fixed")
    if given:
        return given.pop()
    cut = [_cut(ranges[folded.observed[name]], name, folded) for name in members]
    return scheme.of_range(min(low for low, _ in cut), max(high for _, high in cut))


def _cut(observed: tuple[float, float], name: str, folded: Folded) -> tuple[float, float]:
    clamp = folded.clamps.get(name)
    low, high = observed
    return (low, high) if clamp is None else (max(low, clamp.lo), min(high, clamp.hi))


def _copies(graph: Graph, groups: _Groups, fixed: Mapping[str, QParams], entries: dict[str, QParams]) -> None:
    """A convolution that only copies channels writes what it reads: with the same scale it is exact."""
    members = groups.members()
    for node in graph.model.graph:
        name = graphs.name_of(node.outputs[0])
        if name not in fixed and len(members[groups.root(name)]) == 1 and is_copy(node):
            entries[name] = entries[graphs.name_of(graphs.need(node, 0))]


def is_copy(node: ir.Node) -> bool:
    """Whether a convolution repeats or reorders its input's channels: 1x1, one tap of 1.0 per filter, no bias."""
    if node.op_type != "Conv" or graphs.attr_int(node, "group", 1) != 1:
        return False
    weight, bias = graphs.need_constant(node, 1), graphs.need_constant(node, 2)
    taps = weight.reshape(len(weight), -1)
    one_hot = ((taps != 0).sum(axis=1) == 1).all() and (taps.max(axis=1) == 1.0).all()
    return bool(weight.shape[2:] == (1, 1) and one_hot and not bias.any())
