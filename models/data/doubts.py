"""Detects pictures without a known layout that look like pairs, which must not be used as clean photos."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

from clearport.disk.litter import walk
from clearport.models.data.names import half_of, key_of, says_degraded, side_of
from clearport.models.data.pairing import shortened
from clearport.models.data.sites import pictures_below

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SHARE = 0.5
"""Share of the smaller folder's pictures with the same name in the other from which the two look like pairs."""

_MOST_SIDES = 12
"""Maximum number of sibling folders to compare: more are scenes or classes, which often have equal file names."""


def doubt(root: Path, pictures: Sequence[Path]) -> str | None:
    """The reason that ``pictures``, all those below ``root``, may not be clean photos, or None."""
    return next(iter(_doubts(root, pictures)), None)


def _doubts(root: Path, pictures: Sequence[Path]) -> Iterator[str]:
    for here, folders, _ in walk(root):
        sides = [folder for folder in folders if half_of([folder.name]) is None]
        names = {folder: _stems(folder) for folder in sides} if len(sides) <= _MOST_SIDES else {}
        for first, second in combinations((folder for folder in names if names[folder]), 2):
            count = max(_shared(names[first], names[second]), _shared(names[second], names[first]))
            if count >= _SHARE * min(len(names[first]), len(names[second])):
                yield f"{first.name}/ and {second.name}/ in {here} have {count} pictures with equal names"
        for one, two in combinations(folders, 2):
            if one.name[:-1] == two.name[:-1] and (one.name[-1:], two.name[-1:]) == ("A", "B"):
                yield f"{one.name}/ and {two.name}/ in {here} are named after two domains, one of them degraded"
        for folder in folders:
            if says_degraded(folder.name) and pictures_below(folder):
                yield f"{folder} is named like degraded pictures, without a folder of targets beside it"
    if says_degraded(root.name) and (other := _partner(root)) is not None:
        yield f"it is the input half of pairs whose targets are in {other}; give {root.parent} to use them as pairs"
    ends = _two_endings(pictures)
    if ends is not None:
        yield f"its files have names in pairs that differ by {ends[0]!r} and {ends[1]!r} at an end"


def _stems(folder: Path) -> set[str]:
    return {(path.relative_to(folder).parent / key_of(path.stem)).as_posix() for path in pictures_below(folder)}


def _shared(inputs: set[str], targets: set[str]) -> int:
    """Number of ``inputs`` whose name equals one of ``targets``, or begins with one."""
    alike = inputs & targets
    return len(alike) + sum(any(name in targets for name in shortened(key)) for key in inputs - alike)


def _partner(root: Path) -> Path | None:
    mine = side_of(root.name)
    for folder in next(walk(root.resolve().parent))[1]:
        side = side_of(folder.name)
        if mine and side and side.role == "target" and side.stem == mine.stem and _shared(_stems(root), _stems(folder)):
            return folder
    return None


def _two_endings(pictures: Sequence[Path]) -> tuple[str, str] | None:
    """The two prefixes or suffixes of most names with equal remainders, such as ``before`` and ``after``."""
    for first in (False, True):
        words: dict[tuple[Path, str], set[str]] = defaultdict(set)
        for path in pictures:
            rest, _, word = path.stem.lower().replace("-", "_").rpartition("_")
            if first:
                word, _, rest = path.stem.lower().replace("-", "_").partition("_")
            if rest and word.isalpha():
                words[path.parent, rest].add(word)
        pairs = Counter(tuple(sorted(found)) for found in words.values() if len(found) == 2)
        for (one, other), count in pairs.most_common(1):
            if count >= 2 and 2 * count >= _SHARE * len(pictures):
                return one, other
    return None
