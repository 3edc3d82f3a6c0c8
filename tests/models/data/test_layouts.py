"""Folder layouts: detection by content, matching of pairs, and refusals that state what was expected."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clearport.errors import BadInput
from clearport.models.data.exclusions import Exclusion, read_exclusions, without
from clearport.models.data.layouts import LAYOUTS, find_layout
from clearport.models.data.sets import data_set
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.models.training.options import TrainOptions
from clearport.pictures.images import picture_size, save_png
from clearport.registry import NETWORKS


def write(root: Path, *names: str, size: tuple[int, int] = (12, 16)) -> None:
    """Pictures of one level each; those whose names hold the same number have the same level."""
    for name in names:
        level = sum(int(c) for c in Path(name).stem if c.isdigit()) * 20 % 256
        save_png(root / name, np.full((*size, 3), level, np.uint8))


def sice(root: Path) -> None:
    write(root, "images/1.png", "images/2.png", "images/3.png", "images/7.png")
    rows = [{"scene": 4, "low": f"{i}.png", "normal": "3.png"} for i in (1, 2)]
    (root / "pairs.json").write_text(json.dumps([*rows, {"scene": 5, "low": "1.png", "normal": "7.png"}]))


def lol(root: Path) -> None:
    write(
        root, *(f"{part}/{side}/{n}.png" for part in ("our485", "eval15") for side in ("low", "high") for n in (1, 2))
    )


def div2k(root: Path) -> None:
    write(root, "DIV2K_train_HR/0001.png", "DIV2K_train_HR/0002.png", size=(24, 30))
    for scale in (2, 3):
        low = (24 // scale, 30 // scale)
        write(root, *(f"DIV2K_train_LR_bicubic/X{scale}/000{n}x{scale}.png" for n in (1, 2)), size=low)


def folders(low: str, high: str) -> Callable[[Path], None]:
    return lambda root: write(root, *(f"{side}/{n}.png" for side in (low, high) for n in (1, 2)))


def rain100(root: Path) -> None:
    write(root, *(f"{no}rain-00{n}.png" for no in ("", "no") for n in (1, 2)), "rainstreak-001.png")


def rain100_in_two_folders(root: Path) -> None:
    write(root, *(f"rain/rain-00{n}.png" for n in (1, 2)), *(f"norain/norain-00{n}.png" for n in (1, 2)))


@pytest.mark.parametrize(
    ("make", "layout", "pairs"),
    [
        (sice, "sice", {("1", "3"), ("2", "3"), ("1", "7")}),
        (lol, "lol", {("1", "1"), ("2", "2")}),
        (div2k, "div2k", {("0001x3", "0001"), ("0002x3", "0002")}),
        (folders("low", "high"), "pairs", {("1", "1"), ("2", "2")}),
        (folders("rainy", "clean"), "pairs", {("1", "1"), ("2", "2")}),
        (folders("Input", "Target"), "pairs", {("1", "1"), ("2", "2")}),
        (folders("LQ", "GT"), "pairs", {("1", "1"), ("2", "2")}),
        (rain100, "rain100", {("rain-001", "norain-001"), ("rain-002", "norain-002")}),
        (rain100_in_two_folders, "pairs", {("rain-001", "norain-001"), ("rain-002", "norain-002")}),
    ],
)
def test_pairs_are_found(
    make: Callable[[Path], None], layout: str, pairs: set[tuple[str, str]], tmp_path: Path
) -> None:
    make(tmp_path)
    found = find_layout(tmp_path, 3)
    assert found.layout == layout
    assert {(e.low.stem, e.high.stem) for e in found.entries if e.low and e.high} == pairs
    assert len(found.entries) == len(pairs)


def test_photos_and_unpaired_pictures(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "a/2.png")
    found = find_layout(tmp_path, 1)
    assert found.layout == "photos"
    assert all(e.low is None and e.high is not None for e in found.entries)
    forced = find_layout(tmp_path, 1, "unpaired")
    assert all(e.low is not None and e.high is None for e in forced.entries)


def test_pictures_of_a_scene_stay_together(tmp_path: Path) -> None:
    sice(tmp_path)
    assert [e.group for e in find_layout(tmp_path, 1).entries] == ["4", "4", "5"]
    write(tmp_path / "many", "rainy/1_1.png", "rainy/1_2.png", "rainy/2_1.png", "clean/1.png", "clean/2.png")
    groups = [e.group for e in find_layout(tmp_path / "many", 1).entries]
    assert groups[0] == groups[1] != groups[2]


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in {"photos", "unpaired"}])
def test_a_folder_of_another_layout_is_reported_with_the_expected_one(layout: str, tmp_path: Path) -> None:
    write(tmp_path, "1.png")
    wanted = {"sice": "pairs.json", "lol": "our485/low", "div2k": "_HR", "pairs": "low/ and high/", "rain100": "norain"}
    wanted |= {"classes": "real/ and fake/", "domains": "trainA/ and trainB/"}
    with pytest.raises(BadInput, match=wanted[layout]):
        find_layout(tmp_path, 3, layout)


def test_real_and_fake_are_classes_and_videos_stay_together(tmp_path: Path) -> None:
    write(tmp_path, "real/a/1.png", "real/a/2.png", "real/b.png", "fake/c/1.png", "fake/d/1.png")
    found = find_layout(tmp_path, 1)
    assert found.layout == "classes"
    assert [(e.group, e.label) for e in found.entries] == [
        ("fake/c", 1),
        ("fake/d", 1),
        ("real/a", 0),
        ("real/a", 0),
        ("real/b.png", 0),
    ]
    data = data_set(replace(options(tmp_path), network="caddm"), NETWORKS.get("caddm"), 1)
    assert data.degradation == "labels"
    assert all(set(pair.truth) == {"label"} and pair.high is None for pair in data.validation)
    batch = data.crops.batch(16, np.random.default_rng(0))
    assert batch.high is None
    assert set(batch.truth["label"].flatten().tolist()) <= {0.0, 1.0}


def test_bad_layouts(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"unknown layout 'lmdb' \(available: sice"):
        find_layout(tmp_path, 1, "lmdb")
    with pytest.raises(BadInput, match="no pictures"):
        find_layout(tmp_path, 1)
    write(tmp_path, "low/1.png", "low/3.png", "high/1.png")
    with pytest.raises(BadInput, match=r"3\.png has no target"):
        find_layout(tmp_path, 1)
    (tmp_path / "pairs.json").write_text('[{"scene": 1, "low": "1.png"}]')
    with pytest.raises(BadInput, match="normal"):
        find_layout(tmp_path, 1)
    (tmp_path / "pairs.json").write_text('[{"scene": 1, "low": "8.png", "normal": "9.png"}]')
    with pytest.raises(BadInput, match=r"8\.png: pairs\.json names this picture"):
        find_layout(tmp_path, 1)


def options(folder: Path, **changes: object) -> TrainOptions:
    return TrainOptions("ncnet", (folder,), Path("out"), steps=1, patch=4, **changes)  # type: ignore[arg-type]


def test_published_miniatures_are_used_where_they_are_and_made_where_not(tmp_path: Path) -> None:
    div2k(tmp_path)
    assert data_set(options(tmp_path), SPEC, 3).degradation == "pairs"
    assert data_set(options(tmp_path), SPEC, 4).degradation == "bicubic"
    assert data_set(options(tmp_path, degradation="camera"), SPEC, 3).degradation == "camera"
    write(tmp_path, "DIV2K_train_LR_bicubic/X3/0001x3.png", size=(8, 9))
    write(tmp_path, "DIV2K_train_LR_bicubic/X3/0002x3.png", size=(8, 9))
    with pytest.raises(BadInput, match=r"24x30 pixels; the target of 000.x3\.png \(8x9\) at scale 3 has 24x27"):
        data_set(options(tmp_path), SPEC, 3)


def test_scenes_are_never_on_both_sides_of_a_split(tmp_path: Path) -> None:
    write(tmp_path, *(f"images/{n}.png" for n in range(20)))
    rows = [{"scene": n // 4, "low": f"{n}.png", "normal": f"{n // 4 * 4}.png"} for n in range(20) if n % 4]
    (tmp_path / "pairs.json").write_text(json.dumps(rows))
    for degradation in ("pairs", "unpaired"):
        data = data_set(options(tmp_path, degradation=degradation), SPEC, 1)
        scenes = {int(pair.name.split(".")[0]) // 4 for pair in data.validation}
        learned = {int(data.crops.pool.get(i).name.split(".")[0]) // 4 for i in range(len(data.crops.pool))}
        assert len(scenes) == 1
        assert scenes | learned == set(range(5))
        assert not scenes & learned
        assert all(pair.high is not None for pair in data.validation)  # PSNR, even of what learns without targets


def test_sizes_are_read_as_the_pictures_will_be(tmp_path: Path) -> None:
    from PIL import Image

    picture = Image.new("RGB", (30, 20))
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=turned)
    picture.save(tmp_path / "b.jpg")
    assert picture_size(tmp_path / "a.jpg") == (30, 20)
    assert picture_size(tmp_path / "b.jpg") == (20, 30)


def test_excluded_photos_are_not_learned_from(tmp_path: Path) -> None:
    write(tmp_path, *(f"{side}/{n}.png" for side in ("bsds_test", "bsds_train") for n in (1, 2, 3, 4)))
    listed = tmp_path / "listed.json"
    listed.write_text(json.dumps([{"set": "rain", "clean": "test/1.jpg"}, {"clean": "test/1.jpg"}, "2.jpg"]))
    assert read_exclusions(listed) == (Exclusion("1", "test"), Exclusion("2", None))
    left = without(find_layout(tmp_path, 1).entries, read_exclusions(listed))
    assert sorted(str(e.high.relative_to(tmp_path)) for e in left if e.high) == [
        "bsds_test/3.png",
        "bsds_test/4.png",
        "bsds_train/1.png",
        "bsds_train/3.png",
        "bsds_train/4.png",
    ]
    text = tmp_path / "listed.txt"
    text.write_text("test/1\n\n  2.png  \n")
    assert read_exclusions(text) == read_exclusions(listed)
    data = data_set(options(tmp_path, exclude=(text,), degradation="bicubic"), SPEC, 1)
    assert data.left_out == 3
    assert len(data.crops.pool) + len(data.validation) == 5


@pytest.mark.parametrize("text", ['[{"rainy": "1.png"}]', "[1]", "[}"])
def test_bad_exclusion_lists(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(BadInput, match=r"bad\.json"):
        read_exclusions(tmp_path / "bad.json")
    with pytest.raises(BadInput, match=r"none\.json"):
        read_exclusions(tmp_path / "none.json")


def test_no_photo_behind_the_evaluation_pairs_is_learned_from(shared: Path) -> None:
    rain = shared / "data" / "rain"
    listed = {entry["clean"] for entry in json.loads((rain / "clean_sources.json").read_text())}
    for part in ("train", "test"):
        entries = find_layout(shared / "data" / "photos" / f"bsds500_{part}", 1).entries
        left = without(entries, read_exclusions(rain / "clean_sources.json"))
        assert len(left) < len(entries)
        assert not {f"{part}/{entry.name}" for entry in left} & listed
