"""Light-enhancement curves: what Zero-DCE brightens pictures with (arXiv 2001.06826, 2103.00860)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

ITERATIONS = 8


def brighten(image: torch.Tensor, curves: Sequence[torch.Tensor]) -> torch.Tensor:
    """Apply x + a·(x² - x) once for each map ``a`` of ``curves``.

    ``image`` is (B, 3, H, W) in 0..1, and so is the result. Maps are (B, 3, H, W) in -1..1, where every such curve
    rises from (0, 0) to (1, 1), so that no step clips or turns an order of pixels around; negative values brighten.
    """
    for curve in curves:
        image = image + curve * (image * image - image)
    return image
