"""Pairs whose names and sizes match are refused if their pictures cannot be pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from clearport.errors import BadInput
from clearport.pictures.images import save_png
from clearport.runtime.quality import judged_pairs

PHOTOS = [np.ascontiguousarray(photo[20:140, 20:180]) for photo in (data.astronaut(), data.coffee(), data.chelsea())]
COUNT = 6


def clean(number: int) -> np.ndarray:
    """Six scenes: three photos, and parts of them upside down."""
    photo = PHOTOS[number % 3]
    return photo if number < 3 else np.ascontiguousarray(photo[::-1, ::-1])


def dark(image: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    return np.clip((image / 255.0) ** 3 * 60 + noise, 0, 255).astype(np.uint8)


def folder_of(root: Path, low: Callable[[int], np.ndarray], high: Callable[[int], np.ndarray]) -> Path:
    for number in range(COUNT):
        save_png(root / f"low/{number}.png", low(number))
        save_png(root / f"high/{number}.png", high(number))
    return root


@pytest.mark.parametrize("scale", [1, 2])
def test_pairs_are_taken_however_degraded(tmp_path: Path, scale: int) -> None:
    def low(number: int) -> np.ndarray:
        image = Image.fromarray(dark(clean(number)))
        return np.asarray(image.resize((image.width // scale, image.height // scale), Image.Resampling.BICUBIC))

    assert len(judged_pairs(folder_of(tmp_path, low, clean), scale).pairs) == COUNT


def test_one_wrong_pair_of_many_is_taken(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, lambda n: dark(clean(n)), lambda n: clean(n or 1))
    assert len(judged_pairs(folder).pairs) == COUNT


def test_targets_of_other_scenes_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, lambda n: dark(clean(n)), lambda n: clean((n + 1) % COUNT))
    with pytest.raises(BadInput, match=r"0.png: it does not show the scene of its input .*low.0.png \(so in 6 of 6 "):
        judged_pairs(folder)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (clean, clean, "every input equals its target"),
        (clean, lambda n: np.full_like(clean(n), 40 * n), "every target is a picture of one color"),
    ],
)
def test_pairs_that_prove_nothing_are_refused(
    tmp_path: Path, low: Callable[[int], np.ndarray], high: Callable[[int], np.ndarray], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        judged_pairs(folder_of(tmp_path, low, high))


def test_an_empty_file_counts_as_a_truncated_one(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, lambda n: dark(clean(n)), clean)
    (folder / "low/4.png").write_bytes(b"")
    found = judged_pairs(folder)
    assert len(found.pairs) == COUNT - 1
    assert "left out: 1 unusable: " in found.unusable
    assert "4.png: not a readable picture" in found.unusable
