"""A scale table keeps the rules of TFLite's int8 specification, whatever the graph and the ranges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import Graph
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.quantize.placement import float_regions, fold
from clearport.quantize.placement import floats as placement
from clearport.quantize.placement.fold import Folded
from clearport.quantize.ranges import constrain
from clearport.quantize.weights import arrays as weights
from clearport.quantized import QParams

RESIDUAL = """
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    b = Relu(a)
    c = Conv<pads=[1,1,1,1]>(b, V, C)
    d = Conv(image, N, Z)
    e = Add(c, d)
    lo = Constant<value = float {0.0}>()
    hi = Constant<value = float {255.0}>()
    f = Clip(e, lo, hi)
    restored = DepthToSpace<blocksize=2>(f)
"""
SHAPES = {"W": [8, 3, 3, 3], "B": [8], "V": [12, 8, 3, 3], "C": [12], "N": [12, 3, 1, 1], "Z": [12]}


def ranges_of(graph: Graph, high: float = 100.0) -> dict[str, tuple[float, float]]:
    return {graphs.name_of(v): (-0.7 * high, high) for v in graphs.values(graph)}


def lowered(graph: Graph, ranges: dict[str, tuple[float, float]]) -> Folded:
    return float_regions.run(fold.run(graph, placement.floats(graph)), ranges)


def with_copies(graph: Graph) -> Graph:
    kernel = np.tile(np.eye(3, dtype=np.float32), (4, 1))[:, :, None, None]
    return weights.replaced(graph, {"N": kernel, "Z": np.zeros(12, np.float32)})


def test_a_residual_network(graph_of) -> None:
    graph = with_copies(graph_of(RESIDUAL, **SHAPES))
    ranges = {**ranges_of(graph), "f": (0.0, 250.0), "restored": (0.0, 250.0)}
    folded = lowered(graph, ranges)
    assert [n.op_type for n in folded.graph.model.graph] == ["Conv", "Conv", "Conv", "Add", "DepthToSpace"]
    assert folded.observed == {"image": "image", "a": "b", "c": "c", "d": "d", "e": "f", "restored": "restored"}
    entries = constrain.activations(folded, ranges)
    pixel = QParams((1.0,), -128)
    assert entries["image"] == entries["e"] == entries["restored"] == pixel
    assert entries["d"] == pixel, "a convolution that copies channels is exact at its input's scale"
    assert entries["a"] == QParams((float(np.float32(100 / 255)),), -128)
    assert entries["c"].zero_point == round(-128 + 70 / (170 / 255))


def test_data_movement_operators_share_a_scale(graph_of) -> None:
    graph = graph_of(
        """
        a = Conv(image, W, B)
        b = Conv(image, V, C)
        c = Concat<axis=1>(a, b)
        d = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c)
        restored = DepthToSpace<blocksize=2>(d)
        """,
        colors=2,
        W=[4, 3, 1, 1], B=[4], V=[4, 3, 1, 1], C=[4],
    )  # fmt: skip
    ranges = {**ranges_of(graph), "a": (-3.0, 1.0), "b": (0.0, 9.0), "c": (0.0, 1.0), "d": (0, 1), "restored": (0, 1)}
    entries = constrain.activations(lowered(graph, ranges), ranges)
    assert len({entries[name] for name in ("a", "b", "c", "d", "restored")}) == 1
    assert entries["a"].scale[0] == pytest.approx(12 / 255)


def test_sigmoid_and_tanh_have_the_scales_of_the_specification(graph_of) -> None:
    graph = graph_of("a = Sigmoid(image) restored = Tanh(a)")
    ranges = {"image": (0.0, 255.0), "a": (0.0, 1.0), "restored": (0.0, 0.76)}
    entries = constrain.activations(lowered(graph, ranges), ranges)
    assert entries["a"] == QParams((1 / 256,), -128)
    assert entries["restored"] == QParams((1 / 128,), 0)


def test_two_fixed_scales_that_meet_are_parted(graph_of) -> None:
    graph = graph_of("a = Sigmoid(image) restored = Concat<axis=1>(a, image)", colors=6)
    ranges = {"image": (0.0, 255.0), "a": (0.0, 1.0), "restored": (0.0, 255.0)}
    folded = lowered(graph, ranges)
    entries = constrain.activations(folded, ranges)
    assert [n.op_type for n in folded.graph.model.graph] == ["Sigmoid", "Identity", "Concat"]
    assert entries["a"] == QParams((1 / 256,), -128)
    assert entries["a.rescaled"] == entries["image"] == entries["restored"] == QParams((1.0,), -128)


def test_features_that_do_not_fit_a_fixed_range_are_not_cut_to_it(graph_of) -> None:
    graph = graph_of("a = Conv(image, W, B) restored = Concat<axis=1>(a, image)", colors=6, W=[3, 3, 1, 1], B=[3])
    ranges = {"image": (0.0, 255.0), "a": (-900.0, 900.0), "restored": (-900.0, 900.0)}
    entries = constrain.activations(lowered(graph, ranges), ranges)
    assert entries["image"] == QParams((1.0,), -128)
    assert entries["a"] == entries["image.rescaled"] == entries["restored"]
    assert entries["a"].scale[0] == pytest.approx(1800 / 255)


@pytest.mark.parametrize(("high", "fixed"), [(200.0, True), (3.0, False)])
def test_the_range_of_a_clamp_is_taken_where_it_is_used(graph_of, high: float, fixed: bool) -> None:
    body = """lo = Constant<value = float {0.0}>() hi = Constant<value = float {255.0}>()
        a = Add(image, image) b = Clip(a, lo, hi) restored = Conv(b, W, B)"""
    graph = graph_of(body, W=[3, 3, 1, 1], B=[3])
    ranges = {**ranges_of(graph), "b": (0.0, high)}
    entries = constrain.activations(lowered(graph, ranges), ranges)
    assert (entries["a"] == QParams((1.0,), -128)) is fixed


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("a = Add(image, image) b = Relu(a) restored = Add(a, b)", ["Add", "Relu", "Add"]),
        ("a = MaxPool<kernel_shape=[1,1]>(image) restored = Relu(a)", ["MaxPool", "Relu"]),
        ("a = Add(image, image) restored = Relu(a)", ["Add"]),
    ],
)
def test_a_clamp_is_folded_only_where_nothing_else_sees_the_value(graph_of, body: str, left: list[str]) -> None:
    folded = fold.run(graph_of(body))
    assert [n.op_type for n in folded.graph.model.graph] == left
    assert fold.left(folded) == tuple(n.name for n in folded.graph.model.graph if n.op_type == "Relu")
    assert folded.graph.model.graph.outputs[0].name == "restored"


def test_a_clamp_that_excludes_zero_stays(graph_of) -> None:
    body = """lo = Constant<value = float {0.5}>() hi = Constant<value = float {1.0}>()
        a = Add(image, image) restored = Clip(a, lo, hi)"""
    assert len(fold.left(fold.run(graph_of(body)))) == 1


RANGE = st.tuples(st.floats(-500, 500, width=32), st.floats(-500, 500, width=32)).map(lambda p: (min(p), max(p)))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_ranges_give_a_legal_table(graph_of, data: st.DataObject) -> None:
    graph = graph_of(RESIDUAL, **SHAPES)
    ranges = {graphs.name_of(v): data.draw(RANGE) for v in graphs.values(graph)}
    ranges["restored"] = ranges["f"] = tuple(np.clip(ranges["f"], 0.0, 255.0))
    folded = lowered(graph, ranges)
    entries = constrain.activations(folded, ranges)
    assert set(entries) == {graphs.name_of(v) for v in graphs.values(folded.graph)}
    for node in folded.graph.model.graph:
        name = graphs.name_of(node.outputs[0])
        if table.of(node).shares_scale:
            assert all(entries[graphs.name_of(v)] == entries[name] for v in placement.data_inputs(node))
        clamp = folded.clamps.get(name)
        if clamp is not None and clamp.lo == 0.0:
            assert entries[name].zero_point == -128
    assert entries["image"] == QParams((1.0,), -128)


@given(st.floats(-1e6, 1e6, width=32), st.floats(0, 2**-20, width=32))
def test_a_bias_fits_its_grid_however_small_the_weights(graph_of, bias: float, weight: float) -> None:
    graph = graph_of("restored = Conv(image, W, B)", W=[3, 3, 1, 1], B=[3])
    filters = np.full((3, 3, 1, 1), weight, np.float32)
    biases = np.array([bias, 0.0, -bias], np.float32)
    graph = weights.replaced(graph, {"W": filters, "B": biases})
    (node,) = weights.convolutions(graph)
    _, grid = weights.params(node, QParams((1.0,), -128))
    assert (np.abs(biases) / np.array(grid.scale) <= 2**23 * 1.001).all()


def test_a_clamp_that_excludes_zero_is_half_folded(graph_of) -> None:
    """Clip(1, 3): the convolution saturates at 3, and what is left is the bound 1 at the same scale."""
    body = """lo = Constant<value = float {1.0}>() hi = Constant<value = float {3.0}>()
        a = Conv(image, W, B) b = Clip(a, lo, hi) restored = Conv(b, V, C)"""
    graph = graph_of(body, W=[3, 3, 1, 1], B=[3], V=[3, 3, 1, 1], C=[3])
    ranges = {**ranges_of(graph), "a": (-60.0, 90.0), "b": (1.0, 3.0)}
    entries = constrain.activations(lowered(graph, ranges), ranges)
    assert entries["a"] == entries["b"] == QParams((float(np.float32(3 / 255)),), -128)
