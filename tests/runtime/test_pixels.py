"""Pictures to tensors and back: exact for every level, in every number format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clearport.base import TensorSpec
from clearport.errors import BadInput, CheckFailed
from clearport.runtime import pixels

NCHW = TensorSpec("image", (1, 3, "H", "W"))
FORMATS = {
    "float 0..255": NCHW,
    "float 0..1": replace(NCHW, value_range=(0.0, 1.0)),
    "float -1..1": replace(NCHW, value_range=(-1.0, 1.0)),
    "half 0..1": replace(NCHW, value_range=(0.0, 1.0), dtype="float16"),
    "uint8": NCHW.with_dtype("uint8", 1.0, 0, "NHWC"),
    "int8": NCHW.with_dtype("int8", 1.0, -128, "NHWC"),
    "int8 0..1": replace(NCHW, value_range=(0.0, 1.0)).with_dtype("int8", 1.0 / 255.0, -128, "NCHW"),
    "BGR": replace(NCHW, color="BGR"),
}
IMAGES = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@pytest.mark.parametrize("spec", FORMATS.values(), ids=FORMATS.keys())
def test_every_level_survives(spec: TensorSpec) -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    tensor = pixels.to_tensor(image, spec)
    assert tensor.dtype == spec.dtype
    assert tensor.shape == ((1, 16, 16, 3) if spec.layout == "NHWC" else (1, 3, 16, 16))
    assert tensor.flags.c_contiguous
    np.testing.assert_array_equal(pixels.to_image(tensor, spec), image)


@given(image=IMAGES, name=st.sampled_from(sorted(FORMATS)))
def test_pictures_survive(image: np.ndarray, name: str) -> None:
    spec = FORMATS[name]
    np.testing.assert_array_equal(pixels.to_image(pixels.to_tensor(image, spec), spec), image)


def test_the_bytes_of_an_exact_image_scale_are_the_levels() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    np.testing.assert_array_equal(pixels.to_tensor(image, FORMATS["uint8"])[0], image)
    np.testing.assert_array_equal(pixels.to_tensor(image, FORMATS["int8"])[0], image.astype(np.int16) - 128)
    np.testing.assert_array_equal(pixels.to_tensor(image, FORMATS["BGR"])[0, 0], image[..., 2])


def test_ties_go_to_even_and_ends_saturate() -> None:
    spec = NCHW
    values = np.array([0.5, 1.5, 2.5, -0.6, 255.6, np.inf, -np.inf, 254.5], np.float32)
    tensor = np.broadcast_to(values, (1, 3, 1, 8))
    assert pixels.to_image(tensor, spec)[0, :, 0].tolist() == [0, 2, 2, 0, 255, 255, 0, 254]
    quantized = pixels.quantize(values.astype(np.float64)[None, None, None], FORMATS["int8"])
    assert quantized.ravel().tolist() == [-128, -126, -126, -128, 127, 127, -128, 126]


@given(
    q=arrays(np.int8, st.integers(1, 50)),
    scale=st.floats(1e-4, 10.0),
    zero_point=st.integers(-128, 127),
)
def test_quantize_undoes_dequantize(q: np.ndarray, scale: float, zero_point: int) -> None:
    spec = NCHW.with_dtype("int8", scale, zero_point, "NCHW")
    np.testing.assert_array_equal(pixels.quantize(pixels.dequantize(q, spec), spec), q)


def test_nan_is_no_color() -> None:
    with pytest.raises(CheckFailed, match="NaN"):
        pixels.to_image(np.full((1, 3, 2, 2), np.nan, np.float32), NCHW)


def test_another_size_is_refused_with_both_sizes() -> None:
    spec = replace(NCHW, shape=(1, 3, 360, 640))
    with pytest.raises(BadInput, match=r"requires pictures of 360x640 .* got 1x1"):
        pixels.to_tensor(np.zeros((1, 1, 3), np.uint8), spec)


def test_integers_without_a_scale_are_refused() -> None:
    with pytest.raises(BadInput, match="without a scale"):
        pixels.to_tensor(np.zeros((1, 1, 3), np.uint8), replace(NCHW, dtype="uint8"))
