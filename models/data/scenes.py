"""Detects pairs whose pictures do not belong together, although names and sizes match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from clearport.errors import BadInput
from clearport.pictures.images import load_rgb

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clearport.base import Array

_SIDE = 16
_SAMPLED = 24
"""Maximum number of pairs that are read, spread evenly over the data set."""

_ALIKE = 0.3
"""Rank correlation of two thumbnails below which they may show different scenes. Measured: at least 0.66 of a pair in
Rain100H, 0.86 in Rain100L, SICE, Set5 and Set14; below 0.3 of 85 % or more of the inputs with another pair's target."""


def check_scenes(pairs: Sequence[tuple[Path, Path]], *, judging: bool) -> None:
    """Refuse pairs of which most show two different scenes and, with ``judging``, pairs that prove nothing.

    Args:
        pairs: input and target of each pair, whose pictures can be decoded.
        judging: they are for an evaluation, not for training.

    Raises:
        BadInput: for most pairs another pair's target fits better. With ``judging`` also: all targets are of one color,
            or every input equals its target.
    """
    sampled = pairs[:: -(-len(pairs) // _SAMPLED)] if pairs else ()
    seen = [_seen(*pair) for pair in sampled]
    if not seen:
        return
    if judging:
        _check_contents(seen, pairs[0][1].parent)
    alike = np.stack([each.low for each in seen]) @ np.stack([each.high for each in seen]).T
    own = alike.diagonal()
    apart = (own < _ALIKE) & (own < alike.max(axis=1))
    if 2 * apart.sum() > len(seen):
        low, high = sampled[int(apart.argmax())]
        raise BadInput(
            f"{high}: it does not show the scene of its input {low} (so in {apart.sum()} of {len(seen)} pairs that "
            "were compared): inputs and targets are paired by name; check that equal names mean equal scenes"
        )


@dataclass(frozen=True)
class _Seen:
    """What is kept of a pair: ranks of its thumbnails, and whether its pictures prove anything."""

    low: Array
    high: Array
    flat: bool
    equal: bool


def _seen(low: Path, high: Path) -> _Seen:
    """Read a pair; only one is in memory at a time."""
    given, target = load_rgb(low), load_rgb(high)
    equal = given.shape == target.shape and np.array_equal(given, target)
    return _Seen(_ranks(given), _ranks(target), flat=int(np.ptp(target)) == 0, equal=equal)


def _check_contents(seen: Sequence[_Seen], folder: Path) -> None:
    if all(each.flat for each in seen):
        raise BadInput(f"{folder}: every target is a picture of one color, which proves nothing")
    if all(each.equal for each in seen):
        raise BadInput(f"{folder}: every input equals its target: these are not pairs of degraded and clean pictures")


def _ranks(image: Array) -> Array:
    """A thumbnail's luma as ranks, centered, of length 1: unchanged by exposure and contrast. Zero for one color."""
    small = np.asarray(Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
    _, places, counts = np.unique(small, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[places].ravel()
    centered = ranks - ranks.mean()
    norm = float(np.linalg.norm(centered))
    found: Array = centered / norm if norm else centered
    return found
