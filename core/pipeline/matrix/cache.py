"""Finished exports by their content address: a folder with the row of the matrix and, where there is one, the bundle.

An entry appears complete or not at all, and is checked whenever it is used: one that was changed is built again.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from clearport.bundle.folder import Bundle, verify_folder
from clearport.bundle.matrix_record import MatrixRow
from clearport.disk import leftovers
from clearport.disk.files import atomic_path
from clearport.disk.json_files import read_model
from clearport.errors import BadInput

ROW, BUNDLE = "row.json", "bundle"
KEPT_DAYS = 30
"""Entries that no matrix has used for so long are removed."""
_KEY = re.compile(r"[0-9a-f]{64}")


def swept(cache: Path) -> Path:
    """The cache's folder, without what killed runs left in it.

    Raises:
        BadInput: it cannot be made.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{cache}: the cache cannot be made: {error.strerror or error}") from error
    leftovers.sweep(cache)
    return cache


def entry(cache: Path, key: str) -> Path:
    """Where the export of a key lies, or will; what cannot be used there is replaced."""
    return cache / key


def found(cache: Path, key: str) -> MatrixRow | None:
    """The row of a finished export whose every file is as it was written; None: it is to be built."""
    place = entry(cache, key)
    try:
        row = read_model(place / ROW, MatrixRow, "a row of a matrix")
        whole = row.key == key and (row.bundle is None or not verify_folder(place / BUNDLE))
    except BadInput:
        return None
    return row if whole else None


def tidy(cache: Path, used: Collection[str]) -> None:
    """Note which entries were used, and remove those that have not been for long; what cannot be removed stays."""
    now = time.time()
    for place in cache.iterdir():
        if not _KEY.fullmatch(place.name):
            continue
        with suppress(OSError):
            if place.name in used:
                os.utime(place)
            elif place.stat().st_mtime < now - KEPT_DAYS * 86400 and (place / ROW).is_file():
                leftovers.remove(place)


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
