"""Moving finished output to its path: in one atomic step, and never over files that appeared there meanwhile."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from clearport.disk import leftovers, ours

_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2

Identity = tuple[int, int, int, int]


class Taken(Exception):
    """The path has another file or folder now than when it was claimed; the message says where the output is."""


def identity(place: Path) -> Identity | None:
    """The identity of a file or folder at a path; None if the path does not exist.

    The content of a folder is checked when it is replaced, since its time changes with each file in it.
    """
    try:
        found = place.lstat()
    except OSError:
        return None
    if place.is_dir():
        return found.st_dev, found.st_ino, 0, 0
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@dataclass
class Claim:
    """A claimed path: its identity when last checked, and the location of refused output."""

    place: Path
    expected: Identity | None
    kept: Path | None = None


_CLAIMS: dict[Path, Claim] = {}


def claim_of(place: Path) -> Claim | None:
    """The claim of this process on a place, if it has one."""
    return _CLAIMS.get(place)


def enter(claim: Claim) -> None:
    """Make a claim known."""
    _CLAIMS[claim.place] = claim


def leave(claim: Claim) -> None:
    """Forget a claim."""
    _CLAIMS.pop(claim.place, None)


def swap_in(temporary: Path, place: Path, claim: Claim | None) -> None:
    """Put ``temporary`` at ``place``.

    Without a claim, a file replaces any file, and a folder any folder.

    Raises:
        Taken: the path is of another kind, or has changed since it was claimed.
        OSError: the file system refuses.
    """
    expected = claim.expected if claim is not None else identity(place)
    if place.is_dir() and not temporary.is_dir():
        raise Taken("it is a folder, not a file")
    if place.exists() and not place.is_dir() and temporary.is_dir():
        raise Taken("it is a file, not a folder")
    try:
        if not _swapped(temporary, place, expected, careful=claim is not None):
            _keep(temporary, place, claim)
    except OSError as error:
        if claim is None or not os.path.lexists(temporary):
            raise
        _keep(temporary, place, claim, error)
    if claim is not None:
        claim.expected = identity(place)


def _swapped(temporary: Path, place: Path, expected: Identity | None, *, careful: bool) -> bool:
    if identity(place) != expected and not (expected is not None and identity(place) is None):
        return False
    if identity(place) is None or _is_empty(place):
        return _move(temporary, place)
    if _rename(temporary, place, _RENAME_EXCHANGE):
        if careful and not _is(temporary, expected):
            _rename(temporary, place, _RENAME_EXCHANGE)
            return False
        _discard(temporary, place, careful=careful)
        return True
    return _replaced(temporary, place, careful=careful)


def _is_empty(place: Path) -> bool:
    return place.is_dir() and not any(place.iterdir())


def _is(old: Path, expected: Identity | None) -> bool:
    """Whether the replaced file or folder is the claimed one, with only our files in it."""
    if identity(old) != expected:
        return False
    return not old.is_dir() or not unknown_in(old)


def unknown_in(folder: Path) -> list[str]:
    """Relative paths in a bundle's folder that clearport did not write; all, if the folder is not a bundle."""
    return list(ours.foreign(folder, ours.bundle_files(folder) or {}))


def _move(temporary: Path, place: Path) -> bool:
    """Rename to a free path or over an empty folder; false if something appeared there at the last moment."""
    try:
        if temporary.is_dir():
            temporary.rename(place)  # only an empty folder is replaced
        elif not _rename(temporary, place, _RENAME_NOREPLACE):
            _link(temporary, place)
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        return False
    except OSError:
        if identity(place) is not None and not _is_empty(place):
            return False
        raise
    return True


def _link(temporary: Path, place: Path) -> None:
    try:
        os.link(temporary, place)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        temporary.rename(place)
        return
    temporary.unlink()


def _replaced(temporary: Path, place: Path, *, careful: bool) -> bool:
    """Fallback if the file system cannot exchange two names."""
    if not temporary.is_dir():
        temporary.replace(place)
        return True
    if careful and unknown_in(place):
        return False
    old = leftovers.temporary(place, "old")
    place.rename(old)
    try:
        temporary.rename(place)
    except OSError:
        old.rename(place)
        raise
    _discard(old, place, careful=careful)
    return True


def _discard(old: Path, place: Path, *, careful: bool) -> None:
    if careful and old.is_dir():
        leftovers.retire(old, place)
    else:
        leftovers.remove(old)


def _keep(temporary: Path, place: Path, claim: Claim | None, error: OSError | None = None) -> None:
    """Keep output that cannot be moved to its path, and raise an error that says so."""
    why = f"it cannot be replaced ({error.strerror})" if error else "it was changed meanwhile and is not replaced"
    if claim is None:
        raise Taken(why)
    if claim.kept is None:
        claim.kept = leftovers.kept(place)
    if claim.kept.is_dir():
        leftovers.remove(claim.kept)
    temporary.rename(claim.kept)
    raise Taken(f"{why}; the output is in {claim.kept}")


@cache
def _renameat2() -> Any:
    """The system's ``renameat2``, which exchanges two names atomically; None if unavailable."""
    if not sys.platform.startswith("linux"):
        return None
    with suppress(OSError, AttributeError):
        function = ctypes.CDLL(None, use_errno=True).renameat2
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        return function
    return None


def _rename(source: Path, target: Path, how: int) -> bool:
    """Rename with these flags; false if that is not supported.

    Raises:
        FileExistsError: the path exists, and replacing was not allowed.
    """
    function = _renameat2()
    if function is None:
        return False
    done = function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), how)
    if done != 0 and how == _RENAME_NOREPLACE and os.path.lexists(target):
        raise FileExistsError(str(target))
    return bool(done == 0)
