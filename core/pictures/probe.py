"""The probe: a picture of noise, gradients, waves and flat blocks, for cases that photos do not cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Size
    from clearport.pictures.images import Image8


def probe_picture(size: Size) -> Image8:
    """Noise, gradients, waves and flat blocks in quarters, uint8 (H, W, 3); deterministic.

    Edges are as steep as a photo's and colors as strong: at edges between saturated colors RLFN loses all precision
    (PyTorch and OpenVINO, both in float32, differ by 2 levels, float16 by 255), so that correct files would fail there.
    """
    height, width = size.height, size.width
    generator = np.random.default_rng(7)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = np.sin(12 * x[..., None] * np.arange(1, 4)) * np.cos(9 * y[..., None])
    grid = (-(-height // 8), -(-width // 8))
    blocks = generator.choice([16, 64, 128, 192, 240], size=(*grid, 1)) + generator.integers(-16, 17, (*grid, 3))
    parts = (
        128 + 40 * generator.standard_normal((height, width, 3)),
        np.stack([255 * x, 255 * y, 255 * (1 - x)], axis=-1),
        128 + 60 * waves + 8 * generator.standard_normal((height, width, 3)),
        blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width],
    )
    quarter = 2 * (np.arange(height) >= height // 2)[:, None] + (np.arange(width) >= width // 2)
    picture = np.select([(quarter == i)[..., None] for i in range(len(parts))], parts)
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)
