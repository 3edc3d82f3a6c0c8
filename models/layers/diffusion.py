"""The noise schedule of diffusion models: 1000 steps, linear (DDPM, arXiv 2006.11239), and the embedding of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Float32

STEPS = 1000
_FIRST, _LAST = 1e-4, 0.02


def kept() -> Float32:
    """Remaining share of the picture's variance after each of the ``STEPS`` (alpha-bar), float32 (1000,)."""
    return np.cumprod(1.0 - np.linspace(_FIRST, _LAST, STEPS, dtype=np.float64)).astype(np.float32)


def embedding(step: int, width: int) -> Float32:
    """The embedding of a step as cosines and sines, float32 (1, ``width``)."""
    half = width // 2
    angles = step * np.exp(-np.log(10000.0) * np.arange(half) / half)
    return np.concatenate([np.cos(angles), np.sin(angles)])[None].astype(np.float32)
