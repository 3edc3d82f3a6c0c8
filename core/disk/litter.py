"""Walking folders without litter: files left by operating systems, file servers and tools.

Bundles are skipped, too: their golden pictures are not user photos.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.disk import ours

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = frozenset(
    {
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "@eadir",
        "#recycle",
        "@recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "__pycache__",
    }
)
"""Lowercase names of litter that is not hidden; hidden files (``.DS_Store``, ``._a.jpg``) all are litter."""


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is not user data: hidden, or a known system file."""
    return name.startswith(".") or name.lower() in _NAMES


def in_litter(relative: Path) -> bool:
    """Whether any part of a relative path is litter."""
    return any(is_litter(part) for part in relative.parts)


def walk(folder: Path) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """Walk ``folder``: every folder with its subfolders and files, sorted, without litter and bundles.

    Linked folders are followed, each real one once. ``folder`` itself may be a bundle.
    """
    seen: set[str] = set()
    for name, folders, files in os.walk(folder, followlinks=True):
        here = Path(name)
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(one for one in folders if not is_litter(one) and not ours.is_bundle(here / one))
        yield here, [here / one for one in folders], [here / one for one in sorted(files) if not is_litter(one)]


def litter_in(folder: Path) -> list[str]:
    """Relative paths of the litter below ``folder``, not of its contents; sorted, without our own locks."""
    found: list[Path] = []
    for here, _, _ in walk(folder):
        found += [path.relative_to(folder) for path in here.iterdir() if _is_named(path.name)]
    return sorted(path.as_posix() for path in found)


def _is_named(name: str) -> bool:
    return is_litter(name) and not name.endswith(ours.LOCK)


def bundles_in(folder: Path) -> list[str]:
    """Relative paths of the bundles below ``folder``, sorted."""
    found = [path for here, _, _ in walk(folder) for path in here.iterdir() if ours.is_bundle(path)]
    return sorted(path.relative_to(folder).as_posix() + "/" for path in found)
