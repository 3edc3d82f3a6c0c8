"""How good a network is on held-back pictures, and a picture of what it makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from clearport.models.data.pair import Pair
from clearport.models.metrics import psnr_db, to_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.pictures.images import Image8

_MOST_SHOWN = 6
_GAP = 4


@dataclass(frozen=True)
class Judgment:
    """Mean PSNR in dB, RGB and BT.601 luma, of the pairs that have targets; not a number if none has.

    ``images`` are the outputs, clipped and rounded to 8 bit.
    """

    rgb_db: float
    y_db: float
    images: tuple[Image8, ...]


def judge(network: nn.Module, value_range: tuple[float, float], scale: int, pairs: Sequence[Pair]) -> Judgment:
    """Run ``network``, put into eval mode, on the pairs; a border of ``scale`` pixels is cut if it enlarges."""
    network.eval()
    images = tuple(restore(network, pair.low, value_range) for pair in pairs if pair.low is not None)
    judged = [(made, pair.high) for made, pair in zip(images, pairs, strict=True) if pair.high is not None]
    border = scale if scale > 1 else 0
    rgb, luma = (
        float(np.mean([psnr_db(made, high, border, space) for made, high in judged])) if judged else math.nan
        for space in ("RGB", "Y")
    )
    return Judgment(rgb, luma, images)


@torch.no_grad()
def restore(network: nn.Module, image: Image8, value_range: tuple[float, float] = (0.0, 255.0)) -> Image8:
    """Run a network on one uint8 picture (H, W, 3); ``value_range`` is what black and white are to it."""
    black, step = value_range[0], (value_range[1] - value_range[0]) / 255.0
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    levels = torch.tensor(image, device=device).permute(2, 0, 1)[None].float()
    made = ((network(levels * step + black) - black) / step)[0].permute(1, 2, 0)
    return to_levels(made.cpu().numpy())


def preview(pairs: Sequence[Pair], images: Sequence[Image8]) -> Image8:
    """Up to six pictures side by side, each with its input above (enlarged pixel by pixel) and its target below."""
    columns = []
    for pair, made in list(zip(pairs, images, strict=True))[:_MOST_SHOWN]:
        assert pair.low is not None
        times = made.shape[0] // pair.low.shape[0]
        shown = [pair.low.repeat(times, axis=0).repeat(times, axis=1), made]
        columns.append(shown if pair.high is None else [*shown, pair.high])
    tall, wide = (max(made.shape[axis] for column in columns for made in column) for axis in (0, 1))
    rows = max(len(column) for column in columns)
    size = (rows * (tall + _GAP) - _GAP, len(columns) * (wide + _GAP) - _GAP, 3)
    grid: Image8 = np.full(size, 255, np.uint8)
    for x, column in enumerate(columns):
        for y, picture in enumerate(column):
            top, left = y * (tall + _GAP), x * (wide + _GAP)
            grid[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return grid
