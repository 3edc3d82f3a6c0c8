"""Real-world folders: litter, splits, layouts of published sets, repeated names, unlabeled pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.errors import BadInput
from clearport.models.data.layouts import Found, find_layout, inputs_of
from clearport.models.data.sets import DataSet, data_set
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.models.training.options import TrainOptions
from clearport.pictures.images import find_pictures, save_png
from clearport.runtime import quality
from tests.models.published_layouts import PUBLISHED

PIXELS = np.zeros((12, 16, 3), np.uint8)


def write(root: Path, *names: str, size: tuple[int, int] = (12, 16)) -> None:
    """Pictures, of different content where their names differ."""
    for name in names:
        level = sum(name.encode()) % 128
        save_png(root / name, level + np.indices((*size, 3)).sum(axis=0).astype(np.uint8))


def pairs_of(found: Found) -> set[tuple[str, str]]:
    def relative(path: Path | None) -> str:
        return "" if path is None else path.relative_to(found.folder).as_posix()

    return {(relative(entry.low), relative(entry.high)) for entry in found.entries}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_layouts_are_pairs_and_halves_are_kept_apart(name: str, tmp_path: Path) -> None:
    files, scale, learned, judged = PUBLISHED[name]
    write(tmp_path, *files)
    assert pairs_of(find_layout(tmp_path, scale)) == learned
    assert pairs_of(find_layout(tmp_path, scale, purpose="judge")) == judged
    found = {(p.degraded, p.clean) for p in quality.find_pairs(tmp_path, scale)}
    assert {tuple(path.relative_to(tmp_path).as_posix() for path in pair) for pair in found} == judged


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("in", "gt"),
        ("input", "target"),
        ("rainy_image", "ground_truth"),
        ("LQ", "GT"),
        ("lr", "hr"),
        ("low", "high"),
        ("Low", "Normal"),
        ("noisy", "clean"),
        ("blur", "sharp"),
        ("Input Images", "GroundTruth"),
        ("test100_rainy", "test100_clean"),
        ("train_low", "train_high"),
        ("low_crops", "high_crops"),
    ],
)
def test_two_folders_are_never_photos(low: str, high: str, tmp_path: Path) -> None:
    write(tmp_path, *(f"{side}/{n}.png" for side in (low, high) for n in (1, 2, 3)))
    found = find_layout(tmp_path, 1)
    assert found.layout == "pairs"
    assert pairs_of(found) == {(f"{low}/{n}.png", f"{high}/{n}.png") for n in (1, 2, 3)}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["before/1.png", "before/2.png", "after/1.png", "after/2.png"], "have 2 pictures with equal names"),
        (["foggy/1_0.8.png", "foggy/2_0.9.png", "gt/1.png", "gt/2.png"], "have 2 pictures with equal names"),
        (["trainA/1.png", "trainB/2.png"], "named after two domains"),
        (["rainy/1.png", "rainy/2.png"], "named like degraded pictures"),
        (["1_before.png", "1_after.png", "2_before.png", "2_after.png"], "'after' and 'before'"),
        (["low/1.png", "dark/1.png", "gt/1.png"], "cannot tell inputs from targets"),
        (["low/1.png", "gt/1.png", "high/1.png"], "cannot tell inputs from targets"),
        (["low/7.jpg", "low/7.png", "high/7.bmp"], "cannot match the pairs"),
        (["low/1.png", "low/2.png", "high/1.png"], "2.png has no target"),
        (["low/1.png", "high/2.png"], "no files match"),
        (["1_LR.png", "1_HR.png", "2_LR.png"], r"unpaired: 1 picture \(2\)"),
        (["test/low/1.png", "test/high/1.png"], "only the test split"),
    ],
)
def test_ambiguous_folders_are_refused_by_training(files: list[str], message: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    with pytest.raises(BadInput, match=message):
        find_layout(tmp_path, 1)
    if "only" not in message:
        with pytest.raises(BadInput, match="--layout photos"):
            find_layout(tmp_path, 1)
        assert len(find_layout(tmp_path, 1, "photos").entries) == len(files)


def test_many_scenes_with_the_same_numbers_are_photos(tmp_path: Path) -> None:
    for scene in range(20):
        for frame in range(3):
            (tmp_path / f"{scene:03d}").mkdir(exist_ok=True)
            (tmp_path / f"{scene:03d}" / f"{frame}.png").touch()
    assert len(find_layout(tmp_path, 1).entries) == 60


def test_the_input_half_of_pairs_is_no_folder_of_photos(tmp_path: Path) -> None:
    write(tmp_path, *(f"{side}/{n}.png" for side in ("low", "high") for n in (1, 2)))
    with pytest.raises(BadInput, match="input half of pairs"):
        find_layout(tmp_path / "low", 1)
    assert find_layout(tmp_path / "high", 1).layout == "photos"
    assert find_layout(tmp_path / "low", 1, "unpaired").layout == "unpaired"


def test_a_half_alone_serves_its_own_end_only(tmp_path: Path) -> None:
    write(tmp_path, "our485/low/1.png", "our485/high/1.png")
    with pytest.raises(BadInput, match="only the train split"):
        quality.find_pairs(tmp_path)
    assert len(quality.find_pairs(tmp_path / "our485")) == 1
    assert len(quality.find_pairs(tmp_path, held_back={"our485/1"})) == 1


def test_same_names_with_other_suffixes_are_pairs_of_their_own(tmp_path: Path) -> None:
    for name in ("low/7.jpg", "low/7.png", "high/7.jpg", "high/7.png", "low/a/7.png", "high/a/7.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    assert pairs_of(find_layout(tmp_path, 1)) == {
        ("low/7.jpg", "high/7.jpg"),
        ("low/7.png", "high/7.png"),
        ("low/a/7.png", "high/a/7.png"),
    }
    assert [pair.name for pair in quality.find_pairs(tmp_path)] == [
        "low/7.jpg (7.jpg)",
        "low/7.png (7.png)",
        "low/a/7.png (7.png)",
    ]


LITTER = (
    ".DS_Store",
    "._1.png",
    "Thumbs.db",
    "desktop.ini",
    "__MACOSX/low/1.png",
    ".ipynb_checkpoints/1-checkpoint.png",
    "@eaDir/1.png/SYNOPHOTO_THUMB_M.png",
    ".hidden.png",
    "low/._1.png",
    "low/.ipynb_checkpoints/1-checkpoint.png",
    "high/@eaDir/1.png",
)


def litter(root: Path) -> None:
    for name in LITTER:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"litter")


def test_foreign_files_are_skipped_and_reported(tmp_path: Path) -> None:
    write(tmp_path, "low/1.png", "high/1.png")
    litter(tmp_path)
    found = find_layout(tmp_path, 1)
    assert pairs_of(found) == {("low/1.png", "high/1.png")}
    assert "ignored: .DS_Store, ._1.png, .hidden.png" in found.line
    assert [path.name for path in find_pictures(tmp_path)] == ["1.png", "1.png"]
    assert len(quality.judged_pairs(tmp_path).pairs) == 1


def test_bundles_are_no_data(tmp_path: Path, make_bundle: Any) -> None:
    """An export into the folder of its photos: the goldens are not taken for photos by the next command."""
    write(tmp_path / "photos", "1.png")
    write(tmp_path / "pairs", "low/1.png", "high/1.png")
    for root in (tmp_path / "photos", tmp_path / "pairs"):
        make_bundle(root / "out/x3")
        (root / ".weights.clearport-lock").touch()
        line = find_layout(root, 1).line
        assert "left out: 1 bundles of clearport (out/x3/)" in line
        assert "lock" not in line
    paths, _ = inputs_of(tmp_path / "photos", 1)
    assert [path.name for path in paths] == ["1.png"]
    assert len(quality.judged_pairs(tmp_path / "pairs").pairs) == 1
    for ask in (find_layout, inputs_of):
        with pytest.raises(BadInput, match="not a clearport bundle"):
            ask(tmp_path / "photos/out/x3", 1)


def test_used_and_skipped_files_are_reported(tmp_path: Path) -> None:
    root = tmp_path / "LOLdataset"
    write(root, *PUBLISHED["LOL"][0], "eval15/high/23.png", "extra/9.png")
    assert find_layout(root, 1, purpose="judge").line == (
        "LOLdataset: layout lol, 1 pair from eval15/low/, eval15/high/; left out: 1 pair of the train half; "
        "left out: 1 targets without an input (high/23.png); left out: 1 other pictures (extra/9.png)"
    )


def alone_of_its_name(path: str, files: set[str]) -> bool:
    """Whether no other file of its side has its name, in whatever folder."""
    side = [Path(other).stem for other in files if other.split("/")[0] == path.split("/", maxsplit=1)[0]]
    return side.count(Path(path).stem) == 1


def test_what_is_left_over_of_a_name_is_no_pair(tmp_path: Path) -> None:
    write(tmp_path, "low/b/2.png", "high/2.png")
    assert pairs_of(find_layout(tmp_path, 1)) == {("low/b/2.png", "high/2.png")}
    write(tmp_path, "low/1.jpg", "low/a/1.png", "high/1.jpg", "high/1.png")
    with pytest.raises(BadInput, match=r"a/1\.png has no target"):
        find_layout(tmp_path, 1)


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.from_regex(r"[a-c]{0,1}/?[1-3]{1,2}\.(png|jpg)", fullmatch=True), unique=True, max_size=6),
    lost=st.sets(st.integers(0, 5)),
)
def test_every_picture_is_paired_reported_or_refused(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], lost: set[int]
) -> None:
    root = tmp_path_factory.mktemp("set")
    names = [name.lstrip("/") for name in names]
    targets = {name for i, name in enumerate(names) if i not in lost}
    files = {f"low/{name}" for name in names[:4]} | {f"high/{name}" for name in targets}
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    try:
        found = find_layout(root, 1)
    except BadInput:
        return
    pairs = pairs_of(found)
    for low, high in pairs:
        same = low.removeprefix("low/").split(".")[0] == high.removeprefix("high/").split(".")[0]
        assert same or all(alone_of_its_name(path, files) for path in (low, high))
    assert {low for low, _ in pairs} == {name for name in files if name.startswith("low/")}
    alone = len({name for name in files if name.startswith("high/")}) - len({high for _, high in pairs})
    assert (f"{alone} targets without an input" in found.line) == (alone > 0)


def options(folder: Path, **changes: object) -> TrainOptions:
    return TrainOptions("ncnet", (folder,), Path("out"), steps=1, patch=4, **changes)  # type: ignore[arg-type]


def damaged_pairs(root: Path) -> None:
    """Nine pairs; of one the input is cut off, and of one the target is a pixel too narrow."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    for n in range(1, 10):
        save_png(root / f"low/{n}.png", noise // 2)
        save_png(root / f"high/{n}.png", noise[:, :15] if n == 4 else noise)
    data = (root / "low/2.png").read_bytes()
    (root / "low/2.png").write_bytes(data[: len(data) // 2])


def learned(data: DataSet) -> int:
    return len(data.crops.pool) + len(data.validation)


def test_few_damaged_images_are_skipped_and_reported(tmp_path: Path) -> None:
    damaged_pairs(tmp_path)
    data = data_set(options(tmp_path), SPEC, 1)
    assert learned(data) == 7
    assert any("2 unusable" in note and "2.png" in note and "4.png" in note for note in data.notes)
    judged = quality.judged_pairs(tmp_path)
    assert [pair.name for pair in judged.pairs] == ["1", "3", "5", "6", "7", "8", "9"]
    assert "12x15 pixels; the target of 4.png (12x16) at scale 1 has 12x16" in judged.unusable


def test_many_damaged_pictures_are_refused(tmp_path: Path) -> None:
    damaged_pairs(tmp_path)
    for n in (5, 6, 7):
        save_png(tmp_path / f"high/{n}.png", PIXELS[:8])
    for read in (lambda: data_set(options(tmp_path), SPEC, 1), lambda: quality.judged_pairs(tmp_path)):
        with pytest.raises(BadInput, match=r"5 of 9 cannot be used"):
            read()


def damage(path: Path) -> None:
    """Spoil a picture within, so that its end is as it should be."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def test_a_picture_that_fails_when_its_turn_comes_is_replaced(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    for n in range(8):
        save_png(tmp_path / f"{n}.png", noise)
    damage(tmp_path / "3.png")
    data = data_set(options(tmp_path, validation_photos=1), SPEC, 2)
    assert any("3.png" in note for note in data.notes)
    for index in range(len(data.crops.pool)):
        assert data.crops.pool.get(index).high is not None


def test_calibration_takes_the_inputs_of_pairs(tmp_path: Path) -> None:
    write(tmp_path, *(f"{side}/{n}.png" for side in ("low", "high") for n in (1, 2)))
    paths, line = inputs_of(tmp_path, 1)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == ["low/1.png", "low/2.png"]
    assert "layout pairs, 2 pairs" in line
    write(tmp_path / "photos", "1.png", "a/2.png")
    litter(tmp_path / "photos")
    paths, line = inputs_of(tmp_path / "photos", 1)
    assert [path.name for path in paths] == ["1.png", "2.png"]
