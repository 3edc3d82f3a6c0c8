"""Equalization changes nothing in float; compensated rounding loses less than rounding to nearest."""

from __future__ import annotations

import numpy as np
import pytest

from clearport.base import Graph, Size
from clearport.export.from_torch import export_graph
from clearport.graph import nodes as graphs
from clearport.operators import sizes as graph_sizes
from clearport.quantize.calibration import survey as calibrate
from clearport.quantize.calibration.photos import cropped, halved, prepare
from clearport.quantize.calibration.stepwise import Stepwise
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.qdq import to_qdq
from clearport.quantize.ranges import equalize
from clearport.quantize.weights import arrays as weights
from clearport.quantize.weights import rounding
from clearport.registry import NETWORKS


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_equalized_channels_compute_the_same(chain: Graph, photos: list[np.ndarray], strength: float) -> None:
    free, inputs = prepare(chain, photos)
    names = [graphs.name_of(v) for v in graphs.values(free)]
    _, before = calibrate.survey(free, inputs, names)
    equal = equalize.run(free, before, strength)
    wanted, given = (graphs.session(g.model).run(None, inputs[0])[0] for g in (free, equal))
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    _, after = calibrate.survey(equal, inputs, names)
    for name in ("b", "d", "g"):
        assert after[name].max() / after[name].min() < before[name].max() / before[name].min()


def test_a_value_that_is_read_by_more_than_convolutions_is_left_alone(graph_of) -> None:
    graph = graph_of("a = Conv(image, W, B) b = Conv(a, V, C) restored = Add(a, b)",
                     W=[3, 3, 1, 1], B=[3], V=[3, 3, 1, 1], C=[3])  # fmt: skip
    peaks = {graphs.name_of(v): np.array([1.0, 2.0, 3.0]) for v in graphs.values(graph)}
    equal = equalize.run(graph, peaks, 1.0)
    assert graphs.to_bytes(equal.model) == graphs.to_bytes(graph.model)


def test_compensated_rounding_beats_nearest_on_its_patches() -> None:
    generator = np.random.default_rng(0)
    mixed = generator.normal(size=(20, 20)) @ generator.normal(size=(20, 4000))
    taps = np.concatenate([mixed + 3.0, np.ones((1, 4000))])
    rows = generator.normal(size=(6, 21))
    scales = np.abs(rows[:, :-1]).max(axis=1) / 7
    rounded = rounding.compensate(rows, taps @ taps.T / 4000, scales)
    nearest = np.concatenate([np.rint(rows[:, :-1] / scales[:, None]) * scales[:, None], rows[:, -1:]], axis=1)
    levels = rounded[:, :-1] / scales[:, None]
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-9)
    assert np.abs(levels).max() <= 127
    ours, theirs = (np.square((r - rows) @ taps).mean() for r in (rounded, nearest))
    assert ours < 0.5 * theirs
    assert abs(((rounded - rows) @ taps).mean()) < 1e-3, "the bias takes up the mean"


def test_patches_are_what_the_convolution_sees(graph_of) -> None:
    attributes = "kernel_shape=[3,3], strides=[2,1], dilations=[1,2], pads=[1,2,1,2]"
    graph = graph_of(f"restored = Conv<{attributes}>(image, W, B)", W=[3, 3, 3, 3], B=[3])
    node = graph.model.graph[0]
    image = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    drawn = rounding.draw(node, image[0], 50, np.random.default_rng(0))
    weight, bias = graphs.need_constant(node, 1), graphs.need_constant(node, 2)
    computed = weight.reshape(3, -1) @ drawn.reshape(-1, 50) + bias[:, None]
    wanted = graphs.session(graph.model).run(None, {"image": image})[0][0].reshape(3, -1)
    gaps = np.abs(computed[:, :, None] - wanted[:, None, :]).max(axis=0).min(axis=1)
    assert gaps.max() < 1e-5


STEPS = """
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    b = Relu(a)
    c = Conv<pads=[1,1,1,1]>(b, V, C)
    d = Concat<axis=1>(c, image)
    e = Conv<pads=[1,1,1,1]>(d, U, D)
    restored = Add(e, c)
"""
STEP_SHAPES = {"W": [8, 3, 3, 3], "B": [8], "V": [3, 8, 3, 3], "C": [3], "U": [3, 6, 3, 3], "D": [3]}


