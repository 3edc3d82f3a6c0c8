"""Paired differences, their intervals, and the worst tile, against what can be counted by other means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clearport.pictures.images import save_png
from clearport.runtime import quality, tile_errors
from clearport.runtime.paired import FEW, interval, paired_drop


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 200, (height, width, 3), dtype=np.uint8)


def test_one_picture_has_no_interval_and_equal_differences_one_of_no_width() -> None:
    assert interval([0.2]) is None
    found = interval([0.2, 0.2, 0.2])
    assert found is not None
    assert (found.low, found.high) == (0.2, 0.2)


@pytest.mark.parametrize(
    ("count", "tries", "covered"), [(3, 800, 0.95), (FEW - 1, 800, 0.95), (FEW, 400, 0.90), (30, 200, 0.94)]
)
def test_the_interval_covers_the_true_mean_as_often_as_it_says(count: int, tries: int, covered: float) -> None:
    """Of a normal distribution. Student's t covers 95 %; BCa falls short of it for few pictures, as is known of it."""
    generator = np.random.default_rng(count)
    held = 0
    for _ in range(tries):
        found = interval(generator.normal(0.1, 0.05, count).tolist())
        assert found is not None
        held += found.low <= 0.1 <= found.high
    spread = 3 * np.sqrt(covered * (1 - covered) / tries)
    assert covered - spread <= held / tries <= covered + spread, held / tries


def test_the_same_numbers_give_the_same_interval_and_more_confidence_a_wider_one() -> None:
    numbers = np.random.default_rng(0).normal(0, 1, 20).tolist()
    assert interval(numbers) == interval(numbers)
    narrow, wide = interval(numbers, 0.8), interval(numbers, 0.99)
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low < float(np.mean(numbers)) < narrow.high < wide.high


def test_few_pictures_have_the_interval_of_student() -> None:
    numbers = [0.1, 0.3, 0.2, 0.15]
    found = interval(numbers)
    assert found is not None
    wanted = stats.ttest_1samp(numbers, 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.method == "Student's t"


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 150), st.integers(3, 150), st.integers(0, 1), st.integers(0, 2**16))
def test_tile_errors_are_those_of_the_tiles(height: int, width: int, border: int, seed: int) -> None:
    truth = picture(height, width, seed)
    restored = np.clip(truth + np.random.default_rng(seed).normal(0, 3, truth.shape), 0, 255).astype(np.uint8)
    found = tile_errors.measure(restored, truth, border)
    covered = np.zeros((height, width), bool)
    for row, top in enumerate(found.tops):
        for column, left in enumerate(found.lefts):
            place = (slice(top, top + found.height), slice(left, left + found.width))
            covered[place] = True
            wanted = np.mean((restored[place].astype(float) - truth[place]) ** 2)
            assert found.errors[row, column] == pytest.approx(wanted)
    inside = covered[border : height - border, border : width - border]
    assert inside.all()
    assert covered.sum() == inside.size


def test_the_worst_tile_is_where_the_damage_is_and_flat_tiles_do_not_matter(tmp_path: Path) -> None:
    """Half a level of noise everywhere cannot be seen; a square of ten levels can."""
    truth = {name: picture(200, 300, seed) for seed, name in enumerate("abc")}
    for name, image in truth.items():
        save_png(tmp_path / f"{name}_LR.png", image)
        save_png(tmp_path / f"{name}_HR.png", image)
    pairs = quality.find_pairs(tmp_path)
    calls = iter("abc")

    def damaged(image: np.ndarray) -> np.ndarray:
        result = image.copy()
        result[::2, ::2] += 1
        if next(calls) == "b":
            result[100:140, 200:240] += 10
        return result

    good = quality.evaluate(pairs, lambda p: p, 1, "toy")
    drop = paired_drop(quality.evaluate(pairs, damaged, 1, "toy"), good)
    tile = drop.worst_tile
    assert tile.image == "b"
    assert tile.top <= 100
    assert tile.top + tile.height >= 140
    assert tile.left <= 200
    assert tile.left + tile.width >= 240
    assert tile.baseline_psnr_db == pytest.approx(48.13, abs=0.01)
    share = 1600 / 64**2
    assert tile.drop_db == pytest.approx(10 * np.log10(share * 100), abs=0.3)
    assert drop.worst_image == "b"
    assert drop.color_image == "b"
    assert drop.color_shift == pytest.approx(0.25 + 10 * 1600 / 60000, abs=0.01)


def test_shifts_and_clipping_are_distinguished(tmp_path: Path) -> None:
    image = picture(80, 80)
    save_png(tmp_path / "a_LR.png", image)
    save_png(tmp_path / "a_HR.png", image)
    pairs = quality.find_pairs(tmp_path)
    good = quality.evaluate(pairs, lambda p: p, 1, "toy")
    red = quality.evaluate(pairs, lambda p: p + np.array([3, 0, 0], np.uint8), 1, "toy")
    clipped = quality.evaluate(pairs, lambda p: np.where(p > 190, 255, p).astype(np.uint8), 1, "toy")
    assert paired_drop(red, good).color_shift == pytest.approx(3)
    assert paired_drop(red, good).clipped_share == 0
    assert paired_drop(clipped, good).clipped_share == pytest.approx((image > 190).mean())
