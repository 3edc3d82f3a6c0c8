"""Pictures with 16 bits, gray, alpha, orientation, CMYK and color profiles, against formulas written here."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from clearport.errors import BadInput
from clearport.pictures import decode as image_decode
from clearport.pictures.images import as_gray, load_picture, load_rgb, picture_size

RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (24, 20, 3), dtype=np.uint8)
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
DEEP = RNG.integers(0, 65536, (24, 20, 4), dtype=np.uint16)
D65 = (0.3127, 0.3290)
PRIMARIES = {
    "srgb": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    "adobe": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
}


def rounded(levels: np.ndarray, white: int = 65535) -> np.ndarray:
    return np.floor(levels.astype(np.float64) * 255 / white + 0.5).astype(np.uint8)


def profile_of(name: str, gamma: float) -> bytes:
    flat = [value for x, y in PRIMARIES[name] for value in (x, y, 1.0)]
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=[*D65, 1.0], primaries=flat, gamma=gamma))


def to_xyz(name: str) -> np.ndarray:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in PRIMARIES[name]]).T
    white = np.array([D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]])
    return columns * np.linalg.solve(columns, white)


def encoded(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, in levels."""
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_is_rounded(channels: int, tmp_path: Path) -> None:
    stored = np.ascontiguousarray(DEEP[..., :channels]) if channels > 1 else DEEP[..., 0]
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(stored)))
    found = load_picture(tmp_path / "a.png")
    expected = rounded(DEEP[..., :3] if channels > 2 else np.repeat(DEEP[..., :1], 3, 2))
    assert np.array_equal(found.pixels, expected)
    assert found.gray == (channels < 3)
    assert ("its transparency was dropped" in found.remarks) == (channels in {2, 4})


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_tiff_is_rounded(compression: str | None, planar: str, order: str, tmp_path: Path) -> None:
    stored = DEEP[..., :3] if planar == "contig" else DEEP[..., :3].transpose(2, 0, 1)
    options = {"photometric": "rgb", "planarconfig": planar, "compression": compression, "byteorder": order}
    tifffile.imwrite(tmp_path / "a.tif", stored.astype(f"{order}u2"), **options)
    assert np.array_equal(load_rgb(tmp_path / "a.tif"), rounded(DEEP[..., :3]))


def test_twelve_bit_tiff_is_rounded(tmp_path: Path) -> None:
    stored = DEEP[..., :3] >> 4
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", bitspersample=12)
    assert np.array_equal(load_rgb(tmp_path / "a.tif"), rounded(stored, 4095))
    assert picture_size(tmp_path / "a.tif") == (24, 20)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_white_may_be_zero(dtype: str, photometric: str, tmp_path: Path) -> None:
    stored = RAMP.astype(dtype) * np.array(257 if dtype == "uint16" else 1, dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric)
    found = load_picture(tmp_path / "a.tif")
    assert np.array_equal(found.pixels[..., 0], RAMP if photometric == "minisblack" else 255 - RAMP)
    assert found.gray


