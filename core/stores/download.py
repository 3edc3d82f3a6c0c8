"""Downloads from a store: resumed after broken connections, and used only once their checksum matches.

Partial files are in ``downloads`` of the user's cache (``disk/cache.py``), named by their SHA-256, until their bundle
is complete, so that an interrupted pull can resume. Files older than ``KEPT_DAYS`` are removed.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from clearport.disk import cache
from clearport.disk.files import explain, file_sha256
from clearport.errors import BadInput
from clearport.stores.store import Missing, Restart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from clearport.stores.index import StoredFile
    from clearport.stores.store import Store

KEPT_DAYS = 7
_IDLE_TRIES = 5
"""Maximum consecutive attempts without progress."""
_PAUSE_S, _MOST_PAUSE_S = 0.2, 5.0
_PATIENCE_S = 600.0
"""Seconds to wait for another pull's download of the same file."""


def downloads() -> Path:
    """The folder of complete and partial downloads."""
    return cache.folder() / "downloads"


def sweep(folder: Path) -> None:
    """Remove old downloads; those that cannot be removed stay."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.stat().st_mtime < time.time() - KEPT_DAYS * 86400:
                path.unlink()


def fetch(store: Store, path: str, wanted: StoredFile, came: Callable[[int], None]) -> Path:
    """A file of a store, with the right checksum, in the folder of downloads; ``came`` is called with the bytes so far.

    Raises:
        BadInput: the store does not have it, has another file there, or cannot be read; partial data are kept.
    """
    whole = downloads() / wanted.sha256
    part = whole.with_name(f"{whole.name}.part")
    try:
        whole.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(whole):
            if whole.is_file() and file_sha256(whole) == wanted.sha256:
                return whole
            resumed = part.exists()
            _complete(store, path, wanted.bytes, part, came)
            if file_sha256(part) != wanted.sha256 and resumed:  # data of an earlier pull may be wrong
                part.unlink()
                _complete(store, path, wanted.bytes, part, came)
            _check(store, path, wanted, part)
            part.replace(whole)
    except OSError as error:
        raise explain(error, part) from error
    return whole


@contextmanager
def _alone(whole: Path) -> Iterator[None]:
    lock = FileLock(whole.with_name(f"{whole.name}.lock"), thread_local=False)
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout as error:
        raise BadInput(f"{whole}: another pull has been downloading it for {_PATIENCE_S:.0f} s") from error
    try:
        yield
    finally:
        lock.release()


def _check(store: Store, path: str, wanted: StoredFile, part: Path) -> None:
    found = file_sha256(part)
    if found == wanted.sha256:
        return
    part.unlink()
    raise BadInput(
        f"{store.address}/{path}: it is not the file that the index names: SHA-256 {found[:12]}..., expected "
        f"{wanted.sha256[:12]}...; nothing was written"
    )


def _complete(store: Store, path: str, size: int, part: Path, came: Callable[[int], None]) -> None:
    """Request a file until all of its bytes are in ``part``."""
    idle, best = 0, 0
    with part.open("ab") as file:
        while (before := file.seek(0, os.SEEK_END)) < size:
            why = _more(store, path, size, file, came)
            after = file.seek(0, os.SEEK_END)
            idle = idle + 1 if after <= max(before, best) else 0
            best = max(best, after)
            if idle >= _IDLE_TRIES:
                raise BadInput(
                    f"{store.address}/{path}: {why}; {after} of {size} bytes came in {idle} attempts without progress, "
                    "and are kept: pull again to go on"
                )
            if idle:
                time.sleep(min(_PAUSE_S * 2**idle, _MOST_PAUSE_S))
        if before > size:
            file.truncate(0)
            raise BadInput(f"{store.address}/{path}: it is longer than the {size} bytes that the index names")
        os.fsync(file.fileno())


def _more(store: Store, path: str, size: int, part: BinaryIO, came: Callable[[int], None]) -> str:
    """Append the data of one request; returns why it ended."""
    start = part.seek(0, os.SEEK_END)
    try:
        for chunk in store.stream(path, start):
            _append(part, chunk)
            start += len(chunk)
            came(min(start, size))
            if start > size:
                break
    except Missing as error:
        raise BadInput(f"{store.address}/{path}: the index names this file, and it is not there") from error
    except Restart:
        part.truncate(0)
        return "the server cannot go on where a connection broke"
    except BadInput:
        raise
    except Exception as error:  # each kind of store raises its own exceptions
        return f"{type(error).__name__}: {error}"
    return "the connection ended early"


def _append(part: BinaryIO, chunk: bytes) -> None:
    try:
        part.write(chunk)
        part.flush()
    except OSError as error:  # of the disk, not of the store
        raise explain(error, Path(part.name)) from error
