"""Photos to exclude from training, because they are in a test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.disk.json_files import parse_json, read_text
from clearport.errors import BadInput

if TYPE_CHECKING:
    from clearport.models.data.layouts import Entry


@dataclass(frozen=True)
class Exclusion:
    """A photo to exclude: the stem of its file name, and the end of its folder's name, if known."""

    stem: str
    folder: str | None

    def covers(self, path: Path) -> bool:
        """Whether ``path`` is that photo."""
        return path.stem == self.stem and (self.folder is None or path.parent.name.endswith(self.folder))


def read_exclusions(path: Path) -> tuple[Exclusion, ...]:
    """Read photos from a file: lines of text, or a JSON list of names or of objects with a ``clean`` name.

    Names are ``100007``, ``100007.jpg`` or ``test/100007.jpg`` (only in folders whose name ends in test).

    Raises:
        BadInput: the file is missing or is neither.
    """
    text = read_text(path)
    wanted = f"{path}: expected a list of photos, as JSON or one name per line"
    listed = parse_json(text, wanted) if text.lstrip().startswith("[") else text.split("\n")
    names = [_name(item, path) for item in listed]
    return tuple(
        Exclusion(Path(name).stem, Path(name).parent.name or None) for name in dict.fromkeys(filter(None, names))
    )


def _name(item: Any, path: Path) -> str:
    name = item.get("clean") if isinstance(item, dict) else item
    if not isinstance(name, str):
        raise BadInput(f'{path}: {item!r} names no photo; expected a file name, or an object with "clean": a file name')
    return name.strip()


def without(entries: Sequence[Entry], exclusions: Sequence[Exclusion]) -> tuple[Entry, ...]:
    """``entries`` without those whose input or target is among ``exclusions``."""
    stems: dict[str, list[Exclusion]] = {}
    for exclusion in exclusions:
        stems.setdefault(exclusion.stem, []).append(exclusion)

    def covered(path: Path | None) -> bool:
        return path is not None and any(e.covers(path) for e in stems.get(path.stem, ()))

    return tuple(entry for entry in entries if not (covered(entry.low) or covered(entry.high)))
