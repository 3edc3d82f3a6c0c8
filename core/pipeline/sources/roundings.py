"""Maps the roundings of a QDQ file to values of the graph made from it, which are matched by content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from clearport.base import Array, Graph
    from clearport.export.from_onnx.plain import Plain
    from clearport.pipeline.sources.measure import Run

    Opener = Callable[[bytes], AbstractContextManager[Run]]

_COMPUTING = frozenset({"Conv", "ConvTranspose", "MatMul"})
_SAME = 1e-4
"""Relative tolerance for values to match: passes change rounding errors."""

Given = tuple[tuple[str, float, float], ...]


def matched(found: Plain, graph: Graph, feed: Mapping[str, Array], opened: Opener) -> Given:
    """Values of the graph, each with the minimum and maximum real value of the file's 8-bit grid for it.

    Args:
        found: the file, which has roundings.
        graph: the graph of its float network, after all passes.
        feed: inputs for which all values differ.
        opened: opens a model in ONNX Runtime.
    """
    assert found.floats is not None
    theirs = _values(found.floats.SerializeToString(), [each.value for each in found.roundings], feed, opened)
    names = [graphs.name_of(v) for v in graphs.values(graph) if v.dtype in {None, ir.DataType.FLOAT}]
    ours = _values(graphs.to_bytes(graph.model), names, feed, opened)
    fingerprints = {name: _fingerprint(array) for name, array in ours.items()}
    pairs: dict[str, tuple[str, float, float]] = {}
    for rounding in found.roundings:
        if rounding.value not in theirs:
            continue
        wanted = _fingerprint(theirs[rounding.value])
        for name, own in fingerprints.items():
            if name not in pairs and _alike(wanted, own):
                pairs[name] = (name, rounding.low, rounding.high)
    return tuple(pairs.values())


def unrounded(graph: Graph, given: Given) -> tuple[str, ...]:
    """Nodes that compute in float: those whose output is not rounded, even after a clamp, and their consumers."""
    rounded = {name for name, _, _ in given} | {graphs.name_of(value) for value in graph.model.graph.outputs}
    found: set[str] = set()
    for node in graph.model.graph:
        value = node.outputs[0]
        ends = [value, *(user.outputs[0] for user in graphs.consumers(value) if graphs.clamp_of(user) is not None)]
        reads = {v.name for v in node.inputs if v is not None}
        if reads & found or (node.op_type in _COMPUTING and not any(v.name in rounded for v in ends)):
            found.add(node.name or "")
            if value.name not in rounded:
                found.add(value.name or "")
    names = {node.name for node in graph.model.graph}
    return tuple(sorted(name for name in found if name in names))


def _values(model: bytes, names: Sequence[str], feed: Mapping[str, Array], opened: Opener) -> dict[str, Array]:
    """The content of some values of a model."""
    proto = onnx.load_model_from_string(model)
    written = {name for node in proto.graph.node for name in node.output} - {value.name for value in proto.graph.output}
    for name in names:
        if name in written:
            proto.graph.output.append(onnx.ValueInfoProto(name=name))
    with opened(proto.SerializeToString()) as run:
        made = run({value.name: feed[value.name] for value in proto.graph.input if value.name in feed})
    return {name: made[name] for name in names if name in made}


def _fingerprint(array: Array) -> Array:
    return np.sort(array.astype(np.float64), axis=None)


def _alike(one: Array, other: Array) -> bool:
    """Whether both have the same elements in any order: passes permute axes and channels."""
    return one.size == other.size and float(np.abs(one - other).max(initial=0.0)) <= _SAME * float(
        np.abs(one).max(initial=0.0)
    )
