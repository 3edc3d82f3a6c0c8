"""Errors of int8: maps, tiles and histograms of golden outputs of every kind."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clearport.base import TensorSpec
from clearport.bundle.folder import Bundle
from clearport.bundle.manifest import GoldenRecord, PixelContract
from clearport.pictures.images import save_png
from clearport.reports.embedded import HEAT, Picture, heat
from clearport.reports.errors import OutputErrors, errors


def pixels(picture: Picture) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.address.partition(",")[2]))))


@pytest.fixture
def made(make_bundle: Any, tmp_path: Path) -> Bundle:
    found: Bundle = make_bundle(tmp_path / "bundle", 80, 100)
    flat = np.full((240, 300, 3), 100, np.uint8)
    save_png(found.folder / "goldens/float.png", flat)
    save_png(found.folder / "goldens/int8.png", flat)
    return found


def spoiled(made: Bundle, *places: tuple[int, int, int]) -> OutputErrors:
    """The errors of a picture that is off by some levels at ``(top, left, levels)``, in squares of 4 pixels."""
    picture = np.full((240, 300, 3), 100, np.int16)
    for top, left, levels in places:
        picture[top : top + 4, left : left + 4, 1] += levels
    save_png(made.folder / "goldens/int8.png", picture.astype(np.uint8))
    found = errors(made)
    assert not isinstance(found, str)
    return found[0]


def with_tensors(made: Bundle, spec: TensorSpec, plain: Any, quantized: Any) -> Bundle:
    """The bundle with golden values instead of pictures."""
    from safetensors.numpy import save_file

    save_file({"float": plain, "int8": quantized}, made.folder / "goldens/tensors.safetensors")
    goldens = tuple(
        GoldenRecord(
            name=g.name,
            path=g.path if g.role == "input" else "goldens/tensors.safetensors",
            sha256="0" * 64,
            role=g.role,
            tensor="" if g.role == "input" else spec.name,
            kind="picture" if g.role == "input" else spec.kind,
        )
        for g in made.manifest.goldens
    )
    contract = PixelContract(inputs=made.manifest.pixel_contract.inputs, outputs=(spec,))
    return Bundle(made.folder, made.manifest.model_copy(update={"goldens": goldens, "pixel_contract": contract}))


def test_the_worst_tiles_are_those_with_the_errors(made: Bundle) -> None:
    found = spoiled(made, (200, 250, 40), (10, 20, 20), (120, 130, -10), (10, 30, 5))
    assert [tile.caption.partition(":")[0] for tile in found.tiles] == [
        "64 × 64 from x = 192, y = 160",
        "64 × 64 from x = 0, y = 0",
        "64 × 64 from x = 96, y = 64",
    ]
    first = found.tiles[0]
    assert "largest difference 40.0 levels" in first.caption
    assert f"PSNR {10 * np.log10(255**2 / (40**2 * 16 / (64 * 64 * 3))):.1f} dB" in first.caption
    assert (first.x, first.y, first.width) == (64.0, round(16000 / 240, 3), round(6400 / 300, 3))
    plain, quantized, difference = map(pixels, first.pictures)
    assert (plain == 100).all()
    assert quantized[40, 58].tolist() == [100, 140, 100]
    assert difference[40, 58].tolist() == [0, 160, 0]
    assert first.pictures[2].label == "difference × 4"


def test_tiles_do_not_overlap_and_stay_within_the_picture(made: Bundle) -> None:
    rng = np.random.default_rng(0)
    found = spoiled(
        made, *((int(t), int(x), int(d)) for t, x, d in rng.integers(-60, [236, 296, 60], (300, 3)) if t >= 0 <= x)
    )
    boxes = [(t.x * 3, t.y * 2.4, t.width * 3, t.height * 2.4) for t in found.tiles]
    assert len(boxes) == 3
    for i, (x, y, w, h) in enumerate(boxes):
        assert x + w <= 300.1
        assert y + h <= 240.1
        assert all(abs(x - a) > w - 0.1 or abs(y - b) > h - 0.1 for a, b, _, _ in boxes[:i])


def test_the_histogram_counts_levels(made: Bundle) -> None:
    found = spoiled(made, (0, 0, 3), (100, 100, -1), (200, 200, 200 - 150))
    shares = {b.label: b.share for b in found.bins}
    assert list(shares) == [
        "≤ −8",
        *map(str, ("−7", "−6", "−5", "−4", "−3", "−2", "−1", "0", "+1", "+2", "+3", "+4")),
        "+5",
        "+6",
        "+7",
        "≥ +8",
    ]
    assert shares["≥ +8"] == shares["+3"] == shares["−1"] == f"{100 * 16 / 216000:.2f} %"
    assert shares["+1"] == "0.00 %"
    assert max(found.bins, key=lambda b: b.length).label == "0"
    assert all(0 <= b.length <= 100 for b in found.bins)


def test_equal_pictures_have_no_tiles(made: Bundle) -> None:
    found = spoiled(made)
    assert (found.summary, found.tiles, [b.label for b in found.bins]) == ("All values are equal.", (), ["0"])


def test_the_map_shows_the_largest_error_where_it_is(made: Bundle) -> None:
    found = spoiled(made, (200, 250, 40))
    assert found.map is not None
    shown = pixels(found.map)
    assert shown.shape == (240, 300, 3)
    assert tuple(shown[201, 251]) == HEAT[-1]
    assert tuple(shown[0, 0]) == HEAT[0]


def test_large_maps_are_reduced_by_their_maximum(make_bundle: Any, tmp_path: Path) -> None:
    large = make_bundle(tmp_path / "bundle", 200, 400)  # 600x1200 after scaling
    picture = np.full((600, 1200, 3), 9, np.uint8)
    save_png(large.folder / "goldens/float.png", picture)
    picture[301, 700] = 89
    save_png(large.folder / "goldens/int8.png", picture)
    (found,) = errors(large)
    assert isinstance(found, OutputErrors)
    assert found.map is not None
    assert (found.map.height, found.map.width) == (200, 400)
    assert tuple(pixels(found.map)[100, 233]) == HEAT[-1]


def test_heat_runs_from_the_first_color_to_the_last() -> None:
    row = heat(np.array([[0.0, 0.2, 1.0]]))
    assert [tuple(color) for color in row[0]] == [HEAT[0], HEAT[1], HEAT[-1]]


def test_vectors_have_a_histogram_and_no_map(made: Bundle) -> None:
    spec = TensorSpec("bits", (1, 4), kind="vector", value_range=None)
    plain = np.array([[-1.0, 0.0, 0.55, 1.55]], np.float32)
    (found,) = errors(with_tensors(made, spec, plain, plain + np.float32(0.01)))
    assert isinstance(found, OutputErrors)
    assert (found.title, found.map, found.tiles) == ("bits, on the golden photo", None, ())
    assert [b.label for b in found.bins if b.share == "100.00 %"] == ["+1"]
    assert "the values' own range (0.0100" in found.axis
    assert found.summary.startswith("SQNR 39.")


@pytest.mark.parametrize("wrong", [np.full(8, np.nan, np.float32), np.zeros(0, np.float32)], ids=["NaN", "empty"])
def test_outputs_without_a_number_are_refused_in_words(made: Bundle, wrong: Any) -> None:
    spec = TensorSpec("embedding", (1, 8), kind="vector", value_range=None)
    told = errors(with_tensors(made, spec, wrong.reshape(1, -1), wrong.reshape(1, -1)))
    assert isinstance(told, str)
    assert "is empty or not finite" in told


def test_masks_have_maps_and_tiles_in_gray(made: Bundle) -> None:
    spec = TensorSpec("mask", (1, 1, 70, 90), kind="map", value_range=(0.0, 1.0))
    plain = np.full((1, 1, 70, 90), 0.5, np.float32)
    quantized = plain.copy()
    quantized[0, 0, 60, 80] = 0.9
    (found,) = errors(with_tensors(made, spec, plain, quantized))
    assert isinstance(found, OutputErrors)
    assert found.map is not None
    assert (found.map.height, found.map.width) == (70, 90)
    assert "largest 102 levels" in found.summary
    plain_tile, _, difference = map(pixels, found.tiles[0].pictures)
    assert plain_tile.shape == (64, 64)
    assert plain_tile[0, 0] == 128
    assert difference.max() == 204


def test_several_outputs_are_distinguished(made: Bundle) -> None:
    contract = made.manifest.pixel_contract
    two = PixelContract(
        inputs=contract.inputs, outputs=(*contract.outputs, TensorSpec("mask", (1, 1, 4, 4), kind="map"))
    )
    found = errors(Bundle(made.folder, made.manifest.model_copy(update={"pixel_contract": two})))
    assert not isinstance(found, str)
    assert [each.title for each in found] == ["restored, on the golden photo"]


def test_the_same_bundle_gives_the_same_pictures(made: Bundle) -> None:
    assert spoiled(made, (200, 250, 40)) == spoiled(made, (200, 250, 40))


def test_without_int8_the_reason_is_reported(made: Bundle) -> None:
    plain = tuple(g for g in made.manifest.goldens if g.role != "int8")
    bare = Bundle(made.folder, made.manifest.model_copy(update={"goldens": plain}))
    assert errors(bare) == "this bundle has no int8 form of the network"
    (made.folder / "goldens/int8.png").unlink()
    assert "missing from the bundle" in str(errors(made))


def test_pictures_of_other_sizes_are_refused_in_words(made: Bundle) -> None:
    save_png(made.folder / "goldens/int8.png", np.zeros((10, 10, 3), np.uint8))
    assert "its shape (10, 10, 3) is not (240, 300, 3)" in str(errors(made))
