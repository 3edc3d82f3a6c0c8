"""Pictures of two classes: real ones and forged ones. A folder of either class is a video, its pictures frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.pictures.images import find_pictures

if TYPE_CHECKING:
    from pathlib import Path

SIDES = {"real": 0, "original": 0, "0_real": 0, "fake": 1, "manipulated": 1, "1_fake": 1}
"""Names of folders -> class."""


@dataclass(frozen=True)
class Frame:
    """A picture, its class, its video (a path in the data set), and all frames of that video."""

    path: Path
    label: int
    video: str
    frames: tuple[Path, ...]


def sides(folder: Path) -> dict[Path, int]:
    """The class folders directly below a folder -> class."""
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return {path: SIDES[path.name.lower()] for path in found if path.name.lower() in SIDES}


def frames(folder: Path) -> tuple[Frame, ...]:
    """Every picture below the class folders; empty unless both classes exist."""
    found = sides(folder)
    if set(found.values()) != {0, 1}:
        return ()
    made = []
    for side, label in found.items():
        videos: dict[Path, list[Path]] = {}
        for path in find_pictures(side):
            videos.setdefault(path if path.parent == side else path.parent, []).append(path)
        for video, paths in videos.items():
            together, name = tuple(paths), video.relative_to(folder).as_posix()
            made += [Frame(path, label, name, together) for path in paths]
    return tuple(made)


def clip(path: Path, video: tuple[Path, ...], count: int) -> tuple[Path, ...]:
    """A frame and the following ones, ``count`` in total; at the end of the video its last frame is repeated."""
    found = video[video.index(path) :][:count]
    return found + found[-1:] * (count - len(found))
