"""Conversion between pictures and raw tensors, by ``TensorSpec``.

A level L of 0..255 stands for the real value ``lo + L * (hi - lo) / 255`` of ``value_range``. Integer tensors hold
``q = real / scale + zero_point``. Every rounding here is to the nearest integer, ties to even (IEEE 754, and what
``numpy.rint`` and ``torch.round`` do; MATLAB and TensorFlow's ``tf.round`` of old kernels round ties up), then
saturation to the ends of the type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.errors import BadInput, CheckFailed
from clearport.graph.feeds import stored_colors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from clearport.base import Array, Float32, TensorSpec
    from clearport.pictures.images import Image8

FLOATS = ("float32", "float16")
_PICTURE_AXES = 4
INTEGERS = ("uint8", "int8")


def tensors(sample: Mapping[str, Array], specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """A sample (``graph.feeds``) as the raw inputs of an artifact.

    Raises:
        BadInput: an input is missing, or the artifact expects another size or shape; the message states both.
    """
    absent = [spec.name for spec in specs if spec.name not in sample]
    if absent:
        raise BadInput(f"input {absent[0]!r} is missing; given: {', '.join(sample) or 'nothing'}")
    return {s.name: (to_tensor if s.is_picture else of_values)(sample[s.name], s) for s in specs}


def of_values(values: Array, spec: TensorSpec) -> Array:
    """Real values or integers, in the shape and axis order of the network (NCHW), as the raw tensor of an artifact.

    Raises:
        BadInput: the artifact takes another shape.
    """
    moved = values.transpose(0, 2, 3, 1) if spec.layout == "NHWC" and values.ndim == _PICTURE_AXES else values
    fits = len(moved.shape) == len(spec.shape) and all(
        isinstance(n, str) or n == have for n, have in zip(spec.shape, moved.shape, strict=True)
    )
    if not fits:
        took = "x".join(map(str, spec.shape)) or "one number"
        raise BadInput(f"input {spec.name!r} has shape {took} ({spec.layout}); given: {list(moved.shape)}")
    made = moved.astype(spec.dtype) if spec.kind == "index" else quantize(moved, spec)
    return np.ascontiguousarray(made).reshape(moved.shape)


def to_values(tensor: Array, spec: TensorSpec) -> Array:
    """The real values or integers of a raw tensor, in the axis order of the network (NCHW)."""
    moved = tensor.transpose(0, 3, 1, 2) if spec.layout == "NHWC" and tensor.ndim == _PICTURE_AXES else tensor
    return np.ascontiguousarray(moved if spec.kind == "index" else dequantize(moved, spec)).reshape(moved.shape)


def to_tensor(image: Image8, spec: TensorSpec) -> Array:
    """``image`` (H, W, C) uint8 in RGB(A) as a tensor of batch 1 in the dtype and layout of ``spec``.

    Raises:
        BadInput: the artifact takes another size; the message states both.
    """
    _check_fits(image, spec)
    picture = stored_colors(image, spec.color)
    tensor = _values_of_levels(spec)[picture][None]  # (1, H, W, C)
    return np.asarray(tensor if spec.layout == "NHWC" else tensor.transpose(0, 3, 1, 2), order="C")


def to_image(tensor: Array, spec: TensorSpec) -> Image8:
    """The picture (H, W, C) uint8 RGB(A) of a raw ``tensor`` of batch 1: rounded to levels and clipped to 0..255.

    Raises:
        CheckFailed: the tensor contains NaN.
    """
    levels = to_levels(tensor, spec)
    if np.isnan(levels).any():
        raise CheckFailed(f"tensor {spec.name!r} contains NaN")
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def to_map(tensor: Array, spec: TensorSpec) -> Float32:
    """The real values (H, W, C) of a raw map of batch 1.

    Raises:
        CheckFailed: the tensor contains NaN.
    """
    values = to_values(tensor, spec)[0].transpose(1, 2, 0)
    if np.isnan(values).any():
        raise CheckFailed(f"tensor {spec.name!r} contains NaN")
    return np.ascontiguousarray(values, np.float32)


def to_levels(tensor: Array, spec: TensorSpec) -> Float32:
    """A raw ``tensor`` of batch 1 as (H, W, C) float32 RGB(A) in 8-bit levels, neither rounded nor clipped."""
    if tensor.ndim != _PICTURE_AXES or tensor.shape[0] != 1:
        raise BadInput(f"tensor {spec.name!r} has shape {tensor.shape}, expected one picture of four axes")
    picture = tensor[0] if spec.layout == "NHWC" else tensor[0].transpose(1, 2, 0)  # (H, W, C)
    picture = stored_colors(picture, spec.color)
    low = np.float32(spec.span[0])
    levels = (dequantize(picture, spec) - low) / np.float32(spec.pixel_step)
    return np.ascontiguousarray(levels, dtype=np.float32)


def dequantize(tensor: Array, spec: TensorSpec) -> Float32:
    """The real values of a raw tensor, float32, in its own layout."""
    if spec.dtype in FLOATS:
        return tensor.astype(np.float32)
    scale, zero_point = _quantization(spec)
    return (tensor.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def quantize(real: npt.NDArray[np.floating], spec: TensorSpec) -> Array:
    """Real values in the layout of ``spec`` as its raw numbers, rounded half to even and saturated."""
    if spec.dtype in FLOATS:
        return real.astype(spec.dtype)
    scale, zero_point = _quantization(spec)
    ends = np.iinfo(spec.dtype)
    # float64 keeps ties exact: level * step / scale is then an integer whenever the scale is that of the pixel.
    steps = np.rint(real.astype(np.float64) / scale) + zero_point
    return np.asarray(np.clip(steps, ends.min, ends.max), dtype=spec.dtype)


def image_size(spec: TensorSpec) -> tuple[int | str, int | str]:
    """(height, width) of ``spec``; symbols for dynamic sides."""
    height, width = (1, 2) if spec.layout == "NHWC" else (2, 3)
    return spec.shape[height], spec.shape[width]


def _values_of_levels(spec: TensorSpec) -> Array:
    """Lookup table from the 256 levels to tensor values: (256,) in the tensor's dtype."""
    low, high = spec.span
    return quantize(low + np.arange(256, dtype=np.float64) * (high - low) / 255.0, spec)


def _quantization(spec: TensorSpec) -> tuple[float, int]:
    if spec.dtype not in INTEGERS:
        raise BadInput(f"tensor {spec.name!r} is {spec.dtype}; expected one of {', '.join(FLOATS + INTEGERS)}")
    if spec.scale is None or spec.zero_point is None:
        raise BadInput(f"tensor {spec.name!r} is {spec.dtype} without a scale and zero point")
    return spec.scale, spec.zero_point


def _check_fits(image: Image8, spec: TensorSpec) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != spec.channels:
        raise BadInput(f"expected a picture (H, W, {spec.channels}) of uint8, got {image.shape} of {image.dtype}")
    wanted = image_size(spec)
    fits = all(isinstance(n, str) or n == have for n, have in zip(wanted, image.shape[:2], strict=True))
    if not fits:
        took, got = "x".join(map(str, wanted)), "x".join(map(str, image.shape[:2]))
        raise BadInput(f"the artifact requires pictures of {took} (height x width), got {got}")
