"""Training and validation data from folders: crops for training, and separate pairs for validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Task
from clearport.errors import BadInput
from clearport.model_spec import ModelSpec
from clearport.models.data.crops import Crops, center
from clearport.models.data.degrade import DOMAINS, LABELS, PAIRS, UNPAIRED, Degrader, parse
from clearport.models.data.exclusions import read_exclusions, without
from clearport.models.data.layouts import Entry, Found, find_layout
from clearport.models.data.maker import Maker
from clearport.models.data.pair import Pair
from clearport.models.data.pool import MEMORY_BYTES, Example, Pool

if TYPE_CHECKING:
    from clearport.models.training.options import TrainOptions

_JUDGED_SIDE = {1: 256}
"""Scale -> side of the validated center crop, in input pixels; 96 for upscaling networks."""

_JUDGED_AS_TRAINED: frozenset[Task] = frozenset({"matting"})
"""Tasks whose networks have a fixed input size: validation crops have the size of training crops."""

_MOST_JUDGED = 48

_OF_TASK: Mapping[Task, str] = {
    "super-resolution": "bicubic",
    "deraining": "rain",
    "low-light": "low-light",
    "hdr": "exposures",
    "watermarking": "mark",
    "deepfake-detection": "forgery",
    "translation": DOMAINS,
    "generation": "diffusion",
    "matting": "composite",
    "inversion": UNPAIRED,
}
"""Default degradation of a task for clean photos."""


@dataclass(frozen=True)
class DataSet:
    """The data of a training.

    Attributes:
        crops: training crops.
        validation: validation pairs; those without a target are only shown in previews.
        degradation: how inputs are made, as requested or derived from the data.
        layouts: layouts of the folders, in order.
        found: used and unused files of each folder, without paths of this machine.
        notes: the same with unusable files, for the user.
        left_out: number of examples removed by exclusion lists.
        held_back: the groups in ``validation``, if they were split off the same folders.
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
    """The data of a training; ``shares`` is the number of processes that each keep pictures in memory.

    Raises:
        BadInput: a folder is missing, has too few pictures, or has a layout that the degradation cannot use.
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
    frames = max(1, sum(each.is_picture for each in spec.inputs))
    maker = Maker(kinds, scale, options.patch, options.shrink, frames)
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
    side = options.patch if spec.task in _JUDGED_AS_TRAINED else _JUDGED_SIDE.get(scale, 96)
    multiple = spec.size_multiple
    cut = [center(example.make(), scale, side, multiple) for example in _thinned(judged)]
    pairs = tuple(_judged(pair, degraders, [options.seed, 2, number]) for number, pair in enumerate(cut))
    _check_channels(pairs, spec, degradation)
    if len({float(pair.truth["label"].item()) for pair in pairs if "label" in pair.truth}) == 1:
        notes.append(
            "validation has one class only: there is no AUC, and the latest weights are kept; give more videos, or "
            "--val-data"
        )
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
    """Check that every kind of input has the network's number of channels."""
    names = [each.name for each in spec.inputs if each.is_picture] or ["one picture"]
    wanted = sum(each.channels or 0 for each in spec.inputs if each.is_picture) or 3
    advice = "omit the option, or choose one that makes them"
    if spec.task == "deepfake-detection":
        advice = "it needs clips: give a folder with real/ and fake/, whose subfolders are videos with frames"
    for pair in pairs:
        found = wanted if pair.low is None else pair.low.shape[2]
        if found != wanted:
            raise BadInput(
                f"--degradation {degradation!r} makes inputs of {found} channels, and {spec.name} takes {wanted} "
                f"({', '.join(names)}): {advice}"
            )


def _natural(found: Sequence[Found], spec: ModelSpec) -> str:
    """The degradation implied by the data and the task."""
    entries = [entry for one in found for entry in one.entries]
    if all(entry.label is not None for entry in entries):
        return LABELS
    if spec.task == "deepfake-detection":  # its targets are not pictures
        return _OF_TASK[spec.task]
    if not any(entry.aligned for entry in entries):
        return DOMAINS
    if all(entry.low is not None and entry.high is not None for entry in entries):
        return PAIRS
    if all(entry.high is None for entry in entries):
        return UNPAIRED
    return _OF_TASK[spec.task]


def split(examples: Sequence[Example], validation: int, seed: int) -> tuple[list[Example], list[Example]]:
    """Split into training examples and those of ``validation`` groups, deterministically for groups and seed.

    At most a quarter of the groups is set aside, but at least one.

    Raises:
        BadInput: too few examples for training remain.
    """
    groups = list(dict.fromkeys(example.group for example in examples))
    if len(groups) < 2:
        raise BadInput("too few usable pictures: at least one for training and one for validation are needed")
    validation = min(validation, max(1, len(groups) // 4))
    order = np.random.default_rng(seed).permutation(len(groups))
    chosen = {groups[i] for i in order[:validation].tolist()}
    return [e for e in examples if e.group not in chosen], [e for e in examples if e.group in chosen]


def _with_targets(judged: list[Example], entries: Sequence[Entry], maker: Maker) -> list[Example]:
    """Validation examples of a network trained without targets: held-out pictures as pairs if they are pairs, without
    unaligned targets.
    """
    groups = {example.group for example in judged}
    paired = [e for e in entries if e.low is not None and e.high is not None and e.group in groups]
    if maker.kinds == (DOMAINS,):
        return [replace(example, make=partial(_input_alone, example.make)) for example in judged]
    if maker.kinds != (UNPAIRED,) or not paired:
        return judged
    return replace(maker, kinds=(PAIRS,)).examples(paired, "held-back pictures")[0]


def _input_alone(make: Callable[[], Pair]) -> Pair:
    return replace(make(), high=None)


def _judging_examples(folder: Path, spec: ModelSpec, scale: int, maker: Maker) -> tuple[list[Example], str]:
    found = find_layout(folder, scale, purpose="validate")
    natural = _natural([found], spec)
    kinds = (natural,) if natural in {PAIRS, LABELS} else maker.kinds
    judging = replace(maker, kinds=kinds, patch=max(3, spec.size_multiple), shrink=())
    examples, unusable = judging.examples(found.entries, str(folder))
    return examples, f"judged by {found.line}{'; ' * bool(unusable)}{unusable}"


def _thinned(examples: Sequence[Example]) -> list[Example]:
    """At most ``_MOST_JUDGED`` evenly spaced examples, without downscaled copies."""
    rest = [example for example in examples if example.original]
    return [rest[i] for i in np.linspace(0, len(rest) - 1, min(len(rest), _MOST_JUDGED)).round().astype(int)]


def _judged(pair: Pair, degraders: Sequence[Degrader | None], seed: list[int]) -> Pair:
    degrade = degraders[seed[-1] % len(degraders)] if degraders else None
    if pair.low is not None or degrade is None:
        return pair
    assert pair.high is not None
    made = degrade(np.ascontiguousarray(pair.high), np.random.default_rng(seed))
    return Pair(pair.name, made.low, pair.high if made.high is None else made.high, made.truth)
