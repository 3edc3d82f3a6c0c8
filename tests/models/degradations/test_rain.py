"""Synthetic rain: repeatable, of the photo's size, brighter only, and true to the model that its truth states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.models.degradations.rain import Rain, Streaks, blurred_noise, draw, tilt

GRAY = np.full((96, 128, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def rain() -> Rain:
    return Rain(seed=3, layers=4)


def test_the_same_seeds_give_the_same_rain(rain: Rain) -> None:
    again = Rain(seed=3, layers=4)
    for number in range(6):
        first, second = (r(GRAY, np.random.default_rng(number)) for r in (rain, again))
        assert np.array_equal(first.low, second.low)
    assert not np.array_equal(rain(GRAY, np.random.default_rng(0)).low, rain(GRAY, np.random.default_rng(1)).low)


@settings(deadline=None, max_examples=25)
@given(height=st.integers(1, 400), width=st.integers(1, 400), seed=st.integers(0, 2**31))
def test_what_is_seen_is_the_photo_with_the_rain_and_vapor_of_the_truth(
    rain: Rain, height: int, width: int, seed: int
) -> None:
    photo = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    found = rain(photo, np.random.default_rng(seed))
    truth = found.truth
    assert found.low.shape == photo.shape
    assert found.low.dtype == np.uint8
    assert truth["rain"].shape == photo.shape
    assert truth["rain"].min() >= 0.0
    assert truth["transmission"].shape == truth["rain_mask"].shape == (height, width, 1)
    assert 0.0 < truth["transmission"].min() <= truth["transmission"].max() <= 1.0
    model = (photo + truth["rain"]) * truth["transmission"] + truth["light"] * (1.0 - truth["transmission"])
    assert np.abs(np.clip(model, 0, 255) - found.low).max() <= 0.5 + 1e-3  # rounding to 8 bit
    assert np.array_equal(truth["rain_mask"][..., 0] == 1, truth["rain"][..., 0] > 4.0)


def test_streaks_have_their_direction() -> None:
    for angle in (-30.0, 0.0, 30.0):
        layer = draw(Streaks(0.03, 60, 4.0, angle, 0.0, 100), 256, np.random.default_rng(5))
        down, right = np.gradient(layer)
        # The structure tensor: across a streak the brightness changes most.
        mixed = 2 * (down * right).sum()
        found = np.rad2deg(0.5 * np.arctan2(mixed, (right**2 - down**2).sum()))
        assert abs(found - -angle) < 3, (angle, found)  # central differences of four pixels


def test_rain_falls_near_the_vertical_and_now_and_then_far_off_it() -> None:
    rng = np.random.default_rng(0)
    angles = np.array([tilt(rng) for _ in range(4000)])
    assert abs(angles.mean()) < 1.0
    assert 0.55 < (np.abs(angles) < 15).mean() < 0.75
    assert 0.05 < (np.abs(angles) > 35).mean() < 0.15
    assert np.abs(angles).max() <= 50


def test_density_brightness_and_length_are_as_requested() -> None:
    thin, dense = (draw(Streaks(d, 20, 1.5, 0, 0, 100), 256, np.random.default_rng(1)) for d in (0.05, 0.4))
    assert (thin > 10).mean() < 0.15 < (dense > 10).mean()
    assert 100 < dense.max() <= 160
    short, long = (draw(Streaks(0.05, n, 1.0, 0, 0, 100), 256, np.random.default_rng(1)) for n in (8, 60))
    runs = [float(np.mean([column.sum() for column in (layer > 20).T if column.any()])) for layer in (short, long)]
    assert runs[1] > 1.5 * runs[0]


def test_blurred_noise_is_a_layer_of_levels() -> None:
    layer = blurred_noise(128, np.random.default_rng(2))
    assert layer.shape == (128, 128)
    assert layer.min() >= 0.0
    assert 40 < layer.max() < 240
    assert np.abs(np.diff(layer, axis=0)).mean() < np.abs(np.diff(layer, axis=1)).mean()  # smooth along the fall


def test_every_kind_occurs(rain: Rain) -> None:
    covered = [float(rain(GRAY, np.random.default_rng(n)).truth["rain_mask"].mean()) for n in range(60)]
    assert min(covered) == 0.0
    assert any(0.01 < c < 0.25 for c in covered)
    assert max(covered) > 0.5
