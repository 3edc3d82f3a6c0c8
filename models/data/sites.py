"""Finds pairs in a folder: in two sibling folders, or as files in one folder."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.disk.litter import walk
from clearport.errors import BadInput
from clearport.models.data.names import Side, key_of, role_of, scale_of, side_of, suffix_scale
from clearport.models.data.pairing import MOST_NAMED, listed, match
from clearport.pictures.images import is_picture
from clearport.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path, PurePath

_DEEPEST = 6


@dataclass(frozen=True)
class Site:
    """A folder of inputs (None: there are none for the scale) and one of targets."""

    inputs: Path | None
    targets: Path


@dataclass(frozen=True)
class Example:
    """An input and its target, or a target alone; ``site`` is the folder of the targets, None for one shared."""

    low: Path | None
    high: Path
    site: Path | None


@dataclass(frozen=True)
class Paired:
    """The pairs found; ``alone`` are targets without their input."""

    examples: tuple[Example, ...]
    alone: tuple[Path, ...]


def pictures_below(folder: Path) -> list[Path]:
    """Every picture below ``folder``, sorted; possibly none."""
    return sorted(path for _, _, files in walk(folder) for path in files if is_picture(path))


def in_two_folders(root: Path, scale: int) -> Paired:
    """The pairs of all sibling folders below ``root`` that are named after inputs and targets.

    Raises:
        BadInput: an input has no target, or the matching of files or folders is ambiguous.
    """
    examples: list[Example] = []
    alone: list[Path] = []
    for site in _sites(root, scale):
        targets = _relative(site.targets, scale)
        if site.inputs is None:
            examples += [Example(None, path, site.targets) for path in targets.values()]
            continue
        where = f"{site.inputs}, {site.targets}"
        found = match(_relative(site.inputs, scale), targets, where)
        if found.pairs and found.lone_inputs:
            raise BadInput(
                f"{where}: {listed(found.lone_inputs)} has no target; a pair needs the same file name in both folders"
            )
        if not found.pairs:
            raise BadInput(f"{where}: no files match; a pair needs the same file name in both")
        examples += [Example(low, high, site.targets) for low, high in found.pairs]
        alone += found.lone_targets
    return Paired(tuple(examples), tuple(alone))


def _relative(folder: Path, scale: int) -> dict[PurePath, Path]:
    """The pictures of one side by relative path, without those named after another scale."""
    paths = pictures_below(folder)
    return {path.relative_to(folder): path for path in paths if suffix_scale(path.stem) in {None, scale} or scale == 1}


def _sites(here: Path, scale: int, depth: int = 0) -> Iterator[Site]:
    folders = next(walk(here), (here, [], []))[1]  # empty without such a folder
    sides: dict[str, list[tuple[Side, Path]]] = defaultdict(list)
    for folder in folders:
        side = side_of(folder.name)
        if side is not None:
            sides[side.stem].append((side, folder))
    used: set[Path] = set()
    for group in sides.values():
        site = _site(here, group, scale)
        if site is not None:
            used |= {folder for _, folder in group}
            yield site
    for folder in folders:
        if folder not in used and depth < _DEEPEST:
            yield from _sites(folder, scale, depth + 1)


def _site(here: Path, group: Sequence[tuple[Side, Path]], scale: int) -> Site | None:
    targets = [folder for side, folder in group if side.role == "target" and pictures_below(folder)]
    inputs = [(side, folder) for side, folder in group if side.role == "input" and pictures_below(folder)]
    if not targets or not (inputs or (scale > 1 and side_is_hr(targets[0].name))):
        return None
    chosen = [one for one in targets if "mod" in one.name.lower()] or targets
    fitting = [(side, scaled) for side, folder in inputs if (scaled := _scaled(folder, side, scale)) is not None]
    fitting = [one for one in fitting if one[0].kind in {"bic", "bi"}] or fitting
    if len(chosen) > 1 or len(fitting) > 1:
        names = ", ".join(f"{folder.name}/" for _, folder in group)
        raise BadInput(f"{here}: cannot tell inputs from targets in {names}; keep one folder of each")
    if not fitting and scale == 1:
        return None
    target = _scaled(chosen[0], Side("target", ""), scale)
    return Site(fitting[0][1] if fitting else None, target or chosen[0])


def side_is_hr(folder: str) -> bool:
    """Whether a folder's name indicates full-size pictures."""
    return "hr" in folder.lower().replace("-", "_").split("_")


def _scaled(folder: Path, side: Side, scale: int) -> Path | None:
    """The folder, or its subfolder for the scale; None if the names indicate other scales."""
    if scale == 1:
        return folder
    below = {scale_of(path.name): path for path in next(walk(folder))[1]}
    if set(below) - {None}:
        return below.get(scale)
    return folder if side.scale in {None, scale} else None


def beside(pictures: Iterable[Path], root: Path, scale: int) -> Paired:
    """The pairs among pictures with words for input and target in their names, such as ``a_LR`` and ``a_HR``.

    Raises:
        BadInput: some are pairs, but others have no partner, or more than one.
    """
    inputs: dict[int | None, dict[PurePath, Path]] = defaultdict(dict)
    targets: dict[PurePath, Path] = {}
    for path in pictures:
        role, relative = role_of(path.stem), path.relative_to(root)
        if role == "input":
            inputs[suffix_scale(path.stem) if scale > 1 else None][relative] = path
        elif role == "target":
            targets[relative] = path
    found = {of_scale: match(files, targets, str(root)) for of_scale, files in inputs.items()} if targets else {}
    if not any(one.pairs for one in found.values()):
        return Paired((), ())
    paired = {high for one in found.values() for _, high in one.pairs}
    lone = [path for one in found.values() for path in one.lone_inputs]
    lone += [path for path in targets.values() if path not in paired]
    if lone:
        names = ", ".join(key_of(path.stem) for path in lone[:MOST_NAMED]) + (", ..." if len(lone) > MOST_NAMED else "")
        raise BadInput(f"{root}: unpaired: {counted(len(lone), 'picture')} ({names})")
    pairs = [pair for of_scale, one in found.items() if of_scale in {None, scale} for pair in one.pairs]
    return Paired(tuple(Example(low, high, None) for low, high in pairs), ())
