"""Int8 networks with float in them: what must stay in float, what may, and where the two meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearport.base import Graph
from clearport.export.from_torch import export_graph
from clearport.graph import nodes as graphs
from clearport.operators.table import of as record_of
from clearport.quantize import qdq
from clearport.quantize.calibration import survey as calibrate
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.placement import float_regions, fold
from clearport.quantize.placement import floats as placement
from clearport.quantize.ranges import constrain, ends, search
from clearport.quantized import QParams, QuantizedGraph, ScaleTable
from clearport.registry import NETWORKS

PLAIN = QuantizeOptions((0.0,), search=False, compensate=False)

ISLAND = """
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    b = Relu(a)
    c = Conv<pads=[1,1,1,1]>(b, V, C)
    one = Constant<value = float {1.0}>()
    d = Abs(c)
    e = Add(d, one)
    f = Div(image, e)
    g = Conv<pads=[1,1,1,1]>(f, U, D)
    h = Add(g, image)
    lo = Constant<value = float {0.0}>()
    hi = Constant<value = float {255.0}>()
    restored = Clip(h, lo, hi)
"""
SHAPES = {"W": [8, 3, 3, 3], "B": [8], "V": [3, 8, 3, 3], "C": [3], "U": [3, 3, 3, 3], "D": [3]}


def names(graph: Graph, *operators: str) -> set[str]:
    return {placement.name_of(n) for n in graph.model.graph if n.op_type in operators}


def default_session(model: object) -> onnxruntime.InferenceSession:
    """As a user opens it: with every optimization that ONNX Runtime has, and sums that do not overflow."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(graphs.to_bytes(model), options, providers=["CPUExecutionProvider"])


def test_a_division_makes_an_island_of_what_only_it_reads(graph_of) -> None:
    graph = graph_of(ISLAND, **SHAPES)
    floats = placement.floats(graph)
    adds = [placement.name_of(n) for n in graph.model.graph if n.op_type == "Add"]
    assert floats == names(graph, "Abs", "Div") | {adds[0]}


def test_a_cheap_operator_behind_an_island_stays_in_it_and_a_convolution_does_not(graph_of) -> None:
    graph = graph_of("a = Exp(image) b = Relu(a) c = Conv(b, W, B) restored = Relu(c)", W=[3, 3, 1, 1], B=[3])
    relu = placement.name_of(graph.model.graph[1])
    assert placement.floats(graph) == names(graph, "Exp") | {relu}


def test_int8_begins_again_with_a_node_of_its_own(graph_of) -> None:
    graph = graph_of(ISLAND, **SHAPES)
    bounds = {graphs.name_of(v): (-50.0, 300.0) for v in graphs.values(graph)}
    folded = float_regions.run(fold.run(graph, placement.floats(graph)), bounds)
    assert [n.op_type for n in folded.graph.model.graph if n.op_type in {"Identity", "Div"}] == ["Div", "Identity"]
    assert {"d", "e", "f"} == folded.floats
    assert folded.observed["f.int8"] == "f"


@pytest.mark.parametrize("last", ["restored = Sqrt(image)", "a = Sqrt(image) restored = DepthToSpace<blocksize=1>(a)"])
def test_a_picture_leaves_as_pixels_whatever_writes_it(graph_of, photos: list[np.ndarray], last: str) -> None:
    result = quantize(graph_of(last), photos, PLAIN)
    assert result.table["restored"] == result.table["image"] == QParams((1.0,), -128)
    assert result.graph.model.graph.outputs[0].name == "restored"
    model = qdq.to_qdq(result, io="uint8")
    pixels = np.full((1, 3, 16, 16), 100, np.uint8)
    (given,) = default_session(model).run(None, {"image": pixels})
    (wanted,) = graphs.session(graph_of(last).model).run(None, {"image": pixels.astype(np.float32)})
    assert np.abs(given - np.clip(np.rint(wanted), 0, 255)).max() <= 0


def test_a_constant_beside_features_stays_in_float_with_what_joins_them(graph_of, photos: list[np.ndarray]) -> None:
    """The constant is far outside the range of the picture: on its grid nothing would be left of it."""
    body = """
        far = Constant<value = float[1,1,1,1] {1000.0}>()
        mean = GlobalAveragePool(image)
        beside = Concat<axis=1>(mean, far)
        tone = Conv(beside, W, B)
        toned = Add(image, tone)
        lo = Constant<value = float {0.0}>()
        hi = Constant<value = float {255.0}>()
        restored = Clip(toned, lo, hi)
    """
    graph = graph_of(body, W=[3, 4, 1, 1], B=[3])
    result = quantize(graph, photos, PLAIN)
    check_rules(result)
    assert result.table.calibration["islands"] == dict.fromkeys(names(graph, "Concat"), "Concat")
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 16)).astype(np.float32)
    wanted, given = (graphs.session(m).run(None, {"image": image})[0] for m in (graph.model, qdq.to_qdq(result)))
    assert np.abs(given - wanted).max() < 0.02 * np.ptp(wanted)