def test_a_network_in_steps_computes_what_it_does_at_once_with_what_was_changed(graph_of) -> None:
    graph = graph_of(STEPS, **STEP_SHAPES)
    images = [np.random.default_rng(n).normal(size=(1, 3, 16, 16)).astype(np.float32) for n in (0, 1, 2)]
    changed = {name: np.random.default_rng(7).normal(size=STEP_SHAPES[name]).astype(np.float32) for name in ("V", "U")}
    network = Stepwise(graph.model, [{"image": image} for image in images])
    first = network.advance(["b"])
    network.change({"V": changed["V"]})
    assert [set(found) for found in network.advance(["d"])] == [{"d"}] * 3
    network.change({"U": changed["U"]})
    last = network.advance(["restored"])
    session = graphs.session(weights.replaced(graph, changed).model)
    shown = graph.model.clone()
    shown.graph.outputs.append(next(v for node in shown.graph for v in node.outputs if v.name == "b"))
    exposed = graphs.session(shown)
    for image, before, after in zip(images, first, last, strict=True):
        np.testing.assert_array_equal(before["b"], exposed.run(["b"], {"image": image})[0])
        np.testing.assert_allclose(after["restored"], session.run(None, {"image": image})[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [pytest.param(None, marks=pytest.mark.slow), Size(64, 96)])
def test_branches_that_come_back_to_the_size_of_the_picture_do_not_add_up(size: Size | None) -> None:
    """BSRN's attention shrinks six times and resizes to where it was, in each of its blocks."""
    spec = NETWORKS.get("bsrn")
    assert graph_sizes.coarsest_stride(export_graph(spec.build(4), spec, 4, size)) == 6


@pytest.mark.parametrize("memory", [1.0, 1e9])
def test_a_survey_in_steps_sees_what_one_run_sees(chain: Graph, monkeypatch: pytest.MonkeyPatch, memory: float) -> None:
    """However few values a step may hold, and photos run together, each value is seen on every photo."""
    monkeypatch.setattr(calibrate, "STEP_MEMORY", memory)
    monkeypatch.setattr(calibrate, "HELD_MEMORY", memory)
    free, _ = prepare(chain, [np.zeros((8, 8, 3), np.uint8)])
    images = [np.random.default_rng(n).uniform(0, 255, (1, 3, 16, 24)).astype(np.float32) for n in (0, 1, 2)]
    names = [v.name for v in graphs.values(free) if v.shape is not None and len(v.shape) > 1]
    seen, peaks = calibrate.survey(free, [{"image": image} for image in images], names)
    shown = free.model.clone()
    shown.graph.outputs.clear()
    shown.graph.outputs.extend(v for node in shown.graph for v in node.outputs if v.name in names)
    session = graphs.session(shown)
    given = [v.name for v in shown.graph.outputs]
    for image, found in zip(images, seen, strict=True):
        assert list(found) == names
        for name, array in zip(given, session.run(given, {free.input.name: image}), strict=True):
            assert (found[name].low, found[name].high) == pytest.approx((array.min(), array.max()), rel=1e-5, abs=1e-6)
            assert found[name].counts.sum() == array.size
            assert (peaks[name] >= np.abs(array).max(axis=(0, 2, 3)) - 1e-4).all()


def test_a_survey_of_photos_of_several_sizes_where_the_second_axis_is_no_channel(graph_of) -> None:
    """Attention over pixels lays them out along that axis: as many as a photo has."""
    body = """a = Conv(image, W, B) t = Transpose<perm=[0,2,3,1]>(a) s = Sigmoid(t)
        u = Transpose<perm=[0,3,1,2]>(s) restored = Conv(u, V, C)"""
    graph = graph_of(body, W=[8, 3, 1, 1], B=[8], V=[3, 8, 1, 1], C=[3])
    free, images = prepare(graph, [np.full((16, 24, 3), 200, np.uint8), np.full((20, 12, 3), 100, np.uint8)])
    names = [graphs.name_of(v) for v in graphs.values(free)]
    seen, peaks = calibrate.survey(free, images, names)
    assert {name: peaks[name].shape for name in "atsu"} == {"a": (8,), "t": (1,), "s": (1,), "u": (8,)}
    assert peaks["t"] == peaks["a"].max() == max(max(-found["t"].low, found["t"].high) for found in seen)


def test_small_photos_are_extended_and_large_ones_cut(chain: Graph) -> None:
    small, large = np.zeros((1, 1, 3), np.uint8), np.zeros((600, 800, 3), np.uint8)
    free, inputs = prepare(chain, [small, large])
    assert free.input.dynamic
    assert [x["image"].shape[2:] for x in inputs] == [(8, 8), (180, 320)]
    assert [x["image"].shape[2:] for x in cropped(free, inputs, 64)] == [(8, 8), (64, 64)]
    assert [x["image"].shape[2:] for x in halved(free, inputs)] == [(90, 160)]


def test_photos_fit_what_a_network_unshuffles_and_reduces(graph_of) -> None:
    body = """
        half = SpaceToDepth <blocksize=2> (image)
        quarter = Conv <kernel_shape=[2,2], strides=[2,2]> (half, w, b)
        restored = DepthToSpace <blocksize=4, mode="DCR"> (quarter)
    """
    graph = graph_of(body, w=[48, 12, 2, 2], b=[48])
    assert graph_sizes.coarsest_stride(graph) == 4
    _, inputs = prepare(graph, [np.zeros((50, 54, 3), np.uint8)])
    assert all(n % 4 == 0 for feed in inputs for n in feed["image"].shape[2:])


def test_where_every_layer_is_int8_compensating_earlier_errors_is_nearer_to_the_network(
    graph_of, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = "".join(f"c{n} = Conv<pads=[1,1,1,1]>(r{n}, W{n}, B{n}) r{n + 1} = Relu(c{n})\n" for n in range(1, 8))
    body = f"c0 = Conv<pads=[1,1,1,1]>(image, W0, B0) r1 = Relu(c0)\n{layers} restored = Conv<pads=[1,1,1,1]>(r8, V, C)"
    shapes = {f"W{n}": [8, 8 if n else 3, 3, 3] for n in range(8)} | {f"B{n}": [8] for n in range(8)}
    chain = graph_of(body, **shapes, V=[3, 8, 3, 3], C=[3])
    run, errors = rounding.run, []
    image = {"image": photos[1][None, 8:24, 12:28].transpose(0, 3, 1, 2).astype(np.float32)}
    wanted = graphs.session(chain.model).run(None, image)[0]
    for earlier in (True, False):
        monkeypatch.setattr(rounding, "run", lambda *a, e=earlier, **kw: run(*a, **{**kw, "earlier": e}))
        quantized = quantize(chain, photos[:1], QuantizeOptions(prefer="speed"))
        given = graphs.session(to_qdq(quantized)).run(None, image)[0]
        errors.append(float(np.square(given - wanted).mean()))
    assert errors[0] < errors[1]
