"""Training data: photos decoded once to uint8, their degraded twins made once, random crops of both.

A crop is a slice of two arrays, so a batch costs almost nothing next to a training step, and a whole data set of
a few hundred photos fits in memory (3 bytes a pixel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from clearport.base import BadInput
from clearport.images import find_pictures, load_rgb
from clearport.models.degradations import bicubic_downscale, bicubic_resize, crop_to_multiple

if TYPE_CHECKING:
    import numpy.typing as npt

    from clearport.images import Image8


@dataclass(frozen=True)
class Pair:
    """A network's input (h, w, 3) and what it should give (h*scale, w*scale, 3), both uint8 RGB."""

    name: str
    low: Image8
    high: Image8


@dataclass(frozen=True)
class Split:
    """Pairs to learn from, and pairs to judge by that are never learnt from."""

    training: tuple[Pair, ...]
    validation: tuple[Pair, ...]


def super_resolution_pair(name: str, photo: Image8, scale: int) -> Pair:
    """A photo, cut to a multiple of ``scale``, and its bicubic miniature."""
    high = np.ascontiguousarray(crop_to_multiple(photo, scale))
    return Pair(name, bicubic_downscale(high, scale), high)


def photo_pairs(
    folders: Sequence[Path], scale: int, smallest: int, shrink: Sequence[float] = ()
) -> list[tuple[Pair, ...]]:
    """The photos below ``folders``, each as a pair, and as one more pair for each factor of ``shrink``.

    A photo that was shrunk is sharper than it was and has lost the traces of JPEG, which makes it a better example.
    Pairs with fewer than ``smallest`` input pixels on a side are left out.

    Raises:
        BadInput: a folder is missing or empty, a picture cannot be read, or all of them are too small.
    """
    groups = []
    for path in (path for folder in folders for path in find_pictures(folder)):
        photo = load_rgb(path)
        height, width = photo.shape[:2]
        versions = [photo, *(bicubic_resize(photo, round(height * f), round(width * f)) for f in shrink)]
        large = [v for v in versions if min(v.shape[:2]) >= smallest * scale]
        groups.append(tuple(super_resolution_pair(path.name, v, scale) for v in large))
    usable = [group for group in groups if group]
    if not usable:
        names = ", ".join(str(folder) for folder in folders)
        raise BadInput(f"{names}: no picture is large enough for patches of {smallest} input pixels; use --patch")
    return usable


def split(groups: Sequence[tuple[Pair, ...]], validation: int, seed: int) -> Split:
    """Set ``validation`` photos aside with all their versions, the same ones for the same photos and seed.

    Of few photos no more than a quarter is set aside, but always one. Only the first version of a photo is judged by.

    Raises:
        BadInput: there are too few photos to learn from the rest.
    """
    if len(groups) < 2:
        raise BadInput("one usable picture is too few: one to learn from and one to judge by are the least")
    validation = min(validation, max(1, len(groups) // 4))
    order = np.random.default_rng(seed).permutation(len(groups))
    chosen = set(order[:validation].tolist())
    kept = tuple(pair for i, group in enumerate(groups) if i not in chosen for pair in group)
    return Split(kept, tuple(groups[i][0] for i in sorted(chosen)))


@dataclass(frozen=True)
class Crops:
    """Random square crops: a pair in proportion to its area, any place, one of the eight flips and rotations."""

    pairs: Sequence[Pair]
    scale: int
    patch: int

    def batch(self, count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs (count, 3, patch, patch) and targets (count, 3, patch*scale, patch*scale), float32 in 0..255.

        Both are channels-last in memory. The same state of ``rng`` gives the same batch.
        """
        side = self.patch * self.scale
        low = np.empty((count, self.patch, self.patch, 3), np.uint8)
        high = np.empty((count, side, side, 3), np.uint8)
        for i, chosen in enumerate(rng.choice(len(self.pairs), count, p=self._shares)):
            low[i], high[i] = self._crop(self.pairs[chosen], rng)
        return _to_tensor(low), _to_tensor(high)

    @cached_property
    def _shares(self) -> npt.NDArray[np.float64]:
        areas = np.array([pair.low.shape[0] * pair.low.shape[1] for pair in self.pairs], np.float64)
        return np.asarray(areas / areas.sum())

    def _crop(self, pair: Pair, rng: np.random.Generator) -> tuple[Image8, Image8]:
        height, width = pair.low.shape[:2]
        top, left = int(rng.integers(height - self.patch + 1)), int(rng.integers(width - self.patch + 1))
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        low = _square(pair.low, top, left, self.patch)
        high = _square(pair.high, top * self.scale, left * self.scale, self.patch * self.scale)
        low, high = np.rot90(low, turns), np.rot90(high, turns)
        return (low[:, ::-1], high[:, ::-1]) if mirror else (low, high)


def _square(image: Image8, top: int, left: int, side: int) -> Image8:
    return image[top : top + side, left : left + side]


def _to_tensor(images: Image8) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def centre(pair: Pair, scale: int, side: int) -> Pair:
    """The middle of a pair, at most ``side`` input pixels wide and high."""
    height, width = (min(n, side) for n in pair.low.shape[:2])
    top, left = (pair.low.shape[0] - height) // 2, (pair.low.shape[1] - width) // 2
    low = pair.low[top : top + height, left : left + width]
    high = pair.high[top * scale : (top + height) * scale, left * scale : (left + width) * scale]
    return Pair(pair.name, low, high)
