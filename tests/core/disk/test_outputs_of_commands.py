"""Every output of every command: an unusable one is refused with exit code 2 before work, and nothing changes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearport.cli import app as cli
from clearport.pictures.images import save_png
from tests.core.places import MINE, SmallDisk, tree

Line = Callable[[Path, str], list[str]]

COMMANDS: dict[str, Line] = {
    "export --out": lambda here, out: ["export", "ncnet", "--size", "64x64", "--force", "--out", out],
    "train --out": lambda here, out: ["train", "ncnet", "--data", f"{here}/photos", "--steps", "1", "--out", out],
    "train --log": lambda here, out: [
        *("train", "ncnet", "--data", f"{here}/photos", "--steps", "1", "--out", f"{here}/w.safetensors", "--log", out)
    ],
    "eval --junit": lambda here, out: ["eval", f"{here}/bundle", "--data", f"{here}/photos", "--junit", out],
    "bench --json": lambda here, out: ["bench", f"{here}/bundle", "--json", out],
    "bench --json --record": lambda here, out: ["bench", f"{here}/bundle", "--record", "--json", out],
    "bench --keep": lambda here, out: ["bench", f"{here}/bundle", "--keep", out],
    "run --output": lambda here, out: ["run", f"{here}/bundle", f"{here}/photos/a.png", "--output", out],
    "serve --records": lambda here, out: ["serve", f"{here}/bundle", "--port", "0", "--records", out],
}
FILES = [name for name in COMMANDS if name.split()[-1] not in {"--log", "--keep", "--records"}]
READING = [name for name in COMMANDS if name.split()[0] in {"eval", "bench", "run", "serve"}]


@pytest.fixture(scope="module")
def laid_out(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("commands")
    make_bundle(here / "bundle")
    save_png(here / "photos/a.png", np.zeros((48, 48, 3), np.uint8))
    (here / "folder.png").mkdir()
    for name in ("folder.png/mine.txt", "file.png", "file"):
        (here / name).write_text(MINE)
    save_png(here / "theirs.png", np.zeros((8, 8, 3), np.uint8))
    return here


@pytest.fixture
def here(laid_out: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(laid_out, tmp_path / "here"))


def refused(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["clearport", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    said = capfd.readouterr().err
    assert ended.value.code == 2, said
    assert "unexpected" not in said
    return said


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("place", ["file/below.png", "file.png/be/low.png", "n" * 300 + ".png"], ids=lambda p: p[:9])
def test_a_place_that_cannot_be(here: Path, name: str, place: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = tree(here)
    said = refused(capfd, *COMMANDS[name](here, f"{here}/{place}"))
    assert "a file, not a folder" in said or "too long" in said
    assert tree(here) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_folders_and_files_are_distinguished(here: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = tree(here)
    wrong = "folder.png" if name in FILES else "file.png"
    said = refused(capfd, *COMMANDS[name](here, f"{here}/{wrong}"))
    assert "it is a folder" in said or "it is a file" in said or "no bundle" in said
    assert tree(here) == before


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", ["file.png", "theirs.png"])
def test_files_of_others_stay(here: Path, name: str, place: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = tree(here)
    said = refused(capfd, *COMMANDS[name](here, f"{here}/{place}"), *(["--force"] if "train" in name else []))
    assert "a file is there" in said or "a file is at this path" in said
    assert tree(here) == before


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("place", ["", "/manifest.json", "/new.png", "/goldens/input.png", "/goldens/de/ep.png"])
def test_a_bundle_that_is_read_stays(here: Path, name: str, place: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = tree(here)
    out = f"{here}/bundle{place}"
    if name.startswith("run") and not place.endswith(".png"):
        out += ".png" if place else "/x.png"
    said = refused(capfd, *COMMANDS[name](here, out))
    assert "would overwrite the input" in said or "inside the input folder" in said or "a file, not a folder" in said
    assert tree(here) == before


def test_run_never_overwrites_its_input(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "hard.png").hardlink_to(here / "photos/a.png")
    (here / "soft.png").symlink_to("photos/a.png")
    sums = shutil.copy(here / "photos/a.png", here / "1+1=2.png")
    before = tree(here)
    for name in ("photos/a.png", "hard.png", "soft.png", "photos/../photos/a.png"):
        assert "would overwrite the input" in refused(capfd, *COMMANDS["run --output"](here, f"{here}/{name}"))
    for given in (f"{sums}", f"image={sums}"):
        said = refused(capfd, "run", f"{here}/bundle", given, "--output", f"{sums}")
        assert "would overwrite the input" in said
    assert tree(here) == before


@pytest.mark.parametrize("name", [*COMMANDS, "report"])
def test_full_and_read_only_folders_are_reported_before_work(
    here: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with SmallDisk(here / "disk", "4k" if name != "report" else "4m") as disk:
        if name == "report":
            shutil.copytree(here / "bundle", disk / "b")
        line = ["report", f"{disk}/b"] if name == "report" else COMMANDS[name](here, f"{disk}/out.png")
        if name != "report":
            assert "disk is full" in refused(capfd, *line)
            assert list(disk.iterdir()) == []
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert "read-only" in refused(capfd, *line)


@pytest.mark.parametrize("name", ["eval --record", "bench --record"])
def test_an_unwritable_bundle_is_reported_before_work(here: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with SmallDisk(here / "disk", "4m") as disk:
        shutil.copytree(here / "bundle", disk / "b")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        data = ["--data", f"{here}/photos"] if name.startswith("eval") else []
        assert "--record cannot be written" in refused(capfd, name.split(maxsplit=1)[0], f"{disk}/b", "--record", *data)
