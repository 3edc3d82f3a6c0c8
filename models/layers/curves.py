"""Light-enhancement curves of Zero-DCE (arXiv 2001.06826, 2103.00860)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

ITERATIONS = 8


def brighten(image: torch.Tensor, curves: Sequence[torch.Tensor]) -> torch.Tensor:
    """Apply x + a·(x² - x) once for each map ``a`` of ``curves``.

    ``image`` and the result are (B, 3, H, W) in 0..1. Maps are (B, 3, H, W) in -1..1, for which every curve increases
    monotonically from (0, 0) to (1, 1), so that no step clips or reverses the order of pixels; negative values
    brighten.
    """
    for curve in curves:
        image = image + curve * (image * image - image)
    return image
