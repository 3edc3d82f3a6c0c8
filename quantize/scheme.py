"""The arithmetic of the int8 scheme: TFLite's int8 specification.

    https://ai.google.dev/edge/litert/models/quantization_spec

Weights int8 symmetric per output channel (-127..127), activations int8 asymmetric per tensor (-128..127), biases int32
at the scale of input times weight. All scales are float32, as stored in files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.quantized import QParams

if TYPE_CHECKING:
    from clearport.base import Array, Float32

LOW, HIGH = -128, 127
WEIGHT_HIGH = 127
WIDE_HIGH = 65535
FINER = WIDE_HIGH // (HIGH - LOW)
"""uint16 steps in one of int8 over the same range: 257, exactly."""
BIAS_HIGH = 2**23
"""Integers up to here are exact in float32, so that a bias on its grid can be stored as a float."""
WIDE_BIAS_HIGH = 2**30
"""The same for 16-bit activations, whose levels are so fine that float32 may be several levels off."""

_LEAST = float(np.finfo(np.float32).tiny) * 2**24
"""The smallest scale: the product of two stays a normal float32 number."""


_NOTHING = 1e-9
"""A tensor with a smaller span is treated as constant zero."""


def single(number: float) -> float:
    """The nearest float32, and at least ``_LEAST``."""
    return max(float(np.float32(number)), _LEAST)


def of_range(low: float, high: float) -> QParams:
    """Asymmetric int8 for real values ``low``..``high``; zero is always inside and exact.

    An all-zero range gets a scale of usual size: kernels cannot express the ratio of extreme scales.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < _NOTHING:
        high = 1.0
    scale = single((high - low) / (HIGH - LOW))
    return QParams((scale,), int(np.clip(np.rint(LOW - low / scale), LOW, HIGH)))


def wide(params: QParams) -> QParams:
    """The uint16 grid over the same real values as an int8 one: ``FINER`` steps in each."""
    scale = tuple(single(step / FINER) for step in params.scale)
    return QParams(scale, (params.zero_point - LOW) * FINER, "uint16")


def most_bias(source: QParams) -> int:
    """The largest integer of a bias beside inputs of ``source``."""
    return WIDE_BIAS_HIGH if source.dtype == "uint16" else BIAS_HIGH


def coarser(params: QParams, step: float) -> QParams:
    """The same with a larger scale, zero at the same end or about where it was in the range."""
    return QParams((single(step),), params.zero_point)


def symmetric(peaks: Array, axis: int | None) -> QParams:
    """Symmetric int8 whose largest level is ``peaks`` (one number, or one per channel of ``axis``).

    A channel of zeros gets the largest scale of the others: any scale is valid for it.
    """
    flat = np.asarray(peaks, np.float64).reshape(-1)
    filled = np.where(flat > 0, flat, flat.max() if flat.max() > 0 else 1.0)
    return QParams(tuple(single(p / WEIGHT_HIGH) for p in filled), 0, "int8", axis)


def bias(source: QParams, weight: QParams) -> QParams:
    """int32 at input scale times weight scale, per output channel."""
    return QParams(tuple(single(source.scale[0] * s) for s in weight.scale), 0, "int32", 0)


def column(params: QParams, rank: int) -> Float32:
    """The scales as float32, shaped to divide an array of ``rank`` axes."""
    shape = [1] * rank
    if params.axis is not None and rank:
        shape[params.axis] = len(params.scale)
    return np.asarray(params.scale, np.float32).reshape(shape)


def to_integers(real: Array, params: QParams) -> Array:
    """Real values to int8, uint16 or int32 levels: divided, rounded (halves to even), shifted, saturated."""
    limits = {"int8": (LOW, HIGH), "int32": (-(2**31), 2**31 - 1), "uint16": (0, WIDE_HIGH)}[params.dtype]
    levels = np.rint(real.astype(np.float64) / column(params, real.ndim)) + params.zero_point
    saturated: Array = np.clip(levels, *limits)
    return saturated.astype(params.dtype)


def to_real(levels: Array, params: QParams) -> Float32:
    """Levels to float32 values."""
    shifted = levels.astype(np.float32) - np.float32(params.zero_point)
    return np.asarray(shifted * column(params, levels.ndim), np.float32)


def snapped(real: Array, params: QParams) -> Float32:
    """The nearest values on the grid, as float32."""
    return to_real(to_integers(real, params), params)
