"""The page's arithmetic on pictures against Python's, number by number: pixels, tiles, parity, percentiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import Size, TensorSpec
from clearport.errors import BadInput
from clearport.runtime import parity, pixels, tiling
from clearport.runtime.parity import Tolerance
from tests.runtime.devices.browser.page_functions import Ask, PageError


def plain(spec: TensorSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in TensorSpec.__dataclass_fields__}


def pictures(most: int = 12) -> st.SearchStrategy[np.ndarray]:
    sides = st.integers(1, most)
    return st.tuples(sides, sides, st.integers(0, 2**32 - 1)).map(
        lambda t: np.random.default_rng(t[2]).integers(0, 256, (t[0], t[1], 3), np.uint8)
    )


def spec(dtype: str, layout: str, color: str, reach: tuple[float, float]) -> TensorSpec:
    shape = (1, "H", "W", 3) if layout == "NHWC" else (1, 3, "H", "W")
    made = TensorSpec("t", shape, "float32", layout, color, reach)  # type: ignore[arg-type]  # one of the two
    if dtype == "float32":
        return made
    zero = round(-reach[0] / made.pixel_step) - (128 if dtype == "int8" else 0)
    return TensorSpec("t", shape, dtype, layout, color, reach, made.pixel_step, zero)  # type: ignore[arg-type]


specs = st.builds(
    spec,
    st.sampled_from(["float32", "uint8", "int8"]),
    st.sampled_from(["NCHW", "NHWC"]),
    st.sampled_from(["RGB", "BGR"]),
    st.sampled_from([(0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)]),
)

TO_TENSOR = (
    "return Array.from(page.toTensor({...given.picture, data: Uint8Array.from(given.picture.data)}, given.spec))"
)
TO_PICTURE = """
const type = {float32: Float32Array, uint8: Uint8Array, int8: Int8Array}[given.spec.dtype];
return Array.from(page.toPicture(type.from(given.values), given.spec, given.width, given.height).data)
"""


def picture(image: np.ndarray) -> dict[str, Any]:
    return {"width": image.shape[1], "height": image.shape[0], "data": image.ravel().tolist()}


@settings(max_examples=60, deadline=None)
@given(image=pictures(), of=specs)
def test_pictures_become_the_same_tensors(ask: Ask, image: np.ndarray, of: TensorSpec) -> None:
    mine = pixels.to_tensor(image, of)
    theirs = np.asarray(ask(TO_TENSOR, picture=picture(image), spec=plain(of)), mine.dtype)
    assert np.array_equal(theirs, mine.ravel())


@settings(max_examples=80, deadline=None)
@given(of=specs, size=st.tuples(st.integers(1, 9), st.integers(1, 9)), seed=st.integers(0, 2**32 - 1))
def test_tensors_become_the_same_pictures(ask: Ask, of: TensorSpec, size: tuple[int, int], seed: int) -> None:
    """Values beyond black and white, and halves between levels, among them."""
    height, width = size
    shape = (1, height, width, 3) if of.layout == "NHWC" else (1, 3, height, width)
    rng = np.random.default_rng(seed)
    if of.dtype == "float32":
        levels = rng.choice([rng.uniform(-20, 275), rng.integers(0, 256) + 0.5, -3.0, 300.0], shape)
        tensor = (of.value_range[0] + levels * of.pixel_step).astype(np.float32)
    else:
        ends = np.iinfo(of.dtype)
        tensor = rng.integers(ends.min, ends.max + 1, shape).astype(of.dtype)
    mine = pixels.to_image(tensor, of)
    values = {"values": tensor.ravel().tolist(), "spec": plain(of), "width": width, "height": height}
    assert ask(TO_PICTURE, **values) == mine.ravel().tolist()


def test_nan_is_no_picture(ask: Ask) -> None:
    of = plain(spec("float32", "NHWC", "RGB", (0.0, 255.0)))
    with pytest.raises(PageError, match="has NaN"):
        ask("return page.toPicture(Float32Array.of(1, NaN, 3), given.spec, 1, 1)", spec=of)


@given(st.floats(-1e6, 1e6).map(lambda x: round(x * 2) / 2) | st.floats(-1e6, 1e6))
def test_ties_are_rounded_to_even(ask: Ask, value: float) -> None:
    assert ask("return page.rint(given.value)", value=value) == float(np.rint(value))


tilings = st.builds(
    tiling.Tiling,
    scale=st.integers(1, 3),
    halo=st.integers(0, 6),
    multiple=st.sampled_from([1, 2, 4]),
    size=st.none() | st.builds(Size, st.sampled_from([8, 16, 20]), st.sampled_from([8, 12, 24])),
    whole_pixels=st.integers(64, 900),
)
RULES = """
const { tiling, fixed, height, width } = given;
return page.plan({ height, width }, tiling, fixed)
"""


def rules(of: tiling.Tiling) -> dict[str, Any]:
    fixed = None if of.size is None else {"height": of.size.height, "width": of.size.width}
    own = {"scale": of.scale, "halo": of.halo, "multiple": of.multiple, "whole_pixels": of.whole_pixels}
    return {"tiling": own, "fixed": fixed}


@settings(max_examples=150, deadline=None)
@given(of=tilings, height=st.integers(1, 90), width=st.integers(1, 90))
def test_pictures_are_cut_alike(ask: Ask, of: tiling.Tiling, height: int, width: int) -> None:
    try:
        mine = tiling.plan(Size(height, width), of)
    except BadInput:
        with pytest.raises(PageError, match="cannot be tiled"):
            ask(RULES, **rules(of), height=height, width=width)
        return
    theirs = ask(RULES, **rules(of), height=height, width=width)
    assert theirs["tile"] == {"height": mine.tile.height, "width": mine.tile.width}
    for line, spans in (("rows", mine.rows), ("columns", mine.columns)):
        expected = [{"start": s.start, "keepFrom": s.keep_from, "keepTo": s.keep_to} for s in spans]
        assert theirs[line] == expected


RESTORE = """
const blown = (tile) => {
  const n = given.tiling.scale, width = tile.width * n, height = tile.height * n;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) {
    const from = (Math.floor(y / n) * tile.width + Math.floor(x / n)) * 3 + c;
    data[(y * width + x) * 3 + c] = 255 - tile.data[from];
  }
  return Promise.resolve({ width, height, data });
};
const photo = { ...given.picture, data: Uint8Array.from(given.picture.data) };
const whole = await page.restore(photo, blown, given.tiling, given.fixed, () => true);
return { ...whole, data: Array.from(whole.data) };
"""


@settings(max_examples=40, deadline=None)
@given(image=pictures(40), of=tilings)
def test_tiles_are_put_together_alike(ask: Ask, image: np.ndarray, of: tiling.Tiling) -> None:
    """By a network that enlarges and inverts, which shows every pixel that is out of its place."""
    try:
        tiling.plan(Size(*image.shape[:2]), of)
    except BadInput:
        return
    theirs = ask(RESTORE, picture=picture(image), **rules(of))
    expected = np.repeat(np.repeat(255 - image, of.scale, 0), of.scale, 1)
    assert (theirs["height"], theirs["width"]) == expected.shape[:2]
    assert theirs["data"] == expected.ravel().tolist()


@given(height=st.integers(1, 9), width=st.integers(1, 9), more=st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_pixels_beyond_the_image_are_mirrored(ask: Ask, height: int, width: int, more: tuple[int, int]) -> None:
    """Several times over, where the picture is much smaller than the tile."""
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    size = {"height": height + more[0], "width": width + more[1]}
    code = "const p = {...given.picture, data: Uint8Array.from(given.picture.data)};"
    theirs = ask(code + "return Array.from(page.tileOf(p, 0, 0, given.size).data)", picture=picture(image), size=size)
    mine = np.pad(image, ((0, more[0]), (0, more[1]), (0, 0)), mode="symmetric")
    assert theirs == mine.ravel().tolist()


COMPARE = """
const [a, b] = [given.a, given.b].map((p) => ({ ...p, data: Uint8Array.from(p.data) }));
const found = page.compare(a, b, given.grid);
return { found, failures: page.failures(found, given.limits) };
"""


@settings(max_examples=60, deadline=None)
@given(
    image=pictures(40),
    step=st.integers(0, 40),
    limit=st.floats(0, 40),
    share=st.none() | st.floats(0, 1),
    grid=st.integers(1, 4),
)
def test_parity_is_judged_alike(
    ask: Ask, image: np.ndarray, step: int, limit: float, share: float | None, grid: int
) -> None:
    image = np.ascontiguousarray(image[: len(image) // grid * grid or 1, : image.shape[1] // grid * grid or 1])
    grid = grid if min(image.shape[:2]) >= grid else 1
    rng = np.random.default_rng(step)
    other = np.clip(image.astype(int) + rng.integers(-step, step + 1, image.shape), 0, 255).astype(np.uint8)
    limits = Tolerance(
        "for the test",
        max_abs=limit,
        mean_lsb=limit / 3,
        min_psnr_db=48 - limit,
        min_exact_share=share,
        max_block_lsb=limit / 9,
        max_grid_lsb=share,
        min_sqnr_db=limit,
    )
    fields = {name: getattr(limits, name) for name in Tolerance.__dataclass_fields__}
    theirs = ask(COMPARE, a=picture(image), b=picture(other), limits=fields, grid=grid)
    golden = parity.Reference("", other.astype(np.float32), grid=grid)
    bare = replace(parity.measure(image.astype(np.float32), golden, "8-bit pictures"), tolerance=limits)
    for name in theirs["found"]:
        assert theirs["found"][name] == pytest.approx(getattr(bare, name), abs=1e-9)
    assert len(theirs["failures"]) == len(parity.judge(bare).failures)


@given(samples=st.lists(st.floats(0, 1e4), min_size=1, max_size=60), percent=st.floats(0, 100))
def test_percentiles_are_those_of_numpy(ask: Ask, samples: list[float], percent: float) -> None:
    theirs = ask("return page.percentile(given.samples, given.percent)", samples=samples, percent=percent)
    assert theirs == pytest.approx(float(np.percentile(samples, percent)), abs=1e-9)
