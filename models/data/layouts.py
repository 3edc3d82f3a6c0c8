"""Known folder layouts of data sets, detected by content: which file is an input, and which its target.

| layout | what is searched for |
|---|---|
| ``sice`` | ``pairs.json``: a list of objects with ``scene``, ``low``, ``normal`` (files in ``images/`` or beside it) |
| ``lol`` | ``our485`` and ``eval15``, each with ``low`` and ``high`` |
| ``div2k`` | ``*_HR`` and, for the scale, ``*_LR_bicubic/X<scale>`` (``0001.png``, ``0001x3.png``) |
| ``rain100`` | ``rain-001.png`` and ``norain-001.png`` (also without the dash), in one folder |
| ``pairs`` | anywhere below, two folders named after inputs and targets: ``low`` and ``high``, ``LQ`` and ``GT`` |
| ``pairs`` | files in one folder named after inputs and targets: ``a_LR`` and ``a_HR``, ``1_hazy`` and ``1_GT``, ... |
| ``classes`` | ``real`` and ``fake``, of pictures or of folders of frames (``data.classes``) |
| ``domains`` | ``trainA`` and ``trainB``, of inputs and of pictures as outputs should look (``data.domains``) |
| ``photos`` | pictures: targets, from which inputs are made |
| ``unpaired`` | pictures: inputs without targets |

``domains`` is used only on request. If a data set has splits (``train`` and ``test``, ``our485`` and ``eval15``), one
is used for training and the other for validation. Nothing is guessed: data that look like pairs but match no layout are
refused, and unused files are reported. Pictures of one ``group`` (a scene) have the same content, so a split never
separates them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clearport.disk import ours
from clearport.disk.json_files import read_json
from clearport.disk.litter import bundles_in, litter_in
from clearport.errors import BadInput
from clearport.models.data import classes, domains
from clearport.models.data import sites as data_sites
from clearport.models.data.doubts import doubt
from clearport.models.data.names import Half, half_of_path, key_of, scale_of, side_of
from clearport.models.data.pairing import listed
from clearport.pictures.images import find_pictures
from clearport.words import counted

LAYOUTS = ("sice", "lol", "div2k", "pairs", "rain100", "classes", "domains", "photos", "unpaired")
Purpose = Literal["train", "validate", "judge"]

_HALVES: dict[Purpose, tuple[Half, ...]] = {
    "train": ("train",),
    "validate": ("val", "test"),
    "judge": ("test", "val"),
}
"""Purpose -> usable splits of a data set, preferred first."""

_WANTED = {
    "classes": "two folders real/ and fake/",
    "domains": "two folders trainA/ and trainB/",
    "sice": "a file pairs.json",
    "lol": "folders our485/low and our485/high",
    "div2k": "a folder that ends in _HR, such as DIV2K_train_HR",
    "pairs": "two folders such as low/ and high/, low/ and normal/, rainy/ and clean/, or a_LR.png and a_HR.png",
    "rain100": "files rain-001.png and norain-001.png",
}
_AS_PHOTOS = (
    "; to use all of them as clean photos, add --layout photos, or as inputs without targets, --layout unpaired"
)
_MOST_FOLDERS = 4


@dataclass(frozen=True)
class Entry:
    """One example on disk; ``low`` is the input and ``high`` the target, of which at least one is given.

    ``label`` is the class of an input for classification, and ``video`` all frames of its video. ``aligned``: the
    target has the content of the input.
    """

    name: str
    group: str
    low: Path | None
    high: Path | None
    label: int | None = None
    video: tuple[Path, ...] = ()
    aligned: bool = True


@dataclass(frozen=True)
class Found:
    """A folder with a detected layout: the used entries, and messages on unused files (``left``)."""

    folder: Path
    layout: str
    entries: tuple[Entry, ...]
    left: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """A one-line summary of used and unused files."""
        pairs = sum(entry.low is not None and entry.high is not None for entry in self.entries)
        single = len(self.entries) - pairs
        if self.layout == "domains":
            kinds = ({e.low for e in self.entries}, {e.high for e in self.entries})
            return f"{self.folder.resolve().name}: layout domains, {len(kinds[0])} and {len(kinds[1])} pictures"
        counts = [counted(pairs, "pair")] * bool(pairs) + [counted(single, "picture")] * bool(single)
        left = "".join(f"; {words}" for words in self.left)
        name = self.folder.resolve().name
        return f"{name}: layout {self.layout}, {' and '.join(counts)} from {self._where()}{left}"

    def _where(self) -> str:
        parents = dict.fromkeys(p.parent for e in self.entries for p in (e.low, e.high) if p is not None)
        names = [f"{path.relative_to(self.folder).as_posix()}/" for path in parents if path.is_relative_to(self.folder)]
        names = ["the folder itself" if name == "./" else name for name in names]
        more = f" and {len(names) - _MOST_FOLDERS} more folders" if len(names) > _MOST_FOLDERS else ""
        return ", ".join(names[:_MOST_FOLDERS]) + more


def find_layout(folder: Path, scale: int, layout: str | None = None, purpose: Purpose = "train") -> Found:
    """The content of ``folder``, as ``layout`` if given; of a data set with splits, the one for ``purpose``.

    Raises:
        BadInput: the folder is missing or empty, does not have the layout that was asked for, has only the other half,
            or it is doubtful what is in it.
    """
    if layout is not None and layout not in LAYOUTS:
        raise BadInput(f"unknown layout {layout!r} (available: {', '.join(LAYOUTS)})")
    _check_folder(folder)
    if layout in {"photos", "unpaired"}:
        return _photos(folder, layout)
    try:
        found = (
            _domains(folder)
            if layout == "domains"
            else _classes(folder) or _sice(folder) or _pairs(folder, scale, purpose)
        )
    except BadInput as error:
        advice = _AS_PHOTOS if layout is None and purpose == "train" else ""
        raise BadInput(f"{error}{advice}") from error
    if found is not None and layout in {None, "pairs", found.layout}:
        return found
    if layout is not None:
        raise BadInput(f"{folder}: does not match the layout {layout!r}, which has {_WANTED[layout]}")
    pictures = find_pictures(folder)
    doubtful = doubt(folder, pictures) if purpose == "train" else None
    if doubtful is not None:
        raise BadInput(
            f"{folder}: ambiguous, pairs or clean photos: {doubtful}. Folders of pairs are low/ and high/{_AS_PHOTOS}"
        )
    return _photos(folder, "photos")


def inputs_of(folder: Path, scale: int) -> tuple[list[Path], str]:
    """The input pictures in a folder (of pairs, the inputs only), and a one-line summary.

    Raises:
        BadInput: as for ``find_layout``, but pictures without a known layout are used as they are.
    """
    _check_folder(folder)
    try:
        found = _sice(folder) or _pairs(folder, scale, "train")
    except BadInput:
        found = None
    if found is None or any(entry.low is None for entry in found.entries):
        found = _photos(folder, "unpaired")
    return list(dict.fromkeys(entry.low for entry in found.entries if entry.low is not None)), found.line


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise BadInput(f"{folder}: expected a folder of pictures; no such folder")
    if ours.is_bundle(folder):
        raise BadInput(f"{folder}: expected a folder of pictures, not a clearport bundle")


def _classes(folder: Path) -> Found | None:
    entries = tuple(Entry(f.path.name, f.video, f.path, None, f.label, f.frames) for f in classes.frames(folder))
    return Found(folder, "classes", entries, _rest(folder, entries, ())) if entries else None


def _domains(folder: Path) -> Found | None:
    entries = tuple(
        Entry(low.name, f"{low.relative_to(folder).as_posix()}", low, high, aligned=False)
        for low, high in domains.both(folder)
    )
    return Found(folder, "domains", entries, _rest(folder, entries, ())) if entries else None


def _sice(folder: Path) -> Found | None:
    path = folder / "pairs.json"
    if not path.is_file():
        return None
    listed_pairs = read_json(path, "a list of pairs")
    try:
        rows = [(str(row["scene"]), str(row["low"]), str(row["normal"])) for row in listed_pairs]
    except (TypeError, KeyError) as error:
        raise BadInput(
            f'{path}: expected a list of objects like {{"scene": 2, "low": "11.jpg", "normal": "16.jpg"}} ({error!r})'
        ) from error
    if not rows:
        raise BadInput(f"{path}: it lists no pairs")
    pictures = folder / "images" if (folder / "images").is_dir() else folder
    entries = tuple(Entry(low, scene, _there(pictures / low), _there(pictures / high)) for scene, low, high in rows)
    return Found(folder, "sice", entries, _rest(folder, entries, ()))


def _there(path: Path) -> Path:
    if not path.is_file():
        raise BadInput(f"{path}: pairs.json names this picture, but the file does not exist")
    return path


def _photos(folder: Path, layout: str) -> Found:
    paths = find_pictures(folder)
    targets = layout == "photos"
    entries = tuple(
        Entry(path.name, str(path.relative_to(folder)), None if targets else path, path if targets else None)
        for path in paths
    )
    return Found(folder, layout, entries, _rest(folder, entries, ()))


def _pairs(folder: Path, scale: int, purpose: Purpose) -> Found | None:
    paired = data_sites.in_two_folders(folder, scale)
    paired = paired if paired.examples else data_sites.beside(data_sites.pictures_below(folder), folder, scale)
    fitting = [one for one in paired.examples if scale == 1 or _scales(one, folder) <= {scale}]
    if not fitting:
        return None
    kept, left = _half(folder, fitting, purpose)
    if len(fitting) < len(paired.examples):
        left.append(f"left out: {counted(len(paired.examples) - len(fitting), 'pair')} of other scales")
    alone = [
        path for path in paired.alone if _half_of(folder, path) in {None, *(_half_of(folder, e.high) for e in kept)}
    ]
    if alone:
        left.append(f"left out: {len(alone)} targets without an input ({listed(alone)})")
    entries = sorted((_entry(folder, one) for one in kept), key=lambda entry: str(entry.low or entry.high))
    others = [path for one in paired.examples for path in (one.low, one.high) if path is not None]
    rest = _rest(folder, entries, (*others, *paired.alone))
    return Found(folder, _name(folder, kept), tuple(entries), (*left, *rest))


def _scales(example: data_sites.Example, folder: Path) -> set[int]:
    paths = [path.relative_to(folder) for path in (example.low, example.high) if path is not None]
    return {found for path in paths for part in path.parent.parts if (found := scale_of(part)) is not None}


def _half_of(folder: Path, path: Path) -> Half | None:
    return half_of_path(path.parent.relative_to(folder))


def _half(
    folder: Path, examples: Sequence[data_sites.Example], purpose: Purpose
) -> tuple[list[data_sites.Example], list[str]]:
    """The examples of the requested split (or without a split), and messages on the others.

    Raises:
        BadInput: there is only another split.
    """
    halves = {one: _half_of(folder, one.high) for one in examples}
    there = set(halves.values())
    wanted = next((half for half in _HALVES[purpose] if half in there), None)
    kept = [one for one, half in halves.items() if half == wanted or (half is None and purpose == "train")]
    others = Counter(half for one, half in halves.items() if one not in set(kept))
    if not kept:
        half, count = others.most_common(1)[0]
        example = next(one for one, its in halves.items() if its == half)
        need = "one for training" if purpose == "train" else "one for validation"
        raise BadInput(
            f"{folder}: has only the {half} split of a data set ({counted(count, 'pair')}, such as {example.high}), "
            f"and {need} was expected; to use it nevertheless, give the folder that contains its inputs and targets"
        )
    return kept, [f"left out: {counted(count, 'pair')} of the {half or 'other'} half" for half, count in others.items()]


def _entry(folder: Path, example: data_sites.Example) -> Entry:
    name = (example.low or example.high).name
    site = example.site
    if site is None:
        path = example.high.relative_to(folder)
        return Entry(name, (path.parent / key_of(path.stem)).as_posix(), example.low, example.high)
    side = side_of(site.name)
    prefix = (site if side is not None and side.stem else site.parent).relative_to(folder)
    return Entry(name, (prefix / example.high.relative_to(site).with_suffix("")).as_posix(), example.low, example.high)


def _name(folder: Path, examples: Sequence[data_sites.Example]) -> str:
    parts = {part for one in examples for part in one.high.relative_to(folder).parts[:-1]}
    if parts & {"our485", "eval15"}:
        return "lol"
    if any(part.endswith("_HR") for part in parts):
        return "div2k"
    if any(one.site is not None for one in examples):
        return "pairs"
    return "rain100" if all("norain" in one.high.stem.lower() for one in examples) else "pairs"


def _rest(folder: Path, entries: Sequence[Entry], others: Sequence[Path]) -> tuple[str, ...]:
    """Messages on pictures that are not among the entries, on bundles and on litter."""
    known = {path for entry in entries for path in (entry.low, entry.high)} | set(others)
    unknown = [path for path in data_sites.pictures_below(folder) if path not in known]
    litter = litter_in(folder)
    more = ", ..." if len(litter) > _MOST_FOLDERS else ""
    bundles = bundles_in(folder)
    said = [f"left out: {len(unknown)} other pictures ({listed(unknown)})"] if unknown else []
    said += [f"left out: {len(bundles)} bundles of clearport ({', '.join(bundles[:_MOST_FOLDERS])})"] if bundles else []
    return (*said, *([f"ignored: {', '.join(litter[:_MOST_FOLDERS])}{more}"] if litter else []))
