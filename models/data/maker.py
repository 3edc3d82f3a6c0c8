"""Makes examples from entries on disk: clean photos, pairs, pictures with a class, or pictures of two domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clearport.errors import BadInput
from clearport.models.data.check import usable
from clearport.models.data.classes import clip
from clearport.models.data.degrade import DOMAINS, LABELS, MADE, PAIRS, UNPAIRED, Degrader, degrader
from clearport.models.data.layouts import Entry
from clearport.models.data.pair import Pair
from clearport.models.data.pool import Example
from clearport.models.data.resize import bicubic_downscale, bicubic_resize, crop_to_multiple
from clearport.pictures.images import load_rgb, picture_size

if TYPE_CHECKING:
    from clearport.pictures.images import Image8

_WANTED = {
    PAIRS: "inputs and targets",
    UNPAIRED: "pictures",
    LABELS: "pictures in real/ and fake/",
    DOMAINS: "pictures in trainA/ and trainB/",
}


@dataclass(frozen=True)
class Maker:
    """Makes examples from entries on disk; ``frames``: number of frames per clip."""

    kinds: tuple[str, ...]
    scale: int
    patch: int
    shrink: tuple[float, ...]
    frames: int = 1

    @property
    def on_the_fly(self) -> bool:
        """Whether crops are degraded one by one."""
        return self.kinds[0] not in {*MADE, "bicubic"} or len(self.kinds) > 1

    def degraders(self, seed: int) -> list[Degrader | None]:
        """One per kind; None for existing inputs of pairs."""
        return [None if kind == PAIRS else degrader(kind, seed, self.scale) for kind in self.kinds]

    def examples(self, entries: Sequence[Entry], where: str) -> tuple[list[Example], str]:
        """All examples that are large enough, and a message on unusable pictures.

        Raises:
            BadInput: there is none, or the degradation's source pictures are missing.
        """
        ways = {PAIRS: self._paired, UNPAIRED: self._unpaired, LABELS: self._labelled, DOMAINS: self._domains}
        paths = ways.get(self.kinds[0], self._clean)(entries)
        if not paths:
            wanted = _WANTED.get(self.kinds[0], "clean photos")
            raise BadInput(
                f"{where}: found no {wanted}, which --degradation {' + '.join(self.kinds)} needs; {_advice(entries)}"
            )
        paths, unusable = usable(paths, self.scale)
        made = [example for entry in paths for example in self._of(entry)]
        large = [example for example in made if min(example.size) >= self.patch]
        if not large:
            raise BadInput(
                f"{where}: no picture is large enough for patches of {self.patch} input pixels; use a smaller --patch"
            )
        return large, unusable

    def _paired(self, entries: Sequence[Entry]) -> list[Entry]:
        return [e for e in entries if e.low is not None and e.high is not None and e.aligned]

    def _domains(self, entries: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in entries if not entry.aligned]

    def _labelled(self, entries: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in entries if entry.label is not None]

    def _unpaired(self, entries: Sequence[Entry]) -> list[Entry]:
        """Every picture once, including targets of pairs, so that a network also sees inputs that need no change."""
        seen = {path: entry.group for entry in entries for path in (entry.low, entry.high) if path is not None}
        return [Entry(path.name, group, path, None) for path, group in seen.items()]

    def _clean(self, entries: Sequence[Entry]) -> list[Entry]:
        seen = {entry.high: entry.group for entry in entries if entry.high is not None}
        return [Entry(path.name, group, None, path) for path, group in seen.items()]

    def _of(self, entry: Entry) -> list[Example]:
        path = entry.low or entry.high
        assert path is not None
        if self.kinds[0] in MADE:
            return self._existing(entry, path)
        height, width = picture_size(path)
        sizes = [(height, width), *((round(height * f), round(width * f)) for f in self.shrink)]
        make = _clean_pair if self.on_the_fly else _reduced_pair
        return [
            self._example(
                entry.group,
                (size[0] // self.scale, size[1] // self.scale),
                partial(make, path, self.scale, size),
                low=not self.on_the_fly,
                high=True,
                original=size == sizes[0],
            )
            for size in sizes
        ]

    def _existing(self, entry: Entry, path: Path) -> list[Example]:
        """An input with or without its target; downscaled copies only if both have the same size."""
        (height, width), both = picture_size(path), entry.high is not None
        factors = (1.0, *self.shrink) if self.scale == 1 else (1.0,)
        sizes = [(round(height * f), round(width * f)) for f in factors]
        return [
            self._example(
                entry.group,
                size,
                partial(_read_pair, entry, self.scale, size, self.frames),
                low=True,
                high=both,
                original=f == 1.0,
            )
            for f, size in zip(factors, sizes, strict=True)
        ]

    def _example(
        self,
        group: str,
        size: tuple[int, int],
        make: partial[Pair],
        *,
        low: bool,
        high: bool,
        original: bool = True,
    ) -> Example:
        area = 3 * size[0] * size[1] * (self.frames if self.kinds[0] == LABELS else 1)
        return Example(group, size, area * int(low) + area * self.scale**2 * int(high), make, original)


def _advice(entries: Sequence[Entry]) -> str:
    """Advice for entries that a degradation cannot use."""
    if any(entry.label is not None for entry in entries):
        return (
            f"these pictures have classes (real and fake): use --degradation {LABELS}, and a --loss of classes, "
            "such as cross-entropy (a logit of each class) or binary (one logit)"
        )
    if any(not entry.aligned for entry in entries):
        return f"these pictures are of two kinds (trainA/ and trainB/): use --degradation {DOMAINS}"
    return "name another one, or --layout"


def _read_pair(entry: Entry, scale: int, size: tuple[int, int], frames: int) -> Pair:
    assert entry.low is not None
    low, high = load_rgb(entry.low), None if entry.high is None else load_rgb(entry.high)
    if entry.video and frames > 1:
        low = _beside(clip(entry.low, entry.video, frames), low.shape)
    if high is not None and not entry.aligned:
        high = bicubic_resize(high, low.shape[0], low.shape[1])
    elif high is not None:
        high = high[: low.shape[0] * scale, : low.shape[1] * scale]  # ``check_fit`` allowed extra rows and columns
    if low.shape[:2] != size:
        low, high = bicubic_resize(low, *size), None if high is None else bicubic_resize(high, *size)
    if entry.label is None:
        return Pair(entry.name, low, high)
    return Pair(entry.name, low, high, {"label": np.full((1, 1, 1), entry.label, np.float32)})


def _beside(paths: Sequence[Path], shape: tuple[int, ...]) -> Image8:
    """Frames of one video, concatenated along the channels.

    Raises:
        BadInput: they have different sizes.
    """
    found = [load_rgb(path) for path in paths]
    for path, frame in zip(paths, found, strict=True):
        if frame.shape != shape:
            raise BadInput(
                f"{path}: {frame.shape[0]}x{frame.shape[1]} pixels; the frames before it in this video have "
                f"{shape[0]}x{shape[1]}: cut the face out of all frames at one size"
            )
    return np.concatenate(found, axis=2)


def _resized(path: Path, scale: int, size: tuple[int, int]) -> Image8:
    photo = load_rgb(path)
    photo = photo if photo.shape[:2] == size else bicubic_resize(photo, *size)
    return np.ascontiguousarray(crop_to_multiple(photo, scale))


def _clean_pair(path: Path, scale: int, size: tuple[int, int]) -> Pair:
    return Pair(path.name, None, _resized(path, scale, size))


def _reduced_pair(path: Path, scale: int, size: tuple[int, int]) -> Pair:
    """A photo, or a downscaled copy (sharper, with fewer JPEG artifacts), and its low-resolution version."""
    high = _resized(path, scale, size)
    return Pair(path.name, bicubic_downscale(high, scale), high)