@pytest.mark.parametrize("dtype", ["uint32", "int32", "int16", "int8", "float32", "float64", "float16"])
def test_numbers_without_a_range_are_refused(dtype: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RAMP.astype(dtype))
    with pytest.raises(BadInput, match=r"a\.tif.*no standard range; convert it"):
        load_rgb(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA"])
def test_modes_of_png_and_tiff(mode: str, tmp_path: Path) -> None:
    gray = mode in {"1", "L", "LA"}
    picture = Image.fromarray(RAMP if gray else COLORS).convert("RGB" if mode == "PA" else mode)
    expected = np.asarray(picture.convert("RGB"))
    if mode == "PA":
        picture = picture.quantize(256)
        expected = np.asarray(picture.convert("RGB"))
        picture.info["transparency"] = bytes(range(256))
    elif mode.endswith("A"):
        picture.putalpha(Image.fromarray(np.resize(RAMP, picture.size[::-1])))
    picture.save(tmp_path / "a.png")
    found = load_picture(tmp_path / "a.png")
    assert np.array_equal(found.pixels, expected)
    assert found.gray == gray
    assert ("its transparency was dropped" in found.remarks) == mode.endswith("A")
    if mode != "PA":
        picture.save(tmp_path / "a.tif")
        assert np.array_equal(load_rgb(tmp_path / "a.tif"), expected)


def test_full_opacity_is_nothing_to_speak_of(tmp_path: Path) -> None:
    Image.fromarray(COLORS).convert("RGBA").save(tmp_path / "a.png")
    assert load_picture(tmp_path / "a.png").remarks == ()


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(orientation: int, suffix: str, tmp_path: Path) -> None:
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(COLORS).save(path, exif=exif, **options)
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert np.array_equal(load_rgb(path), expected)
    assert picture_size(path) == expected.shape[:2]


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("space", ["p3", "adobe"])
def test_color_profiles_are_converted(space: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    Image.fromarray(COLORS).save(path, **options)
    stored = load_rgb(path)
    Image.fromarray(COLORS).save(path, icc_profile=profile_of(space, 2.2), **options)
    found = load_picture(path)
    linear = (stored / 255.0) ** 2.2 @ (np.linalg.inv(to_xyz("srgb")) @ to_xyz(space)).T
    # A level: LittleCMS computes 8-bit pictures with 14 bits, and rounds the curves of profiles.
    assert np.abs(found.pixels - encoded(linear)).max() <= 1.0
    assert np.abs(found.pixels.astype(int) - stored).max() > 20
    assert any("to sRGB" in remark for remark in found.remarks)


def test_a_deep_picture_has_a_profile_too(tmp_path: Path) -> None:
    deep = np.ascontiguousarray(DEEP[..., :3])
    for name in ("a.png", "a.tif"):
        if name == "a.tif":
            tifffile.imwrite(tmp_path / name, deep, photometric="rgb", iccprofile=profile_of("p3", 2.2))
        else:
            Image.fromarray(rounded(deep)).save(tmp_path / "eight.png", icc_profile=profile_of("p3", 2.2))
            expected = load_rgb(tmp_path / "eight.png")
            data = imagecodecs.png_encode(deep)
            packed = b"p\0\0" + zlib.compress(profile_of("p3", 2.2))
            chunk = struct.pack(">I", len(packed)) + b"iCCP" + packed + struct.pack(">I", zlib.crc32(b"iCCP" + packed))
            (tmp_path / name).write_bytes(data[:33] + chunk + data[33:])
        assert np.array_equal(load_rgb(tmp_path / name), expected)


def test_gray_profiles_stay_gray(tmp_path: Path) -> None:
    profile = bytes(imagecodecs.cms_profile("gray", whitepoint=[*D65, 1.0], gamma=1.8))
    Image.fromarray(RAMP).save(tmp_path / "a.png", icc_profile=profile)
    found = load_picture(tmp_path / "a.png")
    assert found.gray
    assert np.abs(found.pixels[..., 0] - encoded((RAMP / 255.0) ** 1.8)).max() <= 1.5


def test_srgb_in_any_words_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(COLORS).save(tmp_path / "a.png", icc_profile=profile)
    found = load_picture(tmp_path / "a.png")
    assert np.array_equal(found.pixels, COLORS)
    assert found.remarks == ()


@pytest.mark.parametrize("profile", [b"nonsense", b"", profile_of("p3", 2.2)[:200], bytes(400)])
def test_a_broken_profile_is_ignored_with_a_remark(profile: bytes, tmp_path: Path) -> None:
    Image.fromarray(COLORS).save(tmp_path / "a.png", icc_profile=profile)
    found = load_picture(tmp_path / "a.png")
    assert np.array_equal(found.pixels, COLORS)
    assert any("was ignored" in remark for remark in found.remarks) == bool(profile)


def test_a_profile_of_another_kind_of_picture_is_ignored(tmp_path: Path) -> None:
    profile = bytes(imagecodecs.cms_profile("gray", whitepoint=[*D65, 1.0], gamma=1.8))
    Image.fromarray(COLORS).save(tmp_path / "a.png", icc_profile=profile)
    found = load_picture(tmp_path / "a.png")
    assert np.array_equal(found.pixels, COLORS)
    assert any("for L pictures and was ignored" in remark for remark in found.remarks)


def test_print_colors(tmp_path: Path) -> None:
    Image.fromarray(COLORS).convert("CMYK").save(tmp_path / "a.tif")
    found = load_picture(tmp_path / "a.tif")
    assert np.array_equal(found.pixels, COLORS)
    assert any("approximate" in remark for remark in found.remarks)
    smooth = np.asarray(Image.fromarray(COLORS).resize((80, 96), Image.Resampling.BICUBIC))
    Image.fromarray(smooth).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    assert np.abs(load_rgb(tmp_path / "a.jpg").astype(int) - smooth).max() < 12
    Image.fromarray(COLORS).convert("YCbCr").save(tmp_path / "b.tif")
    assert np.abs(load_rgb(tmp_path / "b.tif").astype(int) - COLORS).max() <= 4
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    calm = np.asarray(Image.fromarray(COLORS // 4 + 96))
    ImageCms.applyTransform(Image.fromarray(calm), lab).save(tmp_path / "c.tif")
    assert np.abs(load_rgb(tmp_path / "c.tif").astype(int) - calm).max() <= 4


def bomb(width: int, height: int) -> bytes:
    """A PNG of one color, as large as its header says, and small on disk."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(9), bytes(1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_pixels_have_a_limit_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert image_decode.MOST_PIXELS > 16320 * 12240  # a phone's 200 megapixels
    limit = Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(image_decode, "MOST_PIXELS", 1000)
    (tmp_path / "a.png").write_bytes(bomb(40, 25))
    assert load_rgb(tmp_path / "a.png").shape == (25, 40, 3)
    (tmp_path / "b.png").write_bytes(bomb(40, 26))
    with pytest.raises(BadInput, match=r"b\.png: more than 0 megapixels"):
        load_rgb(tmp_path / "b.png")
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.timeout(30)  # a pipe that nobody writes to is waited for
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
def test_anything_but_a_file_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    with pytest.raises(BadInput, match=r"a\.png: expected a picture file"):
        load_rgb(tmp_path / "a.png")
    with pytest.raises(BadInput, match="expected a picture file"):
        picture_size(tmp_path / "a.png")


@pytest.mark.slow  # decodes 108 megapixels
def test_a_large_photo_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bomb(12000, 9000))
    assert load_rgb(tmp_path / "a.png").shape == (9000, 12000, 3)


def sample(suffix: str) -> bytes:
    file = io.BytesIO()
    if suffix == "deep.tif":
        tifffile.imwrite(file, DEEP[..., :3], photometric="rgb", iccprofile=profile_of("p3", 2.2))
    elif suffix == "deep.png":
        return bytes(imagecodecs.png_encode(np.ascontiguousarray(DEEP)))
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
        Image.fromarray(COLORS).save(file, kind, exif=exif, icc_profile=profile_of("p3", 2.2))
    return file.getvalue()


@settings(max_examples=150, deadline=None)
@given(
    suffix=st.sampled_from(["png", "jpg", "tif", "webp", "deep.png", "deep.tif"]),
    flips=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 255)), max_size=4),
    cut=st.integers(0, 3000),
)
def test_damaged_pictures_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, flips: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(sample(suffix))
    for place, change in flips:
        data[place % len(data)] ^= change
    path = tmp_path_factory.mktemp("bad") / f"a.{suffix}"
    path.write_bytes(data[: len(data) - cut % 50])
    for read in (load_picture, picture_size):
        with contextlib.suppress(BadInput):
            read(path)


def test_the_luma_of_gray_is_itself() -> None:
    assert np.array_equal(as_gray(np.repeat(RAMP[..., None], 3, 2)), np.repeat(RAMP[..., None], 3, 2))
    luma = np.asarray(Image.fromarray(COLORS).convert("L")).astype(int)
    assert np.abs(as_gray(COLORS)[..., 1].astype(int) - luma).max() <= 1  # Pillow's weights have 16 bits
