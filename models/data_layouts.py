"""The folder layouts that people have, told apart by what is in them: which file is an input, and which its target.

| layout | what is looked for |
|---|---|
| ``sice`` | ``pairs.json``: a list of objects with ``scene``, ``low``, ``normal`` (files in ``images/`` or beside it) |
| ``lol`` | ``our485/low``, ``our485/high`` (``eval15`` is left alone: it is for evaluation) |
| ``div2k`` | ``*_HR`` and, for the scale, ``*_LR_bicubic/X<scale>`` (``0001.png``, ``0001x3.png``) |
| ``pairs`` | two folders of one of ``FOLDER_PAIRS``, pictures of the same name being a pair |
| ``rain100`` | ``rain-001.png`` and ``norain-001.png`` (also without the dash), in one folder or in two |
| ``photos`` | pictures: targets, of which the inputs are made |
| ``unpaired`` | pictures: inputs that have no target |

Pictures of one ``group`` (a scene) show the same thing, so a split never parts them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clearport.base import BadInput
from clearport.images import find_pictures
from clearport.json_files import parse_json, read_json, read_text

FOLDER_PAIRS = (
    ("low", "high"),
    ("low", "normal"),
    ("rainy", "clean"),
    ("rain", "norain"),
    ("rainy", "norain"),
    ("rain", "clean"),
    ("hazy", "clear"),
    ("hazy", "clean"),
    ("hazy", "gt"),
    ("noisy", "clean"),
    ("input", "target"),
    ("input", "groundtruth"),
    ("inputs", "targets"),
    ("data", "gt"),
    ("lq", "gt"),
    ("lr", "hr"),
)
"""Names of an input folder and a target folder, in lower case."""

_STREAKS = re.compile(r"(?P<no>no)?rain-?(?P<number>\d.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One example on disk; ``low`` is the input and ``high`` the target, at least one of which is there."""

    name: str
    group: str
    low: Path | None
    high: Path | None


@dataclass(frozen=True)
class Found:
    """A folder that was understood."""

    layout: str
    entries: tuple[Entry, ...]


def find_layout(folder: Path, scale: int, layout: str | None = None) -> Found:
    """What is in ``folder``, as ``layout`` if that is given.

    Raises:
        BadInput: the folder is missing or empty, or does not have the layout that was asked for.
    """
    if layout is not None and layout not in LAYOUTS:
        raise BadInput(f"unknown layout {layout!r} (there are: {', '.join(LAYOUTS)})")
    if not folder.is_dir():
        raise BadInput(f"{folder}: expected a folder of pictures, and there is none at this path")
    for name in LAYOUTS if layout is None else (layout,):
        entries = LAYOUTS[name](folder, scale)
        if entries:
            return Found(name, tuple(entries))
    raise BadInput(f"{folder}: does not look like the layout {layout!r}, which has {_WANTED[str(layout)]}")


def _sice(folder: Path, scale: int) -> list[Entry]:
    del scale
    path = folder / "pairs.json"
    if not path.is_file():
        return []
    listed = read_json(path, "a list of pairs")
    try:
        rows = [(str(row["scene"]), str(row["low"]), str(row["normal"])) for row in listed]
    except (TypeError, KeyError) as error:
        raise BadInput(
            f'{path}: expected a list of objects like {{"scene": 2, "low": "11.jpg", "normal": "16.jpg"}} ({error!r})'
        ) from error
    pictures = folder / "images" if (folder / "images").is_dir() else folder
    return [Entry(low, scene, _there(pictures / low), _there(pictures / high)) for scene, low, high in rows]


def _there(path: Path) -> Path:
    if not path.is_file():
        raise BadInput(f"{path}: pairs.json names this picture, and there is none at this path")
    return path


def _lol(folder: Path, scale: int) -> list[Entry]:
    return _pairs(folder / "our485", scale) if (folder / "our485").is_dir() else []


def _div2k(folder: Path, scale: int) -> list[Entry]:
    entries = []
    for sharp in sorted(path for path in folder.iterdir() if path.is_dir() and path.name.endswith("_HR")):
        small = folder / f"{sharp.name.removesuffix('_HR')}_LR_bicubic" / f"X{scale}"
        lows = _by_stem(small, rf"x{scale}$") if small.is_dir() else {}
        entries += [
            Entry(path.name, f"{sharp.name}/{stem}", lows.get(stem), path) for stem, path in _by_stem(sharp).items()
        ]
    return entries


def _pairs(folder: Path, scale: int) -> list[Entry]:
    del scale
    below = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    for low, high in FOLDER_PAIRS:
        if low in below and high in below:
            inputs, targets = (_by_stem(below[name], prefix=r"^(no)?rain-?(?=\d)") for name in (low, high))
            return _matched(inputs, targets, f"{below[low]}, {below[high]}")
    return []


