"""Every kind of picture becomes uint8 RGB, and what is not a picture is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from clearport.errors import BadInput
from clearport.pictures.images import find_pictures, load_rgb, save_png

GRAY_RAMP = np.linspace(0, 255, 48, dtype=np.uint8).reshape(6, 8)


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_png_round_trip(tmp_path_factory: pytest.TempPathFactory, image: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("png") / "x.png"
    save_png(path, image)
    first = path.read_bytes()
    loaded = load_rgb(path)
    assert np.array_equal(loaded, image)
    assert loaded.flags.writeable
    save_png(path, image)
    assert path.read_bytes() == first


def test_grayscale_is_repeated(tmp_path: Path) -> None:
    Image.fromarray(GRAY_RAMP).save(tmp_path / "gray.png")
    assert np.array_equal(load_rgb(tmp_path / "gray.png"), np.repeat(GRAY_RAMP[..., None], 3, 2))


def test_sixteen_bit_is_scaled(tmp_path: Path) -> None:
    Image.fromarray(GRAY_RAMP.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.array_equal(load_rgb(tmp_path / "deep.png")[..., 0], GRAY_RAMP)


def test_alpha_is_dropped_and_colors_stay(tmp_path: Path) -> None:
    rgba = np.dstack([np.repeat(GRAY_RAMP[..., None], 3, 2), np.zeros_like(GRAY_RAMP)])
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    assert np.array_equal(load_rgb(tmp_path / "alpha.png"), rgba[..., :3])


def test_palette_is_expanded(tmp_path: Path) -> None:
    Image.fromarray(np.repeat(GRAY_RAMP[..., None], 3, 2)).quantize(64).save(tmp_path / "palette.png")
    assert load_rgb(tmp_path / "palette.png").shape == (6, 8, 3)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture = Image.fromarray(np.repeat(GRAY_RAMP[..., None], 3, 2))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    assert load_rgb(tmp_path / "turned.png").shape == (8, 6, 3)


def test_one_pixel(tmp_path: Path) -> None:
    save_png(tmp_path / "one.png", np.full((1, 1, 3), 7, np.uint8))
    assert load_rgb(tmp_path / "one.png").tolist() == [[[7, 7, 7]]]


@pytest.mark.parametrize("content", [b"", b"not a picture at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_anything_but_an_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.png"):
        load_rgb(tmp_path / "bad.png")


def test_truncated_picture_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    data = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(BadInput, match=r"cut\.png"):
        load_rgb(tmp_path / "cut.png")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.png: no such file"):
        load_rgb(tmp_path / "gone.png")
    with pytest.raises(BadInput, match=str(tmp_path)):
        load_rgb(tmp_path)


def test_folders_of_pictures(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="it contains no pictures"):
        find_pictures(tmp_path)
    with pytest.raises(BadInput, match="expected a folder"):
        find_pictures(tmp_path / "gone")
    (tmp_path / "below").mkdir()
    for name in ("b.PNG", "below/a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in find_pictures(tmp_path)] == ["b.PNG", "a.jpg"]