def test_a_clamp_that_shares_a_scale_leaves_nothing_behind(graph_of, photos: list[np.ndarray]) -> None:
    result = quantize(graph_of(chain(["add", "relu"])), photos[:1], PLAIN)
    assert not [node for node in result.graph.model.graph if node.op_type == "Identity"]
    assert qdq.to_qdq(result, io="uint8").graph.outputs[0].dtype == ir.DataType.UINT8


def test_a_float_value_has_no_entry_and_no_rounding(graph_of, photos: list[np.ndarray]) -> None:
    result = quantize(graph_of(ISLAND, **SHAPES), photos, PLAIN)
    assert not {"d", "e", "f"} & set(result.table.entries)
    assert {"image", "a", "c", "f.int8", "g", "h", "restored"} & set(result.table.entries) >= {"image", "a", "c"}
    names_of_nodes = {node.name for node in qdq.to_qdq(result).graph}
    assert "c.quantize" in names_of_nodes
    assert not {"d.quantize", "e.quantize", "f.quantize"} & names_of_nodes


BODIES = {
    "divide": "{out} = Div({x}, k)",
    "power": "{out}.a = Abs({x}) {out} = Pow({out}.a, half)",
    "exponential": "{out}.a = Mul({x}, small) {out} = Exp({out}.a)",
    "convolve": "{out} = Conv<pads=[1,1,1,1]>({x}, W, B)",
    "relu": "{out} = Relu({x})",
    "square": "{out}.a = Mul({x}, small) {out} = Mul({out}.a, {x})",
    "sigmoid": "{out} = Sigmoid({x})",
    "pool": "{out} = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>({x})",
    "add": "{out} = Add({x}, image)",
}
CONSTANTS = """
    k = Constant<value = float {1.7}>() half = Constant<value = float {0.5}>() small = Constant<value = float {0.004}>()
    lo = Constant<value = float {0.0}>() hi = Constant<value = float {255.0}>()
"""


def chain(steps: list[str]) -> str:
    lines, last = [CONSTANTS], "image"
    for index, step in enumerate(steps):
        lines.append(BODIES[step].replace("{out}.a", f"v{index}a").format(x=last, out=f"v{index}"))
        last = f"v{index}"
    return "\n".join([*lines, f"restored = Clip({last}, lo, hi)"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(sorted(BODIES)), min_size=1, max_size=6))
def test_any_mix_of_int8_and_float_keeps_the_rules(graph_of, photos: list[np.ndarray], steps: list[str]) -> None:
    shapes = {"W": [3, 3, 3, 3], "B": [3]} if "convolve" in steps else {}
    result = quantize(graph_of(chain(steps), **shapes), photos[:1], PLAIN)
    check_rules(result)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 16), dtype=np.uint8)
    model = qdq.to_qdq(result, io="uint8")
    (wanted,), (given,) = (s.run(None, {"image": pixels}) for s in (graphs.session(model), default_session(model)))
    assert given.dtype == np.uint8
    # Fusions round once where the reference rounds twice; what follows can magnify a step, but not on many pixels.
    assert (np.abs(given.astype(int) - wanted) <= 1).mean() >= 0.9


def check_rules(result: QuantizedGraph) -> None:
    """An int8 node reads and writes int8; a float node writes float; the ends are pixels."""
    table = result.table
    for node in result.graph.model.graph:
        written = graphs.name_of(node.outputs[0]) in table
        if node.op_type != "Identity":
            assert not written or record_of(node).int8 is not None
            assert not written or all(graphs.name_of(v) in table for v in placement.data_inputs(node))
        if written and record_of(node).shares_scale:
            assert len({table[graphs.name_of(v)] for v in [*placement.data_inputs(node), *node.outputs]}) == 1
        if placement.is_convolution(node):
            constants = [graphs.name_of(graphs.need(node, index)) in table for index in (1, 2)]
            assert constants == [written, written]
    assert table["image"] == QParams((1.0,), -128)
    assert table["restored"].zero_point == -128


