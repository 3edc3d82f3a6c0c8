"""Degradations: the bicubic filter against files that MATLAB made; the others repeatable and as their truth says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clearport.errors import BadInput
from clearport.models.data import degrade
from clearport.models.data.resize import bicubic_downscale, bicubic_resize, crop_to_multiple
from clearport.models.degradations.camera import with_noise
from clearport.models.metrics import psnr_db
from clearport.pictures.images import load_rgb


@pytest.mark.parametrize("name", ["set5", "set14"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_is_matlabs_to_the_bit(shared: Path, name: str, scale: int) -> None:
    for path in sorted((shared / f"data/sr/{name}/x{scale}").glob("*_HR.png"))[:5]:
        made = bicubic_downscale(load_rgb(path), scale)
        np.testing.assert_array_equal(made, load_rgb(path.with_name(path.name.replace("_HR", "_LR"))), path.name)


def test_a_flat_picture_stays_flat() -> None:
    flat = np.full((12, 18, 3), (0, 77, 255), np.uint8)
    np.testing.assert_array_equal(bicubic_downscale(flat, 3), np.full((4, 6, 3), (0, 77, 255), np.uint8))


def test_overshoot_is_clipped_and_does_not_wrap() -> None:
    edge = np.zeros((16, 16, 3), np.uint8)
    edge[:, 8:] = 255
    small = bicubic_downscale(edge, 2)
    assert (small[:, :3] < 10).all()
    assert (small[:, 5:] > 245).all()


def test_sizes() -> None:
    image = np.zeros((7, 11, 3), np.uint8)
    assert crop_to_multiple(image, 3).shape == (6, 9, 3)
    assert bicubic_resize(image, 5, 4).shape == (5, 4, 3)
    with pytest.raises(ValueError, match="crop_to_multiple"):
        bicubic_downscale(image, 3)


@pytest.mark.parametrize(("name", "scale"), [("bicubic", 3), ("camera", 3), ("camera", 1), ("haze", 1)])
def test_degradations_are_repeatable_and_have_the_right_size(name: str, scale: int) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (36, 48, 3), dtype=np.uint8)
    before = photo.copy()
    make = degrade.degrader(name, 3, scale)
    first, again, other = (make(photo, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.low.shape == (36 // scale, 48 // scale, 3)
    assert first.low.dtype == np.uint8
    np.testing.assert_array_equal(first.low, again.low)
    assert (first.low != other.low).any() == (name != "bicubic")
    np.testing.assert_array_equal(photo, before)


def test_haze_is_what_its_truth_says() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    for seed in range(20):
        made = degrade.degrader("haze", 0, 1)(photo, np.random.default_rng(seed))
        transmission, light = made.truth["transmission"], made.truth["light"]
        assert transmission.shape == (24, 32, 1)
        assert 0.0 < transmission.min() <= transmission.max() <= 1.0
        expected = photo * transmission + light * (1 - transmission)
        assert np.abs(made.low - expected).max() <= 0.51  # rounded to a level


def test_a_camera_is_milder_than_what_it_shows() -> None:
    """Its pictures stay recognisable, and are never the clean ones."""
    y, x = np.mgrid[:48, :48]
    photo = np.stack([127 + 100 * np.sin(x / 6 + c) * np.cos(y / 7) for c in range(3)], axis=-1).astype(np.uint8)
    make = degrade.degrader("camera", 0, 1)
    quality = [psnr_db(make(photo, np.random.default_rng(seed)).low, photo, 0) for seed in range(30)]
    assert 20 < min(quality) < max(quality) < 60
    assert max(quality) - min(quality) > 4


def test_noise_grows_with_the_light() -> None:
    dark, bright = (np.full((64, 64, 3), level, np.float32) for level in (10.0, 240.0))
    spread = [[with_noise(a, np.random.default_rng(s)).std() for a in (dark, bright)] for s in range(20)]
    assert np.mean([b for _, b in spread]) > 1.5 * np.mean([d for d, _ in spread])


@pytest.mark.parametrize("name", ["rain", "haze", "low-light"])
def test_a_degradation_that_keeps_the_size_is_not_for_super_resolution(name: str) -> None:
    with pytest.raises(BadInput, match="keeps the size"):
        degrade.degrader(name, 0, 2)


def test_names_and_mixes() -> None:
    assert {"bicubic", "camera", "haze", "low-light", "pairs", "rain", "unpaired"} <= set(degrade.names())
    assert degrade.parse("camera + haze") == ("camera", "haze")
    for text, complaint in (("fog", "unknown degradation 'fog'"), ("rain +", "unknown"), ("rain+pairs", "mixed")):
        with pytest.raises(BadInput, match=complaint):
            degrade.parse(text)
