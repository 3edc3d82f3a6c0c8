"""Samples and feeds of inputs of every kind, and the symbols of their sides."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.base import Size, TensorSpec, scale_word
from clearport.errors import BadInput
from clearport.graph import feeds, shapes
from clearport.model_spec import ModelSpec, Paper
from clearport.runtime import pixels

PICTURE = TensorSpec("image", (1, 3, "H", "W"), value_range=(0.0, 1.0))
STATE = TensorSpec("hidden", (1, 8, "H/2", "W/2"), value_range=None, kind="state")
PHOTO = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)


@given(times=st.fractions(min_value="1/16", max_value=16, max_denominator=16), of=st.sampled_from("HW"))
def test_a_symbol_says_how_many_times_the_side_it_is(times: Fraction, of: str) -> None:
    assert shapes.multiple(shapes.symbol(times, of)) == (times, of)


def test_a_network_of_one_size_is_freed_and_fixed_again() -> None:
    specs = (
        TensorSpec("image", (1, 3, 32, 48)),
        TensorSpec("flow", (1, 2, 8, 12), kind="map"),
        TensorSpec("pooled", (1, 5, 1, 1), kind="map"),
        TensorSpec("code", (1, 32), kind="vector"),
    )
    free = shapes.freed(specs, Size(32, 48))
    assert [spec.shape for spec in free] == [(1, 3, "H", "W"), (1, 2, "H/4", "W/4"), (1, 5, 1, 1), (1, 32)]
    assert shapes.at(free, Size(32, 48)) == specs
    assert shapes.at(free, Size(64, 96))[1].shape == (1, 2, 16, 24)


def test_a_side_that_is_not_whole_is_refused() -> None:
    with pytest.raises(BadInput, match=r"hidden: for pictures of 15x24 its side H/2 is not an integer: 7.5"):
        shapes.shape_at(STATE, Size(15, 24))


def test_a_batch_is_refused_with_the_reason() -> None:
    spec = ModelSpec(
        "net", "other", lambda _: None, (1,), 1, 0, Paper("x", "1"), inputs=(TensorSpec("a", (2, 3, "H", "W")),)
    )
    with pytest.raises(BadInput, match=r"a is a batch of 2.*artifacts have batch size 1.*export with batch 1"):
        shapes.contract(spec, 1)


@pytest.mark.parametrize(
    ("color", "count"), [("RGB", 3), ("BGR", 3), ("Y", 1), ("YA", 2), ("RGBA", 4), ("RAW", 4), ("RAW", 14)]
)
def test_pictures_of_any_channels_go_to_tensors_and_back(color: str, count: int) -> None:
    spec = TensorSpec("image", (1, count, "H", "W"), color=color, value_range=(-1.0, 1.0))
    picture = feeds.sample_of([spec], PHOTO)["image"]
    assert picture.shape == (16, 24, count)
    assert picture.dtype == np.uint8
    assert len({picture[..., c].tobytes() for c in range(count)}) >= min(count, 3) or count == 14
    for stored in (spec, spec.with_dtype("uint8", spec.pixel_step, 128, "NHWC")):
        assert np.abs(pixels.to_image(pixels.to_tensor(picture, stored), stored).astype(int) - picture).max() <= 1
    tensor, feed = pixels.to_tensor(picture, spec), feeds.feed_of([spec], {"image": picture})["image"]
    np.testing.assert_allclose(feed, tensor, atol=1e-6)


def test_colors_are_stored_in_the_order_that_the_contract_says() -> None:
    blue_first = TensorSpec("image", (1, 3, 16, 24), color="BGR")
    assert np.array_equal(pixels.to_tensor(PHOTO, blue_first)[0, 0], PHOTO[..., 2])


def test_further_pictures_are_other_exposures_of_the_scene() -> None:
    specs = [TensorSpec(name, (1, 3, "H", "W")) for name in ("low", "mid", "high")]
    sample = feeds.sample_of(specs, PHOTO)
    assert np.array_equal(sample["low"], PHOTO)
    assert sample["mid"].mean() < PHOTO.mean() < sample["high"].mean()


def test_inputs_that_are_not_images_are_generated_by_their_kind() -> None:
    specs = (
        TensorSpec("strength", (1,), kind="scalar", value_range=(0.25, 0.5)),
        PICTURE,
        TensorSpec("style", (1, 4), dtype="int64", kind="index", value_range=(0, 9)),
        STATE,
        TensorSpec("mask", (1, 1, "H", "W"), kind="map", value_range=(0.0, 1.0)),
    )
    feed = feeds.feed_of(specs, feeds.sample_of(specs, PHOTO))
    assert list(feed) == ["image", "strength", "style", "hidden", "mask"], "what gives the size comes first"
    assert 0.25 <= float(feed["strength"][0]) <= 0.5
    assert feed["style"].dtype == np.int64
    assert feed["style"].max() <= 9
    assert not feed["hidden"].any()
    assert feed["hidden"].shape == (1, 8, 8, 12)
    assert 0 <= feed["mask"].min() < feed["mask"].max() <= 1
    assert feeds.area(feed) == 16 * 24


@pytest.mark.parametrize(("shape", "turned"), [((1, 2, 3, 16, 24), False), ((1, 3, 5, 16, 24), True)])
def test_frames_behind_one_another_are_a_moving_photo(shape: tuple[int, ...], turned: bool) -> None:
    """The frame axis before the channels, as in recurrent networks, or after them, as for 3-D convolutions."""
    spec = TensorSpec("frames", shape, value_range=(0.0, 1.0), kind="vector")
    found = feeds.sample_of((spec,), PHOTO)["frames"]
    assert found.shape == shape
    frames = found[0].swapaxes(0, 1) if turned else found[0]
    np.testing.assert_allclose(frames[1] * 255, np.roll(PHOTO, 2, axis=1).transpose(2, 0, 1), atol=1e-3)


def test_states_go_on_where_the_last_step_ended() -> None:
    outputs = (
        TensorSpec("restored", (1, 3, "H", "W")),
        TensorSpec("next", STATE.shape, kind="state", value_range=None),
    )
    feed = feeds.feed_of((PICTURE, STATE), feeds.sample_of((PICTURE, STATE), PHOTO))
    made = {"restored": feed["image"], "next": np.full((1, 8, 8, 12), 0.5, np.float32)}
    again = feeds.returned((PICTURE, STATE), outputs, feed, made)
    assert (again["hidden"] == 0.5).all()
    assert again["image"] is feed["image"]


def test_values_keep_the_shape_of_the_network_whatever_the_file_stores() -> None:
    values = np.random.default_rng(0).normal(size=(1, 8, 4, 6)).astype(np.float32)
    stored = TensorSpec("hidden", (1, 4, 6, 8), layout="NHWC", value_range=None, kind="state")
    assert pixels.of_values(values, stored).shape == (1, 4, 6, 8)
    assert np.array_equal(pixels.to_values(pixels.of_values(values, stored), stored), values)
    with pytest.raises(BadInput, match=r"input 'hidden' has shape 1x4x6x8 \(NHWC\); given: \[1, 5, 6, 8\]"):
        pixels.of_values(np.zeros((1, 8, 5, 6), np.float32), stored)


@pytest.mark.parametrize(
    ("scale", "word"), [(3, "3"), (Fraction(2), "2"), (Fraction(3, 2), "1.5"), (Fraction(4, 3), "4-3")]
)
def test_a_scale_has_a_word_that_a_file_name_takes(scale: int | Fraction, word: str) -> None:
    assert scale_word(scale) == word
