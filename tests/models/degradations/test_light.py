"""Synthetic low light: what is taken away, what is added, and that it can be repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.models.data import degrade
from clearport.models.degradations import light as degrade_light
from clearport.models.degradations.light import DEGRADER

if TYPE_CHECKING:
    from clearport.pictures.images import Image8

SEEDS = st.integers(0, 2**32 - 1)


def photo(height: int = 40, width: int = 56) -> Image8:
    """Ramps of every level, other ones for each color."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack((x * 255 // (width - 1), y * 255 // (height - 1), (x + y) % 256), axis=-1).astype(np.uint8)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(8, 48), st.integers(8, 48))
def test_any_photo_loses_light_and_keeps_its_form(seed: int, height: int, width: int) -> None:
    clean = photo(height, width)
    before = clean.copy()
    made = DEGRADER(0)(clean, np.random.default_rng(seed))
    assert made.low.dtype == np.uint8
    assert made.low.shape == clean.shape
    assert np.array_equal(clean, before)
    assert made.low.mean() < 1.2 * clean.mean() + 2  # a display of another gamma brightens what lost no light
    left = made.truth["illumination"]
    assert left.dtype == np.float32
    assert left.shape == clean.shape
    assert left.min() > 0
    assert left.max() <= 1.0


@given(SEEDS)
def test_the_same_seed_gives_the_same_picture_and_another_does_not(seed: int) -> None:
    once, again, other = (DEGRADER(0)(photo(), np.random.default_rng(s)).low for s in (seed, seed, seed + 1))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


@given(SEEDS, st.integers(1, 60), st.integers(1, 60))
def test_illumination_is_smooth_and_never_nothing(seed: int, height: int, width: int) -> None:
    left = degrade_light.illumination(height, width, np.random.default_rng(seed))
    assert left.shape == (height, width)
    assert left.min() >= 0.2 - 1e-6
    assert left.max() <= 1 + 1e-6
    if min(height, width) > 40:
        assert max(np.abs(np.diff(left, axis=a)).max() for a in (0, 1)) < 0.25


def test_noise_has_the_variance_of_the_poisson_gaussian_model() -> None:
    """Two levels of light in one picture share a sensor: the difference of their variances is shot noise alone."""
    light = np.zeros((400, 400, 3), np.float32)
    light[200:] = 0.8
    for seed in range(4):
        noise = degrade_light.noisy(light, np.random.default_rng(seed)) - light
        draws = np.random.default_rng(seed)
        shot, read = 10.0 ** draws.uniform(-5.0, -3.3), 10.0 ** draws.uniform(-4.0, -2.8)
        # 240,000 samples know a variance to 0.3 %.
        assert noise[:200].var() == pytest.approx(read**2, rel=0.02)
        assert noise[200:].var() == pytest.approx(read**2 + 0.8 * shot, rel=0.02)
        assert abs(noise.mean()) < 1e-4


def test_without_noise_it_is_light_times_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(degrade_light, "noisy", lambda light, rng: light)
    made = DEGRADER(0)(photo(), np.random.default_rng(3))
    linear = (photo() / 255.0) ** 2.2 * made.truth["illumination"]
    bright = linear > 0.01
    exponents = np.log(made.low[bright] / 255.0) / np.log(linear[bright])
    assert 1 / 2.5 < np.median(exponents) < 1 / 1.85
    assert np.ptp(np.percentile(exponents, (5, 95))) < 0.02  # rounding to levels; one power for the picture


def test_it_is_found_by_name() -> None:
    assert "low-light" in degrade.names()
    made = degrade.degrader("low-light", 7, 1)(photo(), np.random.default_rng(0))
    assert made.low.mean() < photo().mean()
