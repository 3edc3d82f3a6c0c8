"""What the page feeds to a network is what ``run`` feeds to it: photos of all kinds, in Chromium.

PNG files are decoded by the page, and are equal to the level. Other formats are decoded by the browser: in Chromium
they were equal, too; of JPEG, whose decoders may round otherwise, a level is allowed.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from clearport.bundle.folder import Bundle
from clearport.pictures.images import load_picture, load_rgb
from clearport.pipeline.run import RunRequest, restore_picture
from device_tests.browser.opened import RUN_MS, Opened

SHAPE = (24, 20)
RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
GRAY = RNG.integers(0, 256, SHAPE, dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (*SHAPE, 4), dtype=np.uint16)
SMOOTH = np.asarray(Image.fromarray(COLORS[::6, ::5]).resize(SHAPE[::-1], Image.Resampling.BICUBIC))
D65 = [0.3127, 0.3290, 1.0]
P3 = bytes(
    imagecodecs.cms_profile(
        "rgb", whitepoint=D65, primaries=[0.680, 0.320, 1, 0.265, 0.690, 1, 0.150, 0.060, 1], gamma=2.2
    )
)
DARK_GRAY = bytes(imagecodecs.cms_profile("gray", whitepoint=D65, gamma=1.8))
PIXELS = """() => {
  const canvas = document.getElementById("before");
  const seen = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [seen.width, seen.height, btoa(String.fromCharCode(...seen.data))];
}"""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png(channels: int, profile: bytes = b"") -> Callable[[Path], object]:
    stored = np.ascontiguousarray(DEEP[..., :channels]) if channels > 1 else np.ascontiguousarray(DEEP[..., 0])
    data = imagecodecs.png_encode(stored)
    extra = chunk(b"iCCP", b"p\0\0" + zlib.compress(profile)) if profile else b""
    return lambda path: path.write_bytes(data[:33] + extra + data[33:])


def saved(picture: Image.Image, **options: object) -> Callable[[Path], None]:
    return lambda path: picture.save(path, **options)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def transparent_palette() -> Image.Image:
    picture = Image.fromarray(COLORS).quantize(16)
    picture.info["transparency"] = bytes(range(0, 256, 16))
    return picture


RGB, L = Image.fromarray(COLORS), Image.fromarray(GRAY)
RGBA = Image.fromarray(np.dstack([COLORS, GRAY]))
EXACT: dict[str, Callable[[Path], object]] = {
    "rgb.png": saved(RGB),
    "rgba.png": saved(RGBA),
    "gray.png": saved(L),
    "gray and alpha.png": saved(Image.merge("LA", (L, L))),
    "palette.png": saved(RGB.quantize(200)),
    "four bits.png": saved(RGB.quantize(9), bits=4),
    "transparent palette.png": saved(transparent_palette()),
    "one bit.png": saved(L.convert("1")),
    "one transparent color.png": saved(RGB, transparency=tuple(int(n) for n in COLORS[3, 4])),
    "deep gray.png": deep_png(1),
    "deep gray and alpha.png": deep_png(2),
    "deep.png": deep_png(3),
    "deep and alpha.png": deep_png(4),
    "deep p3.png": deep_png(3, P3),
    "p3.png": saved(RGB, icc_profile=P3),
    "p3 and alpha.png": saved(RGBA, icc_profile=P3),
    "gray profile.png": saved(L, icc_profile=DARK_GRAY),
    "gray of p3.png": saved(L, icc_profile=P3),
    "wrong profile.png": saved(RGB, icc_profile=DARK_GRAY),
    "broken profile.png": saved(RGB, icc_profile=b"nonsense"),
    **{f"turned {n}.png": saved(RGB, exif=turned(n)) for n in range(2, 9)},
    "lossless.webp": saved(RGB, lossless=True),
    "lossless p3.webp": saved(RGB, lossless=True, icc_profile=P3),
    "rgb.bmp": saved(RGB),
}
NEAR: dict[str, Callable[[Path], object]] = {
    "gray.jpg": saved(L, quality=95),
    "smooth.jpg": saved(Image.fromarray(SMOOTH), quality=95),
    "whole chroma.jpg": saved(RGB, quality=95, subsampling=0),
    "p3.jpg": saved(Image.fromarray(SMOOTH), quality=95, icc_profile=P3),
    "turned.jpg": saved(Image.fromarray(SMOOTH), quality=95, exif=turned(6)),
}


def fed(visitor: Opened, path: Path) -> np.ndarray:
    """What the page shows as the photo before it was restored, which is what it gave to the network."""
    page = visitor.page
    page.get_by_label("Choose a photo").set_input_files(path)
    page.locator("#photo-stage", has_text=re.compile("^(Restored in|That did not work)")).wait_for(timeout=RUN_MS)
    assert page.locator("#photo-stage").inner_text().startswith("Restored in")
    width, height, data = page.evaluate(PIXELS)
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[..., :3]


FAST = ("rgba.png", "transparent palette.png", "deep and alpha.png", "p3.png", "gray profile.png", "turned 6.png")


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in EXACT])
def test_the_page_reads_photos_to_the_level(visitor: Opened, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    EXACT[name](path)
    seen, expected = fed(visitor, path), load_picture(path)
    assert np.array_equal(seen, expected.pixels), np.abs(seen.astype(int) - expected.pixels).max()
    note = visitor.page.locator("#picture-note").inner_text()
    assert ("its transparency was dropped" in note) == ("its transparency was dropped" in expected.remarks)
    assert ("rounded to 8" in note) == any("rounded to 8" in remark for remark in expected.remarks)
    assert ("to sRGB" in note) == any("to sRGB" in remark for remark in expected.remarks)
    assert ("was ignored" in note) == any("was ignored" in remark for remark in expected.remarks)
    assert ("The photo is gray" in note) == expected.gray


@pytest.mark.slow
@pytest.mark.parametrize("name", NEAR)
def test_jpeg_is_the_browsers_own_within_levels(visitor: Opened, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    NEAR[name](path)
    assert np.abs(fed(visitor, path).astype(int) - load_rgb(path)).max() <= 1


def test_a_gray_photo_comes_out_gray_as_on_the_command_line(visitor: Opened, web: Bundle, tmp_path: Path) -> None:
    L.save(tmp_path / "gray.png")
    restore_picture(RunRequest(web.folder, (tmp_path / "gray.png",), tmp_path / "native.png", "tflite", "int8"))
    fed(visitor, tmp_path / "gray.png")
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Save as PNG").click()
    download.value.save_as(tmp_path / "page.png")
    assert np.array_equal(load_rgb(tmp_path / "page.png"), load_rgb(tmp_path / "native.png"))
    assert load_picture(tmp_path / "page.png").gray
