"""From folders to what a training needs: crops to learn from, and pairs to judge by that are never learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import ModelSpec, Task
from clearport.errors import BadInput
from clearport.models.data.check import usable
from clearport.models.data.crops import Crops, center
from clearport.models.data.degrade import LABELS, PAIRS, UNPAIRED, Degrader, degrader, parse
from clearport.models.data.exclusions import read_exclusions, without
from clearport.models.data.layouts import Entry, Found, find_layout
from clearport.models.data.pair import Pair
from clearport.models.data.pool import MEMORY_BYTES, Example, Pool
from clearport.models.data.resize import bicubic_downscale, bicubic_resize, crop_to_multiple
from clearport.pictures.images import load_rgb, picture_size

if TYPE_CHECKING:
    from clearport.models.training.options import TrainOptions
    from clearport.pictures.images import Image8

_JUDGED_SIDE = {1: 256}
"""Side of the middle of a picture that is judged, in input pixels; 96 where the network enlarges."""

_MOST_JUDGED = 48

_OF_TASK: Mapping[Task, str] = {
    "super-resolution": "bicubic",
    "deraining": "rain",
    "low-light": "low-light",
    "hdr": "exposures",
    "watermarking": "mark",
    "deepfake-detection": "forgery",
}
"""How inputs of a task are made of clean photos, where nobody says."""


@dataclass(frozen=True)
class DataSet:
    """Everything that a training reads.

    Attributes:
        crops: to learn from.
        validation: to judge by; those without a target can only be looked at.
        degradation: how inputs are made, as it was asked for or as the data say.
        layouts: of the folders, in their order.
        found: what was taken of each folder and what was left, without paths of this machine.
        notes: the same, and what cannot be used, for the user.
        left_out: how many examples an exclusion list took away.
        held_back: the groups that ``validation`` is of, where they were set aside from the same folders.
    """

    crops: Crops
    validation: tuple[Pair, ...]
    degradation: str
    layouts: tuple[str, ...]
    found: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: int
    held_back: tuple[str, ...]


def data_set(options: TrainOptions, spec: ModelSpec, scale: int, shares: int = 1) -> DataSet:
    """The data of a training; ``shares`` is how many processes will each keep pictures in memory.

    Raises:
        BadInput: a folder is missing, holds too little, or is of no layout that the degradation can use.
    """
    if not options.data:
        raise BadInput("give at least one folder of photos with --data")
    found = [find_layout(folder, scale, options.layout) for folder in options.data]
    excluded = tuple(e for path in options.exclude for e in read_exclusions(path))
    entries = [
        replace(entry, group=f"{number}/{entry.group}") for number, one in enumerate(found) for entry in one.entries
    ]
    kept = without(entries, excluded)
    degradation = options.degradation or _natural(found, spec)
    kinds = parse(degradation)
    maker = _Maker(kinds, scale, options.patch, options.shrink)
    where = ", ".join(str(folder) for folder in options.data)
    examples, unusable = maker.examples(kept, where)
    notes = [*(one.line for one in found), unusable]
    degraders = maker.degraders(options.seed) if maker.on_the_fly else []
    if options.validation_data is not None:
        judged, line = _judging_examples(options.validation_data, spec, scale, maker)
        training = examples
        notes.append(line)
        held_back: list[str] = []
    else:
        training, judged = split(examples, options.validation_photos, options.seed)
        held_back = sorted({example.group for example in judged})
        judged = _with_targets(judged, kept, maker)
    pool = Pool(training, MEMORY_BYTES // shares, options.seed)
    side, multiple = _JUDGED_SIDE.get(scale, 96), spec.size_multiple
    cut = [center(example.make(), scale, side, multiple) for example in _thinned(judged)]
    pairs = tuple(_judged(pair, degraders, [options.seed, 2, number]) for number, pair in enumerate(cut))
    _check_channels(pairs, spec, degradation)
    crops = Crops(pool, scale, options.patch, tuple(degraders))
    return DataSet(
        crops,
        pairs,
        degradation,
        tuple(f.layout for f in found),
        tuple(f.line for f in found),
        tuple(note for note in (*notes, *pool.skipped) if note),
        len(entries) - len(kept),
        tuple(held_back),
    )


def _check_channels(pairs: Sequence[Pair], spec: ModelSpec, degradation: str) -> None:
    """Whether every kind of input has the pictures that the network takes."""
    names = [each.name for each in spec.inputs if each.is_picture] or ["one picture"]
    wanted = sum(each.channels or 0 for each in spec.inputs if each.is_picture) or 3
    for pair in pairs:
        found = wanted if pair.low is None else pair.low.shape[2]
        if found != wanted:
            raise BadInput(
                f"--degradation {degradation!r} makes inputs of {found} channels, and {spec.name} takes {wanted} "
                f"({', '.join(names)}): leave the option out, or name one that makes them"
            )


def _natural(found: Sequence[Found], spec: ModelSpec) -> str:
    """The degradation that the data and the task speak for."""
    entries = [entry for one in found for entry in one.entries]
    if all(entry.label is not None for entry in entries):
        return LABELS
    if all(entry.low is not None and entry.high is not None for entry in entries):
        return PAIRS
    if all(entry.high is None for entry in entries):
        return UNPAIRED
    return _OF_TASK[spec.task]


@dataclass(frozen=True)
class _Maker:
    """How entries on disk become examples."""

    kinds: tuple[str, ...]
    scale: int
    patch: int
    shrink: tuple[float, ...]

    @property
    def on_the_fly(self) -> bool:
        """Whether every crop is degraded by itself."""
        return self.kinds[0] not in {PAIRS, UNPAIRED, LABELS, "bicubic"} or len(self.kinds) > 1

    def degraders(self, seed: int) -> list[Degrader | None]:
        """One for each kind; None where the input of a pair is taken as it is."""
        return [None if kind == PAIRS else degrader(kind, seed, self.scale) for kind in self.kinds]

    def examples(self, entries: Sequence[Entry], where: str) -> tuple[list[Example], str]:
        """All examples that are large enough, and words for the pictures that cannot be used.

        Raises:
            BadInput: there is none, or what the degradation starts from is not there.
        """
        ways = {PAIRS: self._paired, UNPAIRED: self._unpaired, LABELS: self._labelled}
        paths = ways.get(self.kinds[0], self._clean)(entries)
        if not paths:
            words = {PAIRS: "inputs and targets", UNPAIRED: "pictures", LABELS: "pictures in real/ and fake/"}
            wanted = words.get(self.kinds[0], "clean photos")
            raise BadInput(
                f"{where}: found no {wanted}, which --degradation {' + '.join(self.kinds)} needs; "
                "name another one, or --layout"
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
        return [entry for entry in entries if entry.low is not None and entry.high is not None]

    def _labelled(self, entries: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in entries if entry.label is not None]

    def _unpaired(self, entries: Sequence[Entry]) -> list[Entry]:
        """Every picture once: of pairs, the targets as well, so that a network also meets what needs no change."""
        seen = {path: entry.group for entry in entries for path in (entry.low, entry.high) if path is not None}
        return [Entry(path.name, group, path, None) for path, group in seen.items()]

    def _clean(self, entries: Sequence[Entry]) -> list[Entry]:
        seen = {entry.high: entry.group for entry in entries if entry.high is not None}
        return [Entry(path.name, group, None, path) for path, group in seen.items()]

    def _of(self, entry: Entry) -> list[Example]:
        path = entry.low or entry.high
        assert path is not None
        if self.kinds[0] in {PAIRS, UNPAIRED, LABELS}:
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
        """An input with or without its target; reduced copies only where both have the same size."""
        (height, width), both = picture_size(path), entry.high is not None
        factors = (1.0, *self.shrink) if self.scale == 1 else (1.0,)
        sizes = [(round(height * f), round(width * f)) for f in factors]
        return [
            self._example(
                entry.group, size, partial(_read_pair, entry, self.scale, size), low=True, high=both, original=f == 1.0
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
        area = 3 * size[0] * size[1]
        return Example(group, size, area * int(low) + area * self.scale**2 * int(high), make, original)


def _read_pair(entry: Entry, scale: int, size: tuple[int, int]) -> Pair:
    assert entry.low is not None
    low, high = load_rgb(entry.low), None if entry.high is None else load_rgb(entry.high)
    if high is not None:
        high = high[: low.shape[0] * scale, : low.shape[1] * scale]  # what is more was allowed by ``check_fit``
    if low.shape[:2] != size:
        low, high = bicubic_resize(low, *size), None if high is None else bicubic_resize(high, *size)
    if entry.label is None:
        return Pair(entry.name, low, high)
    return Pair(entry.name, low, high, {"label": np.full((1, 1, 1), entry.label, np.float32)})


def _resized(path: Path, scale: int, size: tuple[int, int]) -> Image8:
    photo = load_rgb(path)
    photo = photo if photo.shape[:2] == size else bicubic_resize(photo, *size)
    return np.ascontiguousarray(crop_to_multiple(photo, scale))


def _clean_pair(path: Path, scale: int, size: tuple[int, int]) -> Pair:
    return Pair(path.name, None, _resized(path, scale, size))


def _reduced_pair(path: Path, scale: int, size: tuple[int, int]) -> Pair:
    """A photo, or a smaller copy of it, which is sharper and has lost the traces of JPEG, and its miniature."""
    high = _resized(path, scale, size)
    return Pair(path.name, bicubic_downscale(high, scale), high)


def split(examples: Sequence[Example], validation: int, seed: int) -> tuple[list[Example], list[Example]]:
    """Examples to learn from, and those of ``validation`` groups, the same ones for the same groups and seed.

    Of few groups no more than a quarter is set aside, but always one.

    Raises:
        BadInput: there are too few to learn from the rest.
    """
    groups = list(dict.fromkeys(example.group for example in examples))
    if len(groups) < 2:
        raise BadInput("too few usable pictures: at least one for training and one for validation are needed")
    validation = min(validation, max(1, len(groups) // 4))
    order = np.random.default_rng(seed).permutation(len(groups))
    chosen = {groups[i] for i in order[:validation].tolist()}
    return [e for e in examples if e.group not in chosen], [e for e in examples if e.group in chosen]


def _with_targets(judged: list[Example], entries: Sequence[Entry], maker: _Maker) -> list[Example]:
    """Of a network that learns without targets: the held-back pictures as pairs, where they are pairs."""
    groups = {example.group for example in judged}
    paired = [e for e in entries if e.low is not None and e.high is not None and e.group in groups]
    if maker.kinds != (UNPAIRED,) or not paired:
        return judged
    return replace(maker, kinds=(PAIRS,)).examples(paired, "held-back pictures")[0]


def _judging_examples(folder: Path, spec: ModelSpec, scale: int, maker: _Maker) -> tuple[list[Example], str]:
    found = find_layout(folder, scale, purpose="validate")
    natural = _natural([found], spec)
    kinds = (natural,) if natural in {PAIRS, LABELS} else maker.kinds
    judging = replace(maker, kinds=kinds, patch=max(3, spec.size_multiple), shrink=())
    examples, unusable = judging.examples(found.entries, str(folder))
    return examples, f"judged by {found.line}{'; ' * bool(unusable)}{unusable}"


def _thinned(examples: Sequence[Example]) -> list[Example]:
    """At most ``_MOST_JUDGED`` of them, evenly, without smaller copies."""
    rest = [example for example in examples if example.original]
    return [rest[i] for i in np.linspace(0, len(rest) - 1, min(len(rest), _MOST_JUDGED)).round().astype(int)]


def _judged(pair: Pair, degraders: Sequence[Degrader | None], seed: list[int]) -> Pair:
    degrade = degraders[seed[-1] % len(degraders)] if degraders else None
    if pair.low is not None or degrade is None:
        return pair
    assert pair.high is not None
    made = degrade(np.ascontiguousarray(pair.high), np.random.default_rng(seed))
    return Pair(pair.name, made.low, pair.high if made.high is None else made.high, made.truth)
