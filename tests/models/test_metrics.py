"""PSNR: its definition, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from clearport.models.metrics import luma, psnr_db, to_levels


def test_one_level_everywhere_is_48_13_db() -> None:
    gray = np.full((8, 8, 3), 100, np.uint8)
    assert psnr_db(gray, gray + np.uint8(1), 0) == pytest.approx(20 * np.log10(255))
    assert psnr_db(gray, gray, 0) == float("inf")


def test_luma_runs_from_16_to_235() -> None:
    image = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)
    np.testing.assert_allclose(luma(image), [[16.0, 235.0, 16 + 65.481]])


def test_luma_errors_are_smaller_by_its_range() -> None:
    gray = np.full((8, 8, 3), 100, np.uint8)
    assert psnr_db(gray, gray + np.uint8(1), 0, "Y") == pytest.approx(20 * np.log10(255 / (219 / 255)))


def test_the_border_is_cut() -> None:
    a, b = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)
    b[:2], b[-2:], b[:, :2], b[:, -2:] = 9, 9, 9, 9
    assert psnr_db(a, b, 2) == float("inf")
    assert psnr_db(a, b, 1) < 40


def test_incomparable_images_are_refused() -> None:
    a = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="same"):
        psnr_db(a, a[:4], 0)
    with pytest.raises(ValueError, match="border"):
        psnr_db(a, a, 4)


def test_levels_clip_and_round() -> None:
    assert to_levels(np.array([-3.0, 0.4, 0.6, 254.6, 300.0])).tolist() == [0, 0, 1, 255, 255]
