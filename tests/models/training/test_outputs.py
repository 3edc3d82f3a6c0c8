"""What a training leaves: never over an earlier one's without being asked, and never lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clearport.errors import BadInput
from clearport.models import weights
from clearport.models.training.train import Progress, TrainOptions, train
from clearport.pictures.images import save_png
from clearport.registry import NETWORKS

SPEC = NETWORKS.get("ncnet")
MINE = "years of work"
BESIDE = ("mine.safetensors", "mine.json", "mine.safetensors.checkpoint", "mine.safetensors.preview.png")


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    noise = np.random.default_rng(1)
    for name in "abcd":
        save_png(tmp_path / f"photos/{name}.png", noise.integers(0, 256, (48, 48, 3), dtype=np.uint8))
    return TrainOptions(
        *("ncnet", (tmp_path / "photos",), tmp_path / "mine.safetensors"),
        scale=2,
        steps=4,
        batch=2,
        patch=12,
        validation_photos=1,
        validate_every=2,
        bfloat16=False,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_an_earlier_training_is_replaced_only_on_request(options: TrainOptions, tmp_path: Path) -> None:
    train(options)
    before = files(tmp_path)
    assert set(before) == set(BESIDE)
    for name in BESIDE:
        others = {p: p.rename(tmp_path / "photos" / f"{p.name}.away") for p in map(tmp_path.joinpath, BESIDE)}
        others.pop(tmp_path / name).rename(tmp_path / name)
        with pytest.raises(
            BadInput, match=rf"{re.escape(name)}: an earlier training left it there; .*--resume.*--force"
        ):
            train(options)
        for place, away in others.items():
            away.rename(place)
    assert files(tmp_path) == before
    train(replace(options, force=True, seed=2))
    assert files(tmp_path)["mine.safetensors"] != before["mine.safetensors"]


@pytest.mark.parametrize("name", BESIDE[:3])
@pytest.mark.parametrize("how", [{}, {"force": True}, {"resume": True}], ids=str)
def test_files_that_no_training_wrote_stay(
    options: TrainOptions, tmp_path: Path, name: str, how: dict[str, bool]
) -> None:
    (tmp_path / name).write_text(MINE)
    with pytest.raises(BadInput, match=re.escape(name)):
        train(replace(options, **how))
    assert files(tmp_path) == {name: MINE.encode()}


@pytest.mark.parametrize("name", ["photos", "photos/mine.safetensors", "photos/a.png", "start.safetensors"])
def test_an_output_is_no_input(options: TrainOptions, tmp_path: Path, name: str) -> None:
    start = tmp_path / "start.safetensors"
    weights.save(start, SPEC.build(2), "ncnet", 2, {})
    before = files(tmp_path), files(tmp_path / "photos")
    with pytest.raises(BadInput):
        train(replace(options, out=tmp_path / name, start=start, force=True))
    assert (files(tmp_path), files(tmp_path / "photos")) == before


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that has room for a beginning."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", place], check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> None:
    """Leave no room."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def test_a_disk_that_fills_meanwhile_costs_neither_the_training_nor_its_weights(
    options: TrainOptions, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("CLEARPORT_OUTER_TMPDIR", str(tmp_path / "tmp"))
    seen: list[Progress] = []

    def note(progress: Progress) -> None:
        seen.append(progress)
        fill(disk)

    with pytest.raises(BadInput, match=r"disk is full.*the weights are here instead: ") as failed:
        train(replace(options, out=disk / "mine.safetensors"), note)
    assert [bool(progress.unsaved) for progress in seen] == [False, True]
    kept = Path(str(failed.value).rpartition("instead: ")[2])
    assert weights.load(SPEC, 2, kept).card["training"]["steps_done"] == 4
    assert not [p.name for p in disk.iterdir() if p.name.startswith(".")]


def test_a_checkpoint_that_cannot_be_written_at_the_end_is_kept_elsewhere(
    options: TrainOptions, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("CLEARPORT_OUTER_TMPDIR", str(tmp_path / "tmp"))
    options = replace(options, out=disk / "mine.safetensors", preview=False)

    def press(progress: Progress) -> None:
        fill(disk)
        if progress.step == 2:
            options.checkpoint.unlink()
            os.truncate(disk / "filler", 0)
            fill(disk)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(BadInput, match="before --resume: ") as failed:
        train(options, press)
    Path(disk / "filler").unlink()
    Path(str(failed.value).rpartition("--resume: ")[2]).rename(tmp_path / "saved")
    options.checkpoint.write_bytes((tmp_path / "saved").read_bytes())
    assert train(replace(options, resume=True)).finished


def test_a_log_on_a_disk_that_fills_ends_and_the_training_goes_on(options: TrainOptions, disk: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra 'train' is not installed")
    seen: list[Progress] = []

    def note(progress: Progress) -> None:
        seen.append(progress)
        fill(disk)

    assert train(replace(options, log=disk / "log", steps=8), note).finished
    assert not seen[0].unsaved
    assert "disk is full" in seen[-1].unsaved
