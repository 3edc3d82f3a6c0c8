"""Training data: aligned, repeatable, and split so that nothing leaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.errors import BadInput
from clearport.models.data.crops import Batch, Crops, center
from clearport.models.data.degrade import Degraded
from clearport.models.data.feed import Feed, workers_for
from clearport.models.data.pair import Pair
from clearport.models.data.pool import Example, Pool
from clearport.models.data.sets import DataSet, data_set, split
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.models.training.options import TrainOptions
from clearport.pictures.images import save_png
from clearport.registry import NETWORKS


def photo(height: int, width: int, seed: int) -> np.ndarray:
    """A smooth random picture."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 6 + 1, width // 6 + 1, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 6, axis=0), 6, axis=1)[:height, :width]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, (height, width) in enumerate([(40, 61), (50, 44), (64, 64), (12, 90)]):
        save_png(tmp_path / "photos" / f"{i}.png", photo(height, width, i))
    return tmp_path / "photos"


def loaded(folder: Path, scale: int, patch: int, **changes: object) -> DataSet:
    options = TrainOptions("ncnet", (folder,), Path("out"), steps=1, patch=patch, **changes)  # type: ignore[arg-type]
    return data_set(options, SPEC, scale)


@pytest.mark.parametrize(("name", "side"), [("matcoarse", 64), ("cenhdr", 256)])
def test_matting_is_judged_at_the_size_that_it_is_trained_for(tmp_path: Path, name: str, side: int) -> None:
    for i in range(3):
        save_png(tmp_path / "photos" / f"{i}.png", photo(260, 300, i))
    spec = NETWORKS.get(name)
    options = TrainOptions(name, (tmp_path / "photos",), tmp_path / "out", steps=1, patch=64)
    judged = data_set(options, spec, 1).validation
    assert {pair.low.shape[:2] for pair in judged if pair.low is not None} == {(side, side)}


def block_pair(scale: int) -> Pair:
    """A pair in which every target pixel says which input pixel it belongs to."""
    low = np.random.default_rng(0).integers(0, 256, (17, 13, 3), dtype=np.uint8)
    return Pair("blocks", low, np.repeat(np.repeat(low, scale, axis=0), scale, axis=1))


def pool(*pairs: Pair, scale: int = 1, memory_bytes: int = 10**9) -> Pool:
    made = [Example(p.name, p.size(scale), p.bytes, lambda p=p: p) for p in pairs]
    return Pool(made, memory_bytes)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_crops_of_both_stay_aligned_whatever_is_flipped_or_turned(scale: int) -> None:
    batch = Crops(pool(block_pair(scale), scale=scale), scale, 6).batch(40, np.random.default_rng(1))
    low, high = batch.low, batch.high
    assert high is not None
    assert low.shape == (40, 3, 6, 6)
    assert high.shape == (40, 3, 6 * scale, 6 * scale)
    assert (low.repeat_interleave(scale, 2).repeat_interleave(scale, 3) == high).all()
    assert len({tuple(crop.flatten().tolist()) for crop in low}) > 30


def test_the_same_state_gives_the_same_batch() -> None:
    crops = Crops(pool(block_pair(3), block_pair(3), scale=3), 3, 5)
    first, again, other = (crops.batch(8, np.random.default_rng(seed)).low for seed in (4, 4, 5))
    assert first.equal(again)
    assert not first.equal(other)


