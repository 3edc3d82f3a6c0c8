"""Marked photos, on which a reader of watermarks is calibrated and proven, since it reads only noise from others."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from clearport.models import weights
from clearport.models.data.degrade import Degraded
from clearport.models.layers.watermark import BITS, PERIOD, Watermark
from clearport.registry import NETWORKS

if TYPE_CHECKING:
    from clearport.pictures.images import Image8


class Marked:
    """Embeds random bits into photos, with the bundled embedder."""

    def __init__(self, seed: int) -> None:
        del seed  # no bank is drawn in advance

    @cached_property
    def _network(self) -> Watermark:
        found = weights.load(NETWORKS.get("wmembed"), 1).module
        assert isinstance(found, Watermark)
        return found

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """A photo, uint8 RGB (H, W, 3), with a mark."""
        import torch

        height, width = photo.shape[:2]
        whole = np.pad(photo, ((0, -height % PERIOD), (0, -width % PERIOD), (0, 0)), mode="edge")
        bits = torch.from_numpy(rng.integers(0, 2, (1, BITS)).astype(np.float32))
        with torch.inference_mode():
            marked = self._network.embedder(torch.from_numpy(whole).permute(2, 0, 1)[None] / 255.0, bits)[0]
        levels = (255.0 * marked).round().byte().permute(1, 2, 0).numpy()
        return Degraded(np.ascontiguousarray(levels[:height, :width]))


DEGRADER = Marked
