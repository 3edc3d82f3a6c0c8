"""Unpaired pictures of two domains, in the folder layout of unpaired translation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.pictures.images import find_pictures

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = ("trainA", "trainB")
"""Folders of the source and the target domain."""


def both(folder: Path) -> tuple[tuple[Path, Path], ...]:
    """Pairs of pictures of both domains, each picture at least once; empty unless both folders exist."""
    if not all((folder / name).is_dir() for name in FOLDERS):
        return ()
    first, second = (find_pictures(folder / name) for name in FOLDERS)
    return tuple((first[n % len(first)], second[n % len(second)]) for n in range(max(len(first), len(second))))
