"""Tiling: the same pixels as the whole picture gives, at any size, in bounded memory."""

from __future__ import annotations

import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clearport.base import Size, TensorSpec
from clearport.errors import BadInput, CheckFailed
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.pictures.images import load_rgb
from clearport.runtime import tiling
from clearport.runtime.tiling import Tiling
from clearport.runtime.tiling_png import save_strips


class Network(nn.Module):
    """Convolutions with zero padding, maybe on a grid; whole-number weights, so that float sums are exact."""

    def __init__(self, kernel: int, scale: int, pooled: int) -> None:
        super().__init__()
        pad = kernel // 2
        self.first = nn.Conv2d(3, 4, kernel, padding=pad)
        self.last = nn.Conv2d(4, 3 * scale * scale, kernel, padding=pad)
        self.up = nn.PixelShuffle(scale)
        self.pooled = pooled
        generator = torch.Generator().manual_seed(kernel)
        for weights in self.parameters():
            weights.data = torch.randint(-2, 3, weights.shape, generator=generator).float()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(image))
        if self.pooled > 1:
            x = nn.functional.interpolate(nn.functional.max_pool2d(x, self.pooled), scale_factor=self.pooled)
        return torch.remainder(self.up(self.last(x)), 256)  # every difference shows, however large the sums are

    @torch.inference_mode()
    def infer(self, picture: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
        return self(tensor)[0].permute(1, 2, 0).to(torch.uint8).numpy()


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3)).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_tiles_make_the_whole_picture(data: st.DataObject) -> None:
    kernel, scale, pooled = (data.draw(st.sampled_from(c)) for c in ((1, 3, 5), (1, 2, 3), (1, 2, 4)))
    network = Network(kernel, scale, pooled)
    halo = 2 * (kernel // 2) + pooled - 1
    tile = Size(*(pooled * data.draw(st.integers(-(-(2 * halo + pooled) // pooled), 12)) for _ in "hw"))
    size = Size(*(t + pooled * data.draw(st.integers(0, 20)) for t in (tile.height, tile.width)))
    image = photo(size.height, size.width)

    def infer(part: np.ndarray) -> np.ndarray:
        assert part.shape[:2] == (tile.height, tile.width)
        return network.infer(part)

    restored = tiling.restore(image, infer, Tiling(scale, halo, pooled, tile))
    np.testing.assert_array_equal(restored, network.infer(image))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_tiles_of_outputs_without_a_border_make_the_whole_picture(data: st.DataObject) -> None:
    """What windows without padding leave out is made of the picture's mirrored border, and nothing else is."""
    kernel, scale, extra = (data.draw(st.sampled_from(c)) for c in ((3, 5), (1, 2, 3), (0, 1)))
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(3, 3, scale + extra, scale, bias=False)
    network = nn.Sequential(nn.Conv2d(3, 3, kernel, bias=False), up)
    border, size = kernel - 1, Size(*(data.draw(st.integers(20, 40)) for _ in "hw"))
    image = photo(size.height, size.width)

    @torch.inference_mode()
    def infer(part: np.ndarray) -> np.ndarray:
        found: torch.Tensor = network(torch.from_numpy(np.array(part.transpose(2, 0, 1)[None], np.float32)))
        return found[0].permute(1, 2, 0).numpy()

    cut = Tiling(scale, border, size=data.draw(st.sampled_from((None, Size(20, 17)))), crop=border * scale - extra)
    restored = tiling.restore(image, infer, cut)
    assert restored.shape == (size.height * scale, size.width * scale, 3)
    sides = cut.border
    whole = infer(np.pad(image, (sides, sides, (0, 0)), mode="symmetric"))
    lead = sides[0] * scale - cut.crop // 2
    wanted = whole[lead:, lead:][: restored.shape[0], : restored.shape[1]]
    np.testing.assert_allclose(restored, wanted, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), whole=st.integers(30, 500))
def test_artifacts_of_any_size_are_cut_only_when_they_must(height: int, width: int, whole: int) -> None:
    network, calls = Network(3, 2, 1), []

    def infer(part: np.ndarray) -> np.ndarray:
        calls.append(part.shape[0] * part.shape[1])
        return network.infer(part)

    image = photo(height, width)
    restored = tiling.restore(image, infer, Tiling(2, 2, whole_pixels=whole))
    np.testing.assert_array_equal(restored, network.infer(image))
    if height * width <= whole:
        assert calls == [height * width]
    assert max(calls) <= max(whole, 100)  # 10x10: four halos and two pixels, below which tiles are mostly halo


def test_a_picture_smaller_than_the_artifact_is_extended_by_its_last_row_and_column() -> None:
    network = Network(3, 2, 1)
    image = photo(5, 7)
    extended = np.pad(image, ((0, 11), (0, 9), (0, 0)), mode="symmetric")
    restored = tiling.restore(image, network.infer, Tiling(2, 2, 1, Size(16, 16)))
    np.testing.assert_array_equal(restored, network.infer(extended)[:10, :14])


@pytest.mark.parametrize("size", [None, Size(8, 12)])
def test_sides_that_are_no_multiple_are_extended(size: Size | None) -> None:
    network = Network(1, 1, 4)
    image = photo(13, 30)
    extended = np.pad(image, ((0, 3), (0, 2), (0, 0)), mode="symmetric")
    restored = tiling.restore(image, network.infer, Tiling(1, 3, 4, size and Size(16, 12)))
    np.testing.assert_array_equal(restored, network.infer(extended)[:13, :30])


@pytest.mark.parametrize("size", [Size(360, 640), None])
def test_one_pixel(size: Size | None) -> None:
    network = Network(3, 3, 1)
    calls: list[tuple[int, int]] = []
    restored = tiling.restore(photo(1, 1), network.infer, Tiling(3, 2, 1, size), lambda *step: calls.append(step))
    assert restored.shape == (3, 3, 3)
    assert calls == [(1, 1)]


def test_too_small_an_artifact_is_refused_with_advice() -> None:
    said = r"takes 16x16 pixels where the picture has 20x16.* sees 8 pixels to each side.*--size 34x34, .*--size 20x16"
    with pytest.raises(BadInput, match=said):
        tiling.plan(Size(20, 16), Tiling(1, 8, 1, Size(16, 16)))


@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    halo=st.integers(0, 60),
    multiple=st.sampled_from([1, 2, 4, 8]),
    tile=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_the_sizes_that_a_refusal_names_work(
    height: int, width: int, halo: int, multiple: int, tile: tuple[int, int]
) -> None:
    """Either size leads somewhere: the larger one for every picture, the picture's own one for that."""
    size = Size(*(n * multiple for n in tile))
    refused = Tiling(1, halo, multiple, size)
    try:
        tiling.plan(Size(height, width), refused)
    except BadInput as error:
        assert refused.uncuttable
        larger, own = (Size.parse(words) for words in re.findall(r"--size (\d+x\d+)", str(error)))
        assert larger is not None
        assert own is not None
        for side in (larger.height, larger.width, own.height, own.width):
            assert side % multiple == 0
        assert tiling.plan(Size(height, width), replace(refused, size=own)).tiles == 1
        assert not replace(refused, size=larger).uncuttable
        for picture in (Size(height, width), Size(1999, 3001)):
            assert tiling.plan(picture, replace(refused, size=larger)).tiles >= 1


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_plans_keep_every_pixel_once_and_only_where_it_sees_enough(data: st.DataObject) -> None:
    multiple, halo = data.draw(st.integers(1, 8)), data.draw(st.integers(0, 20))
    tile = multiple * data.draw(st.integers(-(-(2 * halo + multiple) // multiple), 60))
    picture = data.draw(st.integers(1, 2000))
    plan = tiling.plan(Size(picture, 1), Tiling(2, halo, multiple, Size(tile, multiple)))
    kept = 0
    for span in plan.rows:
        assert span.keep_from == kept
        assert span.start % multiple == 0
        assert 0 <= span.start <= plan.padded.height - tile
        assert span.start == 0 or span.keep_from - span.start >= halo
        assert span.start + tile == plan.padded.height or span.start + tile - span.keep_to >= halo
        kept = span.keep_to
    assert kept == picture


def test_a_huge_picture_is_streamed(tmp_path: Path) -> None:
    """8000x6000 at scale 3 is 1.3 GB restored: only a strip of it may be in memory."""
    image = np.broadcast_to(np.arange(6000, dtype=np.uint8)[None, :, None], (8000, 6000, 3))
    done: list[tuple[int, int]] = []
    tracemalloc.start()
    rows = 0
    for strip in tiling.strips(
        image, lambda part: part.repeat(3, 0).repeat(3, 1), Tiling(3, 9, 1, Size(360, 640)), lambda *s: done.append(s)
    ):
        assert strip.shape[1:] == (18000, 3)
        assert (strip[0, ::3, 0] == image[0, :, 0]).all()
        rows += strip.shape[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 24000
    assert done[-1][0] == done[-1][1] == len(done)
    assert peak < 400 << 20


def test_tiling_of_an_artifact() -> None:
    fixed = Tiling.of(SPEC, 3, TensorSpec("image", (1, 360, 640, 3), layout="NHWC"))
    free = Tiling.of(SPEC, 3, TensorSpec("image", (1, 3, "H", "W")))
    assert (fixed.size, fixed.halo, fixed.scale) == (Size(360, 640), SPEC.halo, 3)
    assert free.size is None


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 7), min_size=1, max_size=6), width=st.integers(1, 9))
def test_png_of_strips_reads_back_and_does_not_depend_on_the_cuts(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], width: int
) -> None:
    folder = tmp_path_factory.mktemp("png")
    image = photo(sum(cuts), width)
    size = Size(sum(cuts), width)
    save_strips(folder / "strips.png", size, np.split(image, np.cumsum(cuts)[:-1]))
    save_strips(folder / "whole.png", size, [image])
    np.testing.assert_array_equal(load_rgb(folder / "strips.png"), image)
    np.testing.assert_array_equal(load_rgb(folder / "whole.png"), image)


def test_strips_of_another_size_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="have 3 rows together, expected 4"):
        save_strips(tmp_path / "x.png", Size(4, 5), [photo(3, 5)])
    with pytest.raises(ValueError, match="expected rows of 5"):
        save_strips(tmp_path / "x.png", Size(4, 5), [photo(4, 6)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("side", [15, 17, 32])
def test_a_tile_of_another_size_is_no_mosaic(side: int) -> None:
    cut = Tiling(scale=2, halo=1, size=Size(8, 8))
    with pytest.raises(CheckFailed, match=rf"shape \({side}, {side}, 3\), not \(16, 16, 3\)"):
        tiling.restore(photo(20, 20), lambda _: photo(side, side), cut)
