"""Parses names of folders and files in data sets: input or target, scale, split."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import PurePath

Role = Literal["input", "target"]
Half = Literal["train", "val", "test"]

_INPUT_WORDS = (
    "low low_?light lowlight lq lr in input inputs rain rainy haze hazy noise noisy blur blurry blurred degraded dark "
    "data src source compressed corrupted"
)
_TARGET_WORDS = (
    "high normal normal_?light clean no_?rain clear gt gts ground_?truths? target targets hr_?(?:x?[2-9])? "
    "hq sharp label labels ref reference gt_?mod_?\\d+"
)
_PICTURES = r"(?:_(?:images?|imgs?|photos?|pictures?|pics?|patches|crops|s?rgb))?"
_KIND = r"(?:_?(?P<kind>bicubic|bic|bi|unknown|mild|difficult|wild))?(?:_?x?(?P<scale>[2-9]))?"
_FOLDERS: Mapping[Role, re.Pattern[str]] = {
    "input": re.compile(
        rf"(?:(?P<before>.+)_)?(?:{'|'.join(_INPUT_WORDS.split())}){_KIND}(?:_(?P<after>.+?))??{_PICTURES}"
    ),
    "target": re.compile(rf"(?:(?P<before>.+)_)?(?:{'|'.join(_TARGET_WORDS.split())})(?:_(?P<after>.+?))??{_PICTURES}"),
}
_IN_FILES: Mapping[Role, re.Pattern[str]] = {
    "input": re.compile(r"low|lq|lr|lr[2-9]|in|input|rain|rainy|haze|hazy|noisy|blur|blurry|degraded|dark"),
    "target": re.compile(r"high|normal|norain|clean|clear|gt|groundtruth|target|hr|hq|sharp|label"),
}
_LEADING = re.compile(r"(low|normal|high|rain|norain|hazy|gt|input|target|noisy|clean)(?=\d)")
_HALVES: Mapping[str, Half] = {
    "train": "train",
    "training": "train",
    "trainset": "train",
    "our485": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "eval": "test",
    "eval15": "test",
    "test": "test",
    "testing": "test",
    "testset": "test",
    "evaluation": "test",
}


_SAYS_DEGRADED = re.compile(r"(?:.*_)?(?:rainy|haz[ey]|noisy|blur(?:ry|red)?|degraded|l[qr]|low|dark|lowlight)(?:_.*)?")


@dataclass(frozen=True)
class Side:
    """The side of pairs in a folder, according to its name.

    Attributes:
        role: input or target.
        stem: the rest of the name, shared with the folder of the other side.
        kind: downscaling method of inputs, such as ``bicubic``; empty if not in the name.
        scale: downscaling factor, if in the name.
    """

    role: Role
    stem: str
    kind: str = ""
    scale: int | None = None


def _snake(name: str) -> str:
    """``GroundTruth``, ``ground truth`` and ``ground-truth`` as ``ground_truth``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z]{2,}$)", "_", name)
    return re.sub(r"[\s\-.()]+", "_", parted).strip("_").lower()


def side_of(folder: str) -> Side | None:
    """The side of pairs in a folder of this name; None if the name does not tell."""
    name = _snake(folder)
    for role, pattern in _FOLDERS.items():
        match = pattern.fullmatch(name)
        if match is not None:
            found = match.groupdict()
            stem = "_".join(part for part in (found["before"], found["after"]) if part)
            scale = found.get("scale")
            return Side(role, stem, (found.get("kind") or "")[:3], int(scale) if scale else None)
    return None


def says_degraded(folder: str) -> bool:
    """Whether a folder's name indicates degraded pictures."""
    side = side_of(folder)
    return side is not None and side.role == "input" and _SAYS_DEGRADED.fullmatch(_snake(folder)) is not None


def scale_of(folder: str) -> int | None:
    """The scale in a folder name such as ``X3`` or ``image_SRF_3``."""
    match = re.fullmatch(r"(?:.*srf_?|x)([2-9])", folder.lower())
    return int(match[1]) if match else None


def role_of(stem: str) -> Role | None:
    """The side of a pair in a file's name, if its words indicate exactly one."""
    words = _words(stem)
    found = {role for role, pattern in _IN_FILES.items() if any(pattern.fullmatch(word) for word in words)}
    return found.pop() if len(found) == 1 else None


def _words(stem: str) -> list[str]:
    """The words of a file's name in lower case; the first may be followed directly by digits."""
    return re.sub(_LEADING, r"\1_", stem.lower()).replace("-", "_").replace(" ", "_").split("_")


def key_of(stem: str) -> str:
    """The name of a file without words for the side of a pair, and without a scale suffix."""
    rest = [word for word in _words(stem) if not any(pattern.fullmatch(word) for pattern in _IN_FILES.values())]
    return re.sub(r"(?<=.)_?x[2-9]$", "", "_".join(rest))


def suffix_scale(stem: str) -> int | None:
    """The scale at the end of a file's name, such as 3 of ``0001x3``."""
    match = re.search(r"(?<=.)(?:x|_lr)([2-9])$", stem.lower())
    return int(match[1]) if match else None


def half_of(parts: Iterable[str]) -> Half | None:
    """The split of a data set in folder names; the innermost one decides."""
    for part in reversed(list(parts)):
        for word in (part.lower(), *_snake(part).split("_")):
            if word in _HALVES:
                return _HALVES[word]
    return None


def half_of_path(relative: PurePath) -> Half | None:
    """``half_of`` the folders of a path."""
    return half_of(relative.parts)
