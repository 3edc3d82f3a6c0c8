"""What refusals advise leads somewhere: it is followed to the letter, for each kind of network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearport.base import Size
from clearport.bundle.folder import Bundle
from clearport.pictures.images import load_rgb, save_png
from device_tests.conftest import called

PICTURE = Size(150, 210)
KINDS = {
    "one that looks at the whole picture": ("iagc", "64x64"),
    "one whose sides are multiples": ("mobilederain", "64x64"),
    "one without either": ("ncnet", "8x8"),
}


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("advice") / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (PICTURE.height, PICTURE.width, 3), dtype=np.uint8)
    save_png(path, pixels)
    return path


def export(network: str, size: str, folder: Path) -> Any:
    plain = ("--target", "tflite", "--precision", "fp32", "--no-bench", "--quiet")
    return called("export", network, "--out", folder, "--size", size, *plain)


def run(folder: Path, picture: Path, output: Path) -> Any:
    return called("run", folder, picture, "-o", output, "--target", "tflite", "--precision", "fp32")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_cannot_be_cut_says_so_at_export_and_every_size_that_is_named_works(
    kind: str, picture: Path, tmp_path: Path
) -> None:
    network, size = KINDS[kind]
    made = export(network, size, tmp_path / "small")
    assert made.code == 0, made.err
    assert f"pictures larger than {size} cannot be tiled" in made.out
    refused = run(tmp_path / "small", picture, tmp_path / "out.png")
    assert refused.code == 2
    assert not (tmp_path / "out.png").exists()
    advised = re.findall(r"--size (\d+x\d+)", refused.err)
    assert len(advised) == 2
    assert f"--size {advised[0]}" in made.out
    for number, better in enumerate(advised):
        again = export(network, better, tmp_path / f"better{number}")
        assert again.code == 0, again.err
        assert "cannot be tiled" not in again.out
        done = run(tmp_path / f"better{number}", picture, tmp_path / "out.png")
        assert done.code == 0, done.err
        scale = Bundle.load(tmp_path / f"better{number}").manifest.model.scale
        assert load_rgb(tmp_path / "out.png").shape == (PICTURE.height * scale, PICTURE.width * scale, 3)
        (tmp_path / "out.png").unlink()
        if number == 1:
            assert "1 tile," in done.out


@pytest.mark.slow
def test_tiles_that_may_differ_in_tone_name_a_size_that_sees_the_picture_at_once(picture: Path, tmp_path: Path) -> None:
    made = export("iagc", "144x144", tmp_path / "tiles")
    assert made.code == 0, made.err
    assert "larger than 144x144 are processed in tiles that may differ in tone" in made.out
    done = run(tmp_path / "tiles", picture, tmp_path / "out.png")
    assert done.code == 0, done.err
    (advised,) = re.findall(r"--size (\d+x\d+)", done.out)
    assert export("iagc", advised, tmp_path / "whole").code == 0
    again = run(tmp_path / "whole", picture, tmp_path / "again.png")
    assert "1 tile," in again.out
    assert "differ in tone" not in again.out


@pytest.mark.slow
def test_where_no_free_size_can_be_written_the_size_that_is_asked_for_can(tmp_path: Path) -> None:
    refused = export("iagc", "dynamic", tmp_path / "free")
    assert refused.code == 2
    assert "give --size HEIGHTxWIDTH" in refused.err
    assert export("iagc", "272x272", tmp_path / "fixed").code == 0