def darker(image: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Takes away a random number of levels, and says how many."""
    levels = int(rng.integers(1, 9))
    rain = np.full((*image.shape[:2], 1), levels, np.float32)
    return Degraded(image - np.uint8(levels), {"rain": rain, "light": np.full((1, 1, 3), 200, np.float32)})


def test_crops_are_degraded_one_by_one() -> None:
    clean = Pair("clean", None, np.full((9, 9, 3), 100, np.uint8))
    batch = Crops(pool(clean), 1, 4, (darker,)).batch(30, np.random.default_rng(0))
    assert batch.high is not None
    assert (batch.high == 100).all()
    assert (batch.low + batch.truth["rain"] == 100).all()
    assert len(batch.low.unique()) > 4
    assert batch.kinds is None


class Falling:
    """Doubles the upper half of a picture, and says where that is."""

    def __init__(self, upright: float, turned: float) -> None:
        self.upright, self.turned = upright, turned

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> Degraded:
        del rng
        mask = np.zeros((*image.shape[:2], 1), np.float32)
        mask[: len(image) // 2] = 1.0
        return Degraded((image * (1 + mask)).astype(np.uint8), {"rain_mask": mask, "light": np.ones((1, 1, 3))})


def test_what_falls_meets_upright_photos_and_is_turned_with_them() -> None:
    ramp = np.arange(10, 19, dtype=np.uint8)[:, None, None] * np.ones((1, 9, 3), np.uint8)  # brighter below
    clean = pool(Pair("ramp", None, ramp))

    def grows_downwards(degrader: Falling) -> list[tuple[bool, bool]]:
        """Of each crop, whether the photo and what fell on it are upright."""
        batch = Crops(clean, 1, 4, (degrader,)).batch(200, np.random.default_rng(0))
        assert batch.high is not None
        assert (batch.high * (1 + batch.truth["rain_mask"]) == batch.low).all()
        return [
            (bool((high[0, 1] > high[0, 0]).all()), bool(mask[0, 0].all() and not mask[0, 3].any()))
            for high, mask in zip(batch.high, batch.truth["rain_mask"], strict=True)
        ]

    assert set(grows_downwards(Falling(1.0, 0.0))) == {(True, True)}
    assert set(grows_downwards(Falling(1.0, 1.0))) == {(False, False)}
    half = grows_downwards(Falling(0.5, 0.0))
    assert all(rain for _, rain in half)
    assert 0.5 < np.mean([photo for photo, _ in half]) < 0.75  # a quarter of those that are turned are so by nothing
    assert 0.1 < np.mean([not rain for _, rain in grows_downwards(Falling(0.5, 0.2))]) < 0.3


def test_of_a_mix_every_crop_has_one_and_the_maps_are_those_of_all() -> None:
    clean = Pair("clean", None, np.full((9, 9, 3), 100, np.uint8))
    crops = Crops(pool(clean), 1, 4, (darker, lambda image, rng: Degraded(image)))
    batch = crops.batch(30, np.random.default_rng(0))
    assert batch.kinds is not None
    assert ((batch.low == 100).all(dim=(1, 2, 3)) == (batch.kinds == 1)).all()
    assert 5 < int(batch.kinds.sum()) < 25
    assert batch.truth == {}


def test_what_is_measured_in_levels_follows_the_value_range() -> None:
    clean = Pair("clean", None, np.full((9, 9, 3), 100, np.uint8))
    batch = Crops(pool(clean), 1, 4, (darker,)).batch(2, np.random.default_rng(0))
    ranged = batch.ranged((-1.0, 1.0), torch.device("cpu"))
    assert isinstance(ranged, Batch)
    assert ranged.high is not None
    torch.testing.assert_close(ranged.high, torch.full_like(ranged.high, 100 / 127.5 - 1))
    torch.testing.assert_close(ranged.low + ranged.truth["rain"], ranged.high)
    torch.testing.assert_close(ranged.truth["light"], torch.full((2, 3, 1, 1), 200 / 127.5 - 1))
    assert ranged.black == -1.0


def test_a_pool_that_is_too_large_moves_through_its_pictures_and_keeps_few() -> None:
    decoded: list[int] = []

    def make(number: int) -> Pair:
        decoded.append(number)
        return Pair(str(number), np.full((8, 8, 3), number, np.uint8), None)

    examples = [Example(str(i), (8, 8), 192, lambda i=i: make(i)) for i in range(20)]
    small, again = Pool(examples, 5 * 192), Pool(examples, 5 * 192)
    assert decoded == []
    crops = Crops(small, 1, 4)
    for step in range(8 * 20):
        crops.batch(6, np.random.default_rng(step), step)
        assert len(small._kept) <= 5
    assert len(set(decoded)) == 20
    assert len(decoded) < 3 * 20  # each picture is decoded when it comes in, not at every step
    fresh = Crops(again, 1, 4).batch(6, np.random.default_rng(77), 77)
    assert fresh.low.equal(crops.batch(6, np.random.default_rng(77), 77).low)


def test_a_feed_gives_the_same_batches_whoever_makes_them() -> None:
    crops = Crops(pool(block_pair(2), scale=2), 2, 5)
    here, ahead = (Feed(crops, 4, 9, workers=workers) for workers in (0, 2))
    first = [batch.low for batch, _ in zip(here.after(0), range(6), strict=False)]
    for number, batch in zip(range(3, 6), ahead.after(3), strict=False):
        assert batch.low.equal(first[number])
    assert not Feed(crops, 4, 9, rank=1)[0].low.equal(first[0])


def test_workers_are_taken_where_they_are_worth_it() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert workers_for(None, cpu, on_the_fly=False, cores=8) == 0
    assert workers_for(3, cpu, on_the_fly=False, cores=8) in {0, 3}  # none where processes cannot be forked
    assert workers_for(None, cuda, on_the_fly=True, cores=64) in {0, 8}


def test_pairs_of_a_folder(folder: Path) -> None:
    data = loaded(folder, 3, 8, shrink=(0.75,), validation_data=folder)
    assert len(data.crops.pool) == 6  # 12x90 is too small for 8 input pixels, even before shrinking
    first, smaller = data.crops.pool.get(0), data.crops.pool.get(1)
    assert first.high is not None
    assert first.low is not None
    assert smaller.high is not None
    assert first.high.shape == (39, 60, 3)
    assert first.low.shape == (13, 20, 3)
    assert smaller.high.shape == (30, 45, 3)
    assert (data.degradation, data.layouts, len(data.validation)) == ("bicubic", ("photos",), 4)


def test_pairs_of_one_size_are_reduced_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    for name in ("low/1.png", "low/2.png", "high/1.png", "high/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_png(tmp_path / name, rng.integers(0, 256, (24, 32, 3)).astype(np.uint8))
    data = loaded(tmp_path, 1, 8, shrink=(0.5,))
    assert (len(data.crops.pool), len(data.validation), data.held_back) == (2, 1, ("0/1",))
    whole, half = data.crops.pool.get(0), data.crops.pool.get(1)
    assert whole.low is not None
    assert half.low is not None
    assert half.high is not None
    assert (whole.low.shape, half.low.shape, half.high.shape) == ((24, 32, 3), (12, 16, 3), (12, 16, 3))


def test_a_mix_of_pairs_and_a_degradation_of_their_targets(tmp_path: Path) -> None:
    for name, level in (("low/1.png", 10), ("low/2.png", 10), ("high/1.png", 200), ("high/2.png", 200)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_png(tmp_path / name, np.full((24, 32, 3), level, np.uint8))
    data = loaded(tmp_path, 1, 8, degradation="pairs + haze")
    batch = data.crops.batch(16, np.random.default_rng(0))
    assert batch.kinds is not None
    given = (batch.low == 10).flatten(1).all(dim=1)
    assert torch.equal(given, batch.kinds == 0)
    assert 0 < given.sum() < 16
    assert all((pair.low == 10).all() for pair in data.validation if pair.low is not None)


def test_validation_groups_are_never_learned_from() -> None:
    examples = [Example(str(i // 3), (9, 9), 1, lambda: block_pair(1)) for i in range(24)]
    kept, judged = split(examples, 2, seed=3)
    assert len(judged) == 6
    assert {e.group for e in kept}.isdisjoint(e.group for e in judged)
    assert [e.group for e in split(examples, 2, seed=3)[1]] == [e.group for e in judged]
    assert len({tuple(e.group for e in split(examples, 2, seed=s)[1]) for s in range(8)}) > 1


def test_of_few_photos_a_quarter_is_set_aside(folder: Path) -> None:
    data = loaded(folder, 2, 4)
    assert (len(data.crops.pool), len(data.validation)) == (3, 1)


def test_the_center_of_a_pair_is_aligned() -> None:
    cut = center(block_pair(3), 3, 8)
    assert cut.low is not None
    assert cut.high is not None
    assert cut.low.shape == (8, 8, 3)
    np.testing.assert_array_equal(np.repeat(np.repeat(cut.low, 3, axis=0), 3, axis=1), cut.high)
    assert center(block_pair(2), 2, 99).size(2) == (17, 13)
    assert center(block_pair(2), 2, 99, multiple=4).size(2) == (16, 12)


def test_bad_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="large enough"):
        loaded(folder, 3, 40)
    with pytest.raises(BadInput, match="folder"):
        loaded(tmp_path / "none", 3, 8)
    with pytest.raises(BadInput, match="too few"):
        split([Example("0", (9, 9), 1, lambda: block_pair(1))], 1, 0)
    with pytest.raises(BadInput, match="inputs and targets"):
        loaded(folder, 2, 4, degradation="pairs")
    (folder / "bad.png").write_bytes(b"not a picture")
    assert any("1 unusable" in note and "bad.png" in note for note in loaded(folder, 2, 4).notes)
    (folder / "empty.png").write_bytes(b"")
    with pytest.raises(BadInput, match=r"(bad|empty)\.png: .* \(2 of 6 cannot be used\)"):
        loaded(folder, 2, 4)
