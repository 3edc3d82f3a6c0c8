"""What operating systems, file servers and tools leave in people's folders, and walking a folder without it.

Bundles are passed over, too: their golden pictures are nobody's photos.
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
"""In lower case, of files and folders that are not hidden; hidden ones (``.DS_Store``, ``._a.jpg``) all are litter."""


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is nobody's data: hidden, or known as a system's own."""
    return name.startswith(".") or name.lower() in _NAMES


def in_litter(relative: Path) -> bool:
    """Whether any part of a relative path is litter."""
    return any(is_litter(part) for part in relative.parts)


def walk(folder: Path) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """Every folder from ``folder`` down, with its folders and its files, each sorted; no litter, no bundles.

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
    """Relative paths of the litter below ``folder``, without what lies in it; sorted. Our own locks are not named."""
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
