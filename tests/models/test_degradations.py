"""The bicubic filter, against files that MATLAB made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clearport.images import load_rgb
from clearport.models.degradations import bicubic_downscale, bicubic_resize, crop_to_multiple


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
