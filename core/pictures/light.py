"""Linear light of high dynamic range: its transfer function, tone mapping and PSNR.

Light is 0..1, where 1 is the clipping point of a bracket's shortest exposure. Networks output ``light ** (1 / 2.2)``,
of which a camera's pixels (with about that exponent) are a multiple, and which keeps precision in dark areas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Array, Float32
    from clearport.pictures.images import Image8

GAMMA = 2.2
MU = 5000.0
"""Parameter of the mu-law for PSNR of high dynamic range (Kalantari and Ramamoorthi 2017, arXiv 2205.12633)."""


def linear(values: Array) -> Float32:
    """Values in ``gamma-2.2``, any shape, as linear light; values outside 0..1 are clipped."""
    return np.asarray(np.clip(values, 0.0, 1.0).astype(np.float32) ** GAMMA, np.float32)


def encoded(light: Array) -> Float32:
    """Linear light 0..1 in ``gamma-2.2``."""
    return np.asarray(np.clip(light, 0.0, 1.0).astype(np.float32) ** (1.0 / GAMMA), np.float32)


def mu_law(light: Array) -> Array:
    """Linear light 0..1 as log(1 + 5000 light) / log(5001), float64 in 0..1."""
    return np.asarray(np.log1p(MU * np.asarray(light, np.float64)) / np.log1p(MU))


def tone_mapped(values: Array) -> Image8:
    """Values (H, W, 3) in ``gamma-2.2`` as a uint8 picture for display: the mu-law of their light."""
    return np.rint(255.0 * mu_law(linear(values))).astype(np.uint8)


def psnr_db(given: Array, wanted: Array) -> float:
    """PSNR in dB of two arrays in 0..1, peak 1, at most 100."""
    error = float(np.mean((np.asarray(given, np.float64) - np.asarray(wanted, np.float64)) ** 2))
    return min(100.0, 10.0 * float(np.log10(1.0 / error))) if error else 100.0
