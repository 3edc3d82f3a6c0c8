"""Every case between two convolutions, equalized at full strength: it computes what it computed before."""

from __future__ import annotations

import numpy as np
import pytest

from clearport.base import Graph
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.case import after_conv, one
from clearport.quantize.ranges import equalize
from clearport.quantize.weights import arrays as weights

from ..export.tflite.harness import real
from .graphs import CASES, built, picture


def peaks_of(graph: Graph, images: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The largest magnitude of each channel of every value of four axes."""
    seen = graphs.clone(graph)
    values = [value for node in seen.model.graph for value in node.outputs if len(value.shape or ()) == 4]
    names = [graphs.name_of(value) for value in values]
    seen.model.graph.outputs[:] = values
    session = graphs.session(seen.model)
    found = [dict(zip(names, session.run(names, {graph.input.name: image}), strict=True)) for image in images]
    return {name: np.max([np.abs(run[name]).max(axis=(0, 2, 3)) for run in found], axis=0) for name in names}


def equalized(graph: Graph, images: list[np.ndarray]) -> tuple[Graph, bool]:
    """The graph at full strength, and whether a weight is another one."""
    result = equalize.run(graph, peaks_of(graph, images), 1.0)
    kernels = [(graphs.need_constant(old, 1), graphs.need_constant(new, 1)) for old, new in zip(
        weights.convolutions(graph), weights.convolutions(result), strict=True)]  # fmt: skip
    return result, any(not np.array_equal(old, new) for old, new in kernels)


@pytest.mark.parametrize("name", CASES)
def test_the_network_stays_the_same(name: str) -> None:
    case = CASES[name]
    graph, images = built(case, followed=True), [real(picture(case, seed)) for seed in range(2)]
    result, _ = equalized(graph, images)
    feeds = [{graph.input.name: image} for image in (*images, real(picture(case, seed=9)))]
    assert equalize.same(graph, result, feeds)


HOMOGENEOUS = [name for name, record in table.operators().items() if record.homogeneous]


@pytest.mark.parametrize("op", HOMOGENEOUS)
def test_channels_are_equalized_through_what_allows_it(op: str) -> None:
    case = next(case for case in table.operator(op).cases if [node[0] for node in case.nodes] == ["Conv", op])
    _, changed = equalized(built(case, followed=True), [real(picture(case))])
    assert changed


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Exp", "Gelu"])
def test_channels_are_left_where_the_operator_does_not_allow_it(op: str) -> None:
    case = after_conv("alone", one(op))
    _, changed = equalized(built(case, followed=True), [real(picture(case))])
    assert not changed
