"""Finished exports by content address: a folder with the row of the matrix and the bundle, if any.

An entry appears atomically and is checked on every use: a changed one is built again.
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
    """The path of a key's entry, whether it exists or not; unusable content there is replaced."""
    return cache / key


def found(cache: Path, key: str) -> MatrixRow | None:
    """The row of a finished export with unchanged files; None: it must be built.

    Its time of use is updated first, so that no other matrix removes it meanwhile (``tidy``).
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
    """The row of a finished export that need not be built again; None otherwise.

    One with a failed file is built again: a runtime may have crashed or hung only once.
    """
    row = found(cache, key)
    return None if row is None or any(cell.status == "failed" for cell in row.cells) else row


@contextmanager
def building(cache: Path, key: str) -> Iterator[None]:
    """Hold the lock for building a key's entry, after waiting for other matrices."""
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
    """Remove entries that were not used for long; entries that cannot be removed, and other files, stay."""
    oldest = time.time() - KEPT_DAYS * 86400
    for place in cache.iterdir():
        with suppress(OSError):
            if _KEY.fullmatch(place.name) and place.stat().st_mtime < oldest and _is_entry(place):
                leftovers.remove(place)


def _is_entry(place: Path) -> bool:
    """Whether a folder is an entry: it has a row with its name, the bundle, and nothing else."""
    row = ours.read_json(place / ROW)
    there = {inner.name for inner in place.iterdir()}
    return isinstance(row, dict) and row.get("key") == place.name and there <= {ROW, BUNDLE} and not place.is_symlink()


def lay_out(cache: Path, row: MatrixRow, place: Path) -> bool:
    """Place the bundle of an entry at ``place``, with hard links if possible; returns whether that was needed.

    An existing bundle with the same files stays, with its rows of ``clearport bench --record``.
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
    """Link or copy a file. Bundles are changed by replacing files, so that a link never changes the cache."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
