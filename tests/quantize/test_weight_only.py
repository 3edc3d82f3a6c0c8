"""Weights alone in int8: on their grids, better than rounding to nearest, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clearport.base import Graph
from clearport.errors import BadInput
from clearport.graph import nodes as graphs
from clearport.protocols import no_progress
from clearport.quantize import scheme, weight_only
from clearport.quantize.weights import arrays as weights


def result(graph: Graph, image: np.ndarray) -> np.ndarray:
    (found,) = graphs.session(graph.model).run(None, {"image": image})
    return found


def as_tensor(photo: np.ndarray) -> np.ndarray:
    return photo[None, 8:24, 12:28].transpose(0, 3, 1, 2).astype(np.float32)


@pytest.mark.parametrize("with_photos", [True, False])
def test_weights_are_on_their_grids_and_nothing_else_is_in_the_table(
    chain: Graph, photos: list[np.ndarray], with_photos: bool
) -> None:
    rounded = weight_only.quantize(chain, photos if with_photos else [])
    assert set(rounded.table.entries) == {"W", "D", "T", "V"}
    for node in weights.convolutions(rounded.graph):
        params = rounded.table[graphs.name_of(graphs.need(node, 1))]
        array = graphs.need_constant(node, 1)
        assert len(params.scale) == array.shape[weights.output_axis(node)]
        np.testing.assert_array_equal(scheme.snapped(array, params), array)
        assert np.abs(scheme.to_integers(array, params).astype(int)).max() <= 127


def test_compensation_halves_the_error_of_rounding_to_nearest(chain: Graph, photos: list[np.ndarray]) -> None:
    rounded = weight_only.quantize(chain, photos[:1])
    nearest = {
        name: scheme.snapped(graphs.constant(chain.model.graph.initializers[name]), params)
        for name, params in rounded.table.entries.items()
    }
    image = as_tensor(photos[1])
    wanted = result(chain, image)
    errors = [np.square(result(g, image) - wanted).mean() for g in (rounded.graph, weights.replaced(chain, nearest))]
    assert errors[0] < 0.5 * errors[1]


def test_the_same_photos_give_the_same_weights_on_any_number_of_cores(
    chain: Graph, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for cores in (1, 4):
        monkeypatch.setattr("clearport.quantize.calibration.parallel.cores", lambda cores=cores: cores)
        made.append(graphs.to_bytes(weight_only.quantize(chain, photos).graph.model))
    assert made[0] == made[1]


def test_a_small_layer_that_costs_most_stays_in_float(graph_of, photos: list[np.ndarray]) -> None:
    """What the 1x1 convolution gives is magnified 40 times: its weights, 9 of 309, are what int8 spoils."""
    body = """
        a = Conv<pads=[1,1,1,1]>(image, W, B)
        b = Relu(a)
        c = Conv<pads=[1,1,1,1]>(b, V, C)
        d = Conv(c, P, Q)
        big = Constant<value = float {40.0}>()
        e = Mul(d, big)
        restored = Add(e, image)
    """
    shapes = {"W": [8, 3, 3, 3], "B": [8], "V": [3, 8, 3, 3], "C": [3], "P": [3, 3, 1, 1], "Q": [3]}
    graph = graph_of(body, **shapes)
    costs = weight_only._costs(graph, weight_only._Judge(graph, [{"image": as_tensor(photos[0])}]))
    assert weight_only._costliest(graph, costs, sum(costs.values()) - 0.9 * costs["P"]) == frozenset({"P"})
    assert set(weight_only._rounded(graph, None, no_progress, {"P"}).table.entries) == {"W", "V"}


def test_a_network_that_int8_spoils_is_improved_until_it_is_good_or_a_quarter_is_float(
    chain: Graph, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_only, "ENOUGH_DB", 130.0)
    monkeypatch.setattr(weight_only, "AMPLE_DB", 130.0)
    rounded = weight_only.quantize(chain, photos)
    sizes = {graphs.name_of(graphs.need(n, 1)): graphs.need_constant(n, 1).size for n in weights.convolutions(chain)}
    floats = sum(size for name, size in sizes.items() if name not in rounded.table)
    assert 0 < floats <= weight_only.MOST_FLOAT * sum(sizes.values())
    plain = weight_only._rounded(chain, None, no_progress)
    image = as_tensor(photos[1])
    wanted = result(chain, image)
    errors = [np.square(result(q.graph, image) - wanted).mean() for q in (rounded, plain)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("number", [0, 1])
def test_the_better_of_both_roundings_is_taken_unless_the_first_is_ample(
    graph_of, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(weight_only, "ENOUGH_DB", 0.0)
    body = "a = Conv<pads=[1,1,1,1]>(image, W, B)\n b = Relu(a)\n restored = Conv<pads=[1,1,1,1]>(b, V, C)"
    graph = graph_of(body, W=[8, 3, 3, 3], B=[8], V=[3, 8, 3, 3], C=[3])
    free, inputs = weight_only.photos.prepare(graph, photos[number : number + 1])
    judge, errors = weight_only._Judge(free, inputs), []
    for with_real in (False, True):
        sights = weight_only._Sights(free, weight_only.rounding.affordable(free, inputs), with_real)
        errors.append(judge.error(weight_only._rounded(graph, sights, no_progress)))
    assert errors[0] != errors[1]
    monkeypatch.setattr(weight_only, "AMPLE_DB", 200.0)
    assert judge.error(weight_only.quantize(graph, photos[number : number + 1])) == min(errors)
    monkeypatch.setattr(weight_only, "AMPLE_DB", 0.0)
    assert judge.error(weight_only.quantize(graph, photos[number : number + 1])) == errors[0]


def test_anything_but_a_photo_is_refused(chain: Graph) -> None:
    with pytest.raises(BadInput, match="must be uint8 RGB"):
        weight_only.quantize(chain, [np.zeros((4, 4), np.uint8)])


@given(arrays(np.float64, (2, 3, 3, 3), elements=st.floats(-120, 120)))
def test_without_photos_the_sum_of_each_kernel_is_kept(steps: np.ndarray) -> None:
    kept = weight_only._keep_sums(steps)
    np.testing.assert_array_equal(kept, np.rint(kept))
    assert np.abs(kept - steps).max() <= 1.0
    assert np.abs((kept - steps).sum(axis=(2, 3))).max() <= 0.5 + 1e-9


def test_rounding_keeps_what_is_whole_and_single_taps() -> None:
    whole = np.arange(-27.0, 27.0).reshape(2, 3, 3, 3)
    single = np.array([0.4, -0.4, 0.6, 126.9]).reshape(4, 1, 1, 1)
    np.testing.assert_array_equal(weight_only._keep_sums(whole), whole)
    np.testing.assert_array_equal(weight_only._keep_sums(single), np.rint(single))
