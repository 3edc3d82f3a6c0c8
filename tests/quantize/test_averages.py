"""Averages of an even number of pixels are convolutions in int8: no runtime rounds their halves its own way."""

from __future__ import annotations

import numpy as np
import pytest

from clearport.base import Graph
from clearport.graph import nodes as graphs
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.ranges import averages

SHARED = """
    a = AveragePool<kernel_shape=[4,4], strides=[4,4]>(image)
    b = Conv(a, W, B)
    c = Concat<axis=1>(a, b)
    restored = Conv(c, V, C)
"""
SHAPES = {"W": [3, 3, 1, 1], "B": [3], "V": [3, 6, 1, 1], "C": [3]}
TURNED = {
    "2x2": "kernel_shape=[2,2], strides=[2,2]",
    "4x1": "kernel_shape=[4,1], strides=[2,1]",
    "overlapping, padding counted": "kernel_shape=[2,2], pads=[1,0,0,1], count_include_pad=1",
}
KEPT = {
    "an odd number of pixels": "kernel_shape=[3,3], strides=[3,3]",
    "padding left out": "kernel_shape=[2,2], pads=[1,0,0,1]",
    "rounded up": "kernel_shape=[2,2], strides=[3,3], ceil_mode=1",
    "a large window": "kernel_shape=[16,16]",
}


def computed(graph: Graph) -> np.ndarray:
    image = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    (found,) = graphs.session(graph.model).run(None, {"image": image})
    return found


@pytest.mark.parametrize("window", TURNED.values(), ids=TURNED)
def test_they_are_turned_into_what_computes_the_same(graph_of, window: str) -> None:
    graph = graph_of(f"restored = AveragePool<{window}>(image)")
    turned = averages.as_convolutions(graph)
    assert [node.op_type for node in turned.model.graph] == ["Conv"]
    np.testing.assert_allclose(computed(turned), computed(graph), rtol=0, atol=1e-6)


@pytest.mark.parametrize("window", KEPT.values(), ids=KEPT)
def test_others_stay(graph_of, window: str) -> None:
    graph = graph_of(f"restored = AveragePool<{window}>(image)")
    assert averages.as_convolutions(graph) is graph


def test_in_int8_the_weights_are_exact_and_nothing_shares_the_steps_of_the_image(graph_of) -> None:
    generator = np.random.default_rng(1)
    photos = [generator.integers(0, 256, (16, 16, 3)).astype(np.uint8) for _ in range(4)]
    quantized = quantize(graph_of(SHARED, **SHAPES), photos, QuantizeOptions(equalization=(0.0,)))
    operators = [node.op_type for node in quantized.graph.model.graph]
    assert "AveragePool" not in operators
    assert "Identity" not in operators
    (pooled,) = (node for node in quantized.graph.model.graph if node.outputs[0].name == "a")
    weight = graphs.need_constant(pooled, 1)
    assert np.ptp(weight) == 0
    assert float(weight.flat[0]) == pytest.approx(1 / 16, rel=1e-6)