def _rain100(folder: Path, scale: int) -> list[Entry]:
    del scale
    lows: dict[str, Path] = {}
    highs: dict[str, Path] = {}
    for path in _pictures(folder):
        match = _STREAKS.fullmatch(path.stem)
        if match is not None:
            (highs if match["no"] else lows)[match["number"]] = path
    return _matched(lows, highs, str(folder)) if lows and highs else []


def _photos(folder: Path, scale: int) -> list[Entry]:
    del scale
    return [Entry(path.name, str(path.relative_to(folder)), None, path) for path in find_pictures(folder)]


def _unpaired(folder: Path, scale: int) -> list[Entry]:
    return [Entry(entry.name, entry.group, entry.high, None) for entry in _photos(folder, scale)]


def _pictures(folder: Path) -> list[Path]:
    try:
        return find_pictures(folder)
    except BadInput:
        return []


def _by_stem(folder: Path, suffix: str = "$", prefix: str = "^") -> dict[str, Path]:
    return {re.sub(suffix, "", re.sub(prefix, "", path.stem)): path for path in _pictures(folder)}


def _matched(lows: Mapping[str, Path], highs: Mapping[str, Path], where: str) -> list[Entry]:
    """Pairs of the same key; several inputs ``001_1``, ``001_2`` of one target ``001`` are a group of pairs.

    Raises:
        BadInput: an input has no target.
    """
    entries = []
    for key, low in lows.items():
        target = key if key in highs else key.rsplit("_", 1)[0]
        if target not in highs:
            raise BadInput(f"{where}: {low.name} has no target; a pair needs the same file name in both folders")
        entries.append(Entry(low.name, target, low, highs[target]))
    return entries


LAYOUTS: Mapping[str, Callable[[Path, int], list[Entry]]] = MappingProxyType(
    {
        "sice": _sice,
        "lol": _lol,
        "div2k": _div2k,
        "pairs": _pairs,
        "rain100": _rain100,
        "photos": _photos,
        "unpaired": _unpaired,
    }
)
"""In the order in which they are tried; ``unpaired`` looks like ``photos``, so it has to be asked for."""

_WANTED: Mapping[str, str] = MappingProxyType(
    {
        "sice": "a file pairs.json",
        "lol": "folders our485/low and our485/high",
        "div2k": "a folder that ends in _HR, such as DIV2K_train_HR",
        "pairs": "two folders such as " + ", ".join(f"{low}/ and {high}/" for low, high in FOLDER_PAIRS[:3]),
        "rain100": "files rain-001.png and norain-001.png",
        "photos": "pictures",
        "unpaired": "pictures",
    }
)


@dataclass(frozen=True)
class Exclusion:
    """A photo that must not be learnt from: the stem of its file name, and, where known, how its folder's name ends."""

    stem: str
    folder: str | None

    def covers(self, path: Path) -> bool:
        """Whether ``path`` is that photo."""
        return path.stem == self.stem and (self.folder is None or path.parent.name.endswith(self.folder))


def read_exclusions(path: Path) -> tuple[Exclusion, ...]:
    """Photos that a file names: lines of text, or a JSON list of names or of objects with a ``clean`` name.

    Names are ``100007``, ``100007.jpg`` or ``test/100007.jpg`` (that one only where the folder's name ends in test).

    Raises:
        BadInput: the file is missing or is neither.
    """
    text = read_text(path)
    wanted = f"{path}: expected a list of photos, as JSON or one name a line"
    listed = parse_json(text, wanted) if text.lstrip().startswith("[") else text.split("\n")
    names = [_name(item, path) for item in listed]
    return tuple(
        Exclusion(Path(name).stem, Path(name).parent.name or None) for name in dict.fromkeys(filter(None, names))
    )


def _name(item: Any, path: Path) -> str:
    name = item.get("clean") if isinstance(item, dict) else item
    if not isinstance(name, str):
        raise BadInput(f'{path}: {item!r} names no photo; expected a name, or an object with "clean": a name')
    return name.strip()


def without(entries: Sequence[Entry], exclusions: Sequence[Exclusion]) -> tuple[Entry, ...]:
    """``entries`` less those whose input or target is among ``exclusions``."""
    stems: dict[str, list[Exclusion]] = {}
    for exclusion in exclusions:
        stems.setdefault(exclusion.stem, []).append(exclusion)

    def covered(path: Path | None) -> bool:
        return path is not None and any(e.covers(path) for e in stems.get(path.stem, ()))

    return tuple(entry for entry in entries if not (covered(entry.low) or covered(entry.high)))
