"""Training data: aligned, repeatable, and split so that nothing leaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clearport.base import BadInput
from clearport.images import save_png
from clearport.models.data import Crops, Pair, centre, photo_pairs, split


def photo(height: int, width: int, seed: int) -> np.ndarray:
    """A smooth random picture."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 6 + 1, width // 6 + 1, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 6, axis=0), 6, axis=1)[:height, :width]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, (height, width) in enumerate([(40, 61), (50, 44), (64, 64), (12, 90)]):
        save_png(tmp_path / f"{i}.png", photo(height, width, i))
    return tmp_path


def block_pair(scale: int) -> Pair:
    """A pair in which every target pixel says which input pixel it belongs to."""
    low = np.random.default_rng(0).integers(0, 256, (17, 13, 3), dtype=np.uint8)
    return Pair("blocks", low, np.repeat(np.repeat(low, scale, axis=0), scale, axis=1))


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_crops_of_both_stay_aligned_whatever_is_flipped_or_turned(scale: int) -> None:
    low, high = Crops([block_pair(scale)], scale, 6).batch(40, np.random.default_rng(1))
    assert low.shape == (40, 3, 6, 6)
    assert high.shape == (40, 3, 6 * scale, 6 * scale)
    assert (low.repeat_interleave(scale, 2).repeat_interleave(scale, 3) == high).all()
    assert len({tuple(crop.flatten().tolist()) for crop in low}) > 30


def test_the_same_state_gives_the_same_batch() -> None:
    crops = Crops([block_pair(3), block_pair(3)], 3, 5)
    first, again, other = (crops.batch(8, np.random.default_rng(seed))[0] for seed in (4, 4, 5))
    assert first.equal(again)
    assert not first.equal(other)


def test_pairs_of_a_folder(folder: Path) -> None:
    groups = photo_pairs([folder], 3, 8, shrink=(0.75,))
    assert [len(group) for group in groups] == [2, 2, 2]  # 12x90 is too small for 8 input pixels, even before shrinking
    first = groups[0][0]
    assert first.high.shape == (39, 60, 3)
    assert first.low.shape == (13, 20, 3)
    assert groups[0][1].high.shape == (30, 45, 3)


def test_validation_photos_are_never_learnt_from(folder: Path) -> None:
    groups = photo_pairs([folder], 2, 4, shrink=(0.9, 0.8)) * 2
    groups = tuple(tuple(replace(p, name=f"{i}/{p.name}") for p in group) for i, group in enumerate(groups))
    parts = split(groups, 2, seed=3)
    names = {pair.name for pair in parts.validation}
    assert len(names) == len(parts.validation) == 2
    assert names.isdisjoint(pair.name for pair in parts.training)
    assert [p.name for p in split(groups, 2, seed=3).validation] == [p.name for p in parts.validation]
    assert len({tuple(p.name for p in split(groups, 2, seed=s).validation) for s in range(8)}) > 1


def test_of_few_photos_a_quarter_is_set_aside(folder: Path) -> None:
    parts = split(photo_pairs([folder], 2, 4), 12, seed=0)
    assert (len(parts.training), len(parts.validation)) == (3, 1)


def test_the_centre_of_a_pair_is_aligned() -> None:
    cut = centre(block_pair(3), 3, 8)
    assert cut.low.shape == (8, 8, 3)
    np.testing.assert_array_equal(np.repeat(np.repeat(cut.low, 3, axis=0), 3, axis=1), cut.high)
    assert centre(block_pair(2), 2, 99).low.shape == (17, 13, 3)


def test_bad_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="large enough"):
        photo_pairs([folder], 3, 40)
    with pytest.raises(BadInput, match="folder"):
        photo_pairs([tmp_path / "none"], 3, 8)
    with pytest.raises(BadInput, match="too few"):
        split(photo_pairs([folder], 2, 4)[:1], 1, 0)
    (folder / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(BadInput, match=r"bad\.png"):
        photo_pairs([folder], 2, 4)
