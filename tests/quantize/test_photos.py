"""Choice and size of calibration photos: never smaller than a network accepts, never too many."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import Graph, Size
from clearport.export.from_torch import export_graph
from clearport.quantize.calibration import photos
from clearport.quantize.calibration.photos import LARGEST, LEAST, MOST_PHOTOS, drawn, middle, prepare, spread
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.weight_only import _at_all_sizes, _Judge
from clearport.quantize.weights import rounding
from clearport.registry import NETWORKS

DEMANDING = ("rlfn", "mobilederain")
"""A network with a least side, and one with strides and a multiple."""


@cache
def freed(name: str) -> Graph:
    spec = NETWORKS.get(name)
    return export_graph(spec.build(spec.default_scale), spec, spec.default_scale, None)


@pytest.mark.parametrize("name", DEMANDING)
@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (15, 17), (17, 15), (31, 33)])
def test_whatever_the_photo_the_network_gets_no_less_than_it_takes(name: str, shape: tuple[int, int]) -> None:
    """ONNX Runtime ends the process where a feature map gets empty, so that no part of the search may try."""
    spec, graph = NETWORKS.get(name), freed(name)
    _, inputs = prepare(graph, [np.full((*shape, 3), 99, np.uint8)] * 2)
    everything = [
        *_at_all_sizes(graph, inputs),
        *photos.cropped(graph, inputs, 32),
        *rounding.affordable(graph, inputs),
    ]
    assert min(n for feed in everything for n in feed["image"].shape[2:]) >= spec.least_side
    assert all(n % spec.size_multiple == 0 for feed in everything for n in feed["image"].shape[2:])
    assert _Judge(graph, inputs).allowed(48.0) > 0  # it ran


def test_tiny_photos_quantize_a_network_of_any_size() -> None:
    tiny = [np.random.default_rng(n).integers(0, 256, (5, 9, 3), np.uint8) for n in range(3)]
    quantized = quantize(freed("mobilederain"), tiny, QuantizeOptions(equalization=(0.0,), search=False))
    assert quantized.table.entries


@given(st.integers(1, 3000), st.floats(1e3, 1e7))
def test_of_many_photos_some_are_spread_over_all(count: int, pixels: float) -> None:
    given_ = list(range(count))
    some = drawn(given_)
    assert some == drawn(given_) == sorted(set(some)), "the same every time, in their order, each once"
    assert len(some) == min(count, MOST_PHOTOS)
    fewer = spread(some, pixels)
    assert fewer == sorted(set(fewer))
    assert min(len(some), photos.FEWEST_PHOTOS) <= len(fewer) <= len(some)
    assert fewer[0] == some[0]


@pytest.mark.parametrize("count", [1, 8, 64])
def test_crops_have_a_floor_however_deep_the_network(count: int) -> None:
    large = [np.zeros((500, 900, 3), np.uint8)] * count
    _, inputs = prepare(freed("mobilederain"), large, 10.0)
    assert {feed["image"].shape[2:] for feed in inputs} == {(LEAST.height, LEAST.width)}


@settings(deadline=None)
@given(st.tuples(st.integers(1, 700), st.integers(1, 700)), st.sampled_from([None, Size(360, 640), Size(90, 401)]))
def test_what_is_kept_of_a_photo_is_all_that_is_looked_at(shape: tuple[int, int], size: Size | None) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    kept = middle(photo, size)
    wanted = size or LARGEST
    assert np.array_equal(photos._fitted(kept, wanted), photos._fitted(photo, wanted))
    assert np.array_equal(photos._fitted(kept, LEAST), photos._fitted(photo, LEAST))
    assert kept.base is None, "nothing holds the whole photo"
