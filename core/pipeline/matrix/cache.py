"""Finished exports by their content address: a folder with the row of the matrix and, where there is one, the bundle.

An entry appears complete or not at all, and is checked whenever it is used: one that was changed is built again.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clearport.bundle.folder import Bundle, verify_folder
from clearport.bundle.matrix_record import MatrixRow
from clearport.disk import leftovers, ours
from clearport.disk.files import atomic_path
from clearport.disk.json_files import read_model
from clearport.errors import BadInput

ROW, BUNDLE = "row.json", "bundle"
KEPT_DAYS = 30
"""Entries unused for this long are removed."""
_KEY = re.compile(r"[0-9a-f]{64}")


def entry(cache: Path, key: str) -> Path:
    """Where the export of a key lies, or will; what cannot be used there is replaced."""
    return cache / key


def found(cache: Path, key: str) -> MatrixRow | None:
    """The row of a finished export whose every file is as it was written; None: it is to be built.

    That it was used is noted first, so that no other matrix removes it meanwhile (``tidy``).
    """
    place = entry(cache, key)
    with suppress(OSError):
        os.utime(place)
    try:
        row = read_model(place / ROW, MatrixRow, "a row of a matrix")
        whole = row.key == key and (row.bundle is None or not verify_folder(place / BUNDLE))
    except BadInput:
        return None
    return row if whole else None


def kept(cache: Path, key: str) -> MatrixRow | None:
    """The row of a finished export that is not to be built again.

    One with a failed file is: that may have been a runtime that crashed or hung, and another run may not have it.
    """
    row = found(cache, key)
    return None if row is None or any(cell.status == "failed" for cell in row.cells) else row


@contextmanager
def building(cache: Path, key: str) -> Iterator[None]:
    """Wait until no other matrix builds the entry of a key, and keep them waiting within the block."""
    lock = leftovers.lock_for(cache / f"{key}.build")
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in leftovers.NO_LOCKS:
            raise
    try:
        yield
    finally:
        if lock.is_locked:
            leftovers.release(lock)


def tidy(cache: Path) -> None:
    """Remove the entries that no matrix has used for long; what cannot be removed stays, and so does all else."""
    oldest = time.time() - KEPT_DAYS * 86400
    for place in cache.iterdir():
        with suppress(OSError):
            if _KEY.fullmatch(place.name) and place.stat().st_mtime < oldest and _is_entry(place):
                leftovers.remove(place)


def _is_entry(place: Path) -> bool:
    """Whether a matrix wrote a folder: a row that has its name, the bundle, and nothing else."""
    row = ours.read_json(place / ROW)
    there = {inner.name for inner in place.iterdir()}
    return isinstance(row, dict) and row.get("key") == place.name and there <= {ROW, BUNDLE} and not place.is_symlink()


def lay_out(cache: Path, row: MatrixRow, place: Path) -> bool:
    """Put the bundle of an entry at ``place``, by hard links where the file system has them; whether that was needed.

    A bundle that is there already with the same files stays, with what ``clearport bench --record`` added to it.
    """
    source = entry(cache, row.key) / BUNDLE
    if _same(source, place):
        return False
    with atomic_path(place) as temporary:
        shutil.copytree(source, temporary, copy_function=_linked)
    return True


def _same(source: Path, place: Path) -> bool:
    try:
        files = Bundle.load(place).manifest.files
        return files == Bundle.load(source).manifest.files and not verify_folder(place)
    except BadInput:
        return False


def _linked(source: str, target: str) -> str:
    """Bundles are changed by replacing files, so that a link never changes the cache."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