def test_a_float_convolution_keeps_its_weights_in_a_session_with_default_settings(
    graph_of, photos: list[np.ndarray]
) -> None:
    """Left alone, ONNX Runtime would round the weights of a float convolution between int8 values."""
    graph = graph_of("a = Conv<pads=[1,1,1,1]>(image, W, B) restored = Relu(a)", W=[3, 3, 3, 3], B=[3])
    conv = placement.name_of(graph.model.graph[0])
    bounds = {graphs.name_of(v): (0.0, 255.0) for v in graphs.values(graph)}
    folded = float_regions.run(fold.run(graph, placement.floats(graph, {conv})), bounds)
    table = {name: QParams((1.0,), -128) for name in ("image", "restored")}
    model = qdq.to_qdq(QuantizedGraph(folded.graph, ScaleTable(table)), io="uint8")
    pixels = photos[0].transpose(2, 0, 1)[None, :, :16, :16].copy()
    (given,) = default_session(model).run(None, {"image": pixels})
    (wanted,) = graphs.session(graph.model).run(None, {"image": pixels.astype(np.float32)})
    assert np.abs(given - np.clip(np.rint(wanted), 0, 255)).max() == 0


def test_pictures_whose_black_is_not_zero_count_from_black(graph_of, photos: list[np.ndarray]) -> None:
    graph = graph_of("a = Conv<pads=[1,1,1,1]>(image, W, B) restored = Tanh(a)", W=[3, 3, 3, 3], B=[3])
    symmetric = replace(
        graph,
        inputs=(replace(graph.input, value_range=(-1.0, 1.0)),),
        outputs=(replace(graph.output, value_range=(-1.0, 1.0)),),
    )
    counted = ends.from_zero(symmetric)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 16, 16)).astype(np.float32)
    (wanted,) = graphs.session(symmetric.model).run(None, {"image": image})
    (given,) = graphs.session(counted.model).run(None, {"image": image + 1})
    np.testing.assert_allclose(given - 1, wanted, atol=1e-6)
    result = quantize(symmetric, photos, PLAIN)
    assert result.table["image"] == result.table["restored"] == QParams((float(np.float32(2 / 255)),), -128)
    assert result.graph.input.value_range == result.graph.output.value_range == (0.0, 2.0)


def test_a_switch_rounds_one_value_and_leaves_the_others(graph_of, photos: list[np.ndarray]) -> None:
    graph = graph_of("a = Conv(image, W, B) restored = Conv(a, V, C)", W=[3, 3, 1, 1], B=[3], V=[3, 3, 1, 1], C=[3])
    result = quantize(graph, photos, PLAIN)
    session = graphs.session(qdq.with_switches(result, {}))
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 16)).astype(np.float32)

    def run(*on: str) -> np.ndarray:
        given = {f"{name}.on": np.array(name in on) for name in ("image", "a", "restored")}
        (found,) = session.run(None, {"image": image, **given})
        return found

    (real,) = graphs.session(result.graph.model).run(None, {"image": image})
    np.testing.assert_array_equal(run(), real)
    step = result.table["restored"].scale[0]
    levels = run("restored") / step
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
    assert np.abs(run("a") - real).max() > 0
    assert (run("image") != run("a")).any()


def test_a_switch_that_is_off_still_does_the_clamp_of_its_range(graph_of, photos: list[np.ndarray]) -> None:
    graph = graph_of(
        "a = Conv(image, W, B) b = Relu(a) restored = Conv(b, V, C)", W=[3, 3, 1, 1], B=[3], V=[3, 3, 1, 1], C=[3]
    )
    observed = calibrate.merged(
        calibrate.survey(graph, [{"image": np.ones((1, 3, 16, 16), np.float32)}], ["image", "a", "b", "restored"])[0]
    )
    folded = fold.run(graph)
    assert set(folded.clamps) == {"a"}
    entries = constrain.activations(folded, search.Choice("min-max").ranges(folded, observed))
    session = graphs.session(qdq.with_switches(QuantizedGraph(folded.graph, ScaleTable(entries)), folded.clamps))
    image = np.random.default_rng(0).uniform(-255, 255, (1, 3, 16, 16)).astype(np.float32)
    (given,) = session.run(None, {"image": image, **{f"{name}.on": np.array(False) for name in entries}})
    (wanted,) = graphs.session(graph.model).run(None, {"image": image})
    np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["rlfn", pytest.param("bsrn", marks=pytest.mark.slow)])
def test_sizes_that_a_network_computes_stay_integers(name: str) -> None:
    """At a free size, attention resizes to sizes that are joined from shapes: no scale is theirs."""
    spec = NETWORKS.get(name)
    graph = export_graph(spec.build(spec.default_scale), spec, spec.default_scale, None)
    photo = np.random.default_rng(0).integers(0, 256, (48, 60, 3), np.uint8)
    quantized = quantize(graph, [photo], QuantizeOptions(equalization=(0.0,), search=False, compensate=False))
    written = {v.name: v for node in quantized.graph.model.graph for v in node.outputs}
    assert all(v.dtype is None or v.dtype.is_floating_point() for n, v in written.items() if n in quantized.table)
    assert any(node.op_type == "Shape" for node in quantized.graph.model.graph)
