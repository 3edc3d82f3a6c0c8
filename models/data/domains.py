"""Pictures of two kinds of which no two show the same, in the folders that unpaired translation has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.pictures.images import find_pictures

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = ("trainA", "trainB")
"""Of what is translated, and of what it should look like."""


def both(folder: Path) -> tuple[tuple[Path, Path], ...]:
    """Every picture of the first kind beside one of the second, each at least once; none where there are not both."""
    if not all((folder / name).is_dir() for name in FOLDERS):
        return ()
    first, second = (find_pictures(folder / name) for name in FOLDERS)
    return tuple((first[n % len(first)], second[n % len(second)]) for n in range(max(len(first), len(second))))
