"""Signs that pictures without a known layout are pairs all the same, which must not be taken for clean photos."""

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
"""Of the pictures of the smaller folder, how many have a namesake in the other before the two look like pairs."""

_MOST_SIDES = 12
"""More folders beside each other are scenes or classes, whose pictures often have the same numbers."""


def doubt(root: Path, pictures: Sequence[Path]) -> str | None:
    """Why ``pictures``, all those below ``root``, may not be clean photos, in words; None where nothing says so."""
    return next(iter(_doubts(root, pictures)), None)


def _doubts(root: Path, pictures: Sequence[Path]) -> Iterator[str]:
    for here, folders, _ in walk(root):
        sides = [folder for folder in folders if half_of([folder.name]) is None]
        names = {folder: _stems(folder) for folder in sides} if len(sides) <= _MOST_SIDES else {}
        for first, second in combinations((folder for folder in names if names[folder]), 2):
            count = max(_shared(names[first], names[second]), _shared(names[second], names[first]))
            if count >= _SHARE * min(len(names[first]), len(names[second])):
                yield f"{first.name}/ and {second.name}/ in {here} hold {count} pictures of the same names"
        for one, two in combinations(folders, 2):
            if one.name[:-1] == two.name[:-1] and (one.name[-1:], two.name[-1:]) == ("A", "B"):
                yield f"{one.name}/ and {two.name}/ in {here} are called after two domains, of which one is degraded"
        for folder in folders:
            if says_degraded(folder.name) and pictures_below(folder):
                yield f"{folder} is called after degraded pictures, and no folder of targets lies beside it"
    if says_degraded(root.name) and (other := _partner(root)) is not None:
        yield f"it is the input half of pairs whose targets are in {other}; give {root.parent} to use them as pairs"
    ends = _two_endings(pictures)
    if ends is not None:
        yield f"the names of its pictures come in twos that end, or begin, in {ends[0]!r} and {ends[1]!r}"


def _stems(folder: Path) -> set[str]:
    return {(path.relative_to(folder).parent / key_of(path.stem)).as_posix() for path in pictures_below(folder)}


def _shared(inputs: set[str], targets: set[str]) -> int:
    """How many of ``inputs`` are called like one of ``targets``, or like one with more behind it."""
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
    """The two words that most names end in, or begin with, each with the same rest: ``before`` and ``after``."""
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
