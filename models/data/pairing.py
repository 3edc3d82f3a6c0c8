"""Matches inputs and targets: by relative path, then by name, unambiguously for both sides, without guessing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.models.data.names import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path, PurePath

MOST_NAMED = 3


@dataclass(frozen=True)
class Matched:
    """Pairs of input and target, and files of either side without a partner; all sorted by path."""

    pairs: tuple[tuple[Path, Path], ...]
    lone_inputs: tuple[Path, ...]
    lone_targets: tuple[Path, ...]


_KEYS: tuple[Callable[[PurePath], str], ...] = (
    lambda path: path.as_posix(),
    lambda path: path.with_suffix("").as_posix(),
    lambda path: (path.parent / key_of(path.stem)).as_posix(),
)
"""Keys: the whole path, without the suffix, and without the words for input and target."""


def _name(path: PurePath) -> str:
    """The name only, without folder, suffix, and the words for input and target."""
    return key_of(path.stem)


def match(inputs: Mapping[PurePath, Path], targets: Mapping[PurePath, Path], where: str) -> Matched:
    """Pair the files of two sides, each given by its path relative to its side.

    Files are matched by the most specific key first. Several inputs ``001_1``, ``001_2`` may have one target ``001``.

    Raises:
        BadInput: a match is ambiguous.
    """
    left, right, pairs = dict(inputs), dict(targets), []
    for key in _KEYS:
        for path, other in _pairs_by(key, left, right, where):
            pairs.append((left.pop(path), right.pop(other)))
    for path, other in _pairs_by_name(left, right, inputs, targets, where):
        pairs.append((left.pop(path), right.pop(other)))
    several = list(_variants(left, targets))
    pairs += [(left.pop(path), targets[other]) for path, other in several]
    for _, other in several:
        right.pop(other, None)
    return Matched(tuple(sorted(pairs)), tuple(sorted(left.values())), tuple(sorted(right.values())))


def _pairs_by(
    key: Callable[[PurePath], str], left: Mapping[PurePath, Path], right: Mapping[PurePath, Path], where: str
) -> list[tuple[PurePath, PurePath]]:
    inputs, targets = _index(key, left), _index(key, right)
    common = [name for name in inputs if name in targets]
    for name in common:
        if len(inputs[name]) > 1 or len(targets[name]) > 1:
            names = [listed([left[p] for p in inputs[name]]), listed([right[p] for p in targets[name]])]
            raise BadInput(
                f"{where}: cannot match the pairs: inputs {names[0]}, targets {names[1]}; "
                "a pair needs one input and one target of the same name"
            )
    return [(inputs[name][0], targets[name][0]) for name in common]


def _pairs_by_name(
    left: Mapping[PurePath, Path],
    right: Mapping[PurePath, Path],
    inputs: Mapping[PurePath, Path],
    targets: Mapping[PurePath, Path],
    where: str,
) -> list[tuple[PurePath, PurePath]]:
    """Pairs by name only, except for names that several files of a side have, which would be a guess."""
    several = {
        name
        for side, rest in ((inputs, left), (targets, right))
        for name, paths in _index(_name, side).items()
        if len(paths) > 1 and any(path not in rest for path in paths)
    }
    found = _pairs_by(_name, left, right, where)
    return [(path, other) for path, other in found if _name(path) not in several]


def _index(key: Callable[[PurePath], str], files: Mapping[PurePath, Path]) -> dict[str, list[PurePath]]:
    found: dict[str, list[PurePath]] = defaultdict(list)
    for path in files:
        found[key(path)].append(path)
    return found


def _variants(left: Mapping[PurePath, Path], targets: Mapping[PurePath, Path]) -> list[tuple[PurePath, PurePath]]:
    """Inputs whose names extend a target's: ``1_1_0.9`` and ``1``."""
    by_path = {(path.parent / key_of(path.stem)).as_posix(): path for path in targets}
    by_name = {name: paths[0] for name, paths in _index(_name, targets).items() if len(paths) == 1}
    found = []
    for path in left:
        for name in shortened(key_of(path.stem)):
            target = by_path.get((path.parent / name).as_posix()) or by_name.get(name)
            if target is not None:
                found.append((path, target))
                break
    return found


def shortened(key: str) -> list[str]:
    """A name without its last words, step by step: ``a_b_c`` gives ``a_b`` and ``a``."""
    words = key.split("_")
    return ["_".join(words[:count]) for count in range(len(words) - 1, 0, -1)]


def listed(paths: Sequence[Path]) -> str:
    """The first few files, by folder and name."""
    more = ", ..." if len(paths) > MOST_NAMED else ""
    return ", ".join(f"{path.parent.name}/{path.name}" for path in paths[:MOST_NAMED]) + more
