"""Atomic writing of files and folders, and their digests.

A file replaces only a file, a folder only a folder. Outputs that a user names are claimed first
(``clearport.disk.outputs``): files that appear at their path meanwhile are never replaced.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from clearport.disk import leftovers
from clearport.disk.litter import in_litter
from clearport.disk.swap import Claim, Taken, claim_of, swap_in
from clearport.errors import BadInput

_CHUNK = 1 << 20
_PATIENCE_S = 10.0
"""The maximum wait for another write to the same path."""

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space and run the command again",
    errno.EDQUOT: "your share of the disk is used up: free some space and run the command again",
    errno.EACCES: "permission denied: choose a place that you may read and write",
    errno.EPERM: "permission denied: choose a place that you may read and write",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOENT: "no such file or folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.EEXIST: "something else is already at this path",
    errno.ENOTEMPTY: "the folder there holds files",
    errno.EFBIG: "the file would be larger than this system allows",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.ELOOP: "its symbolic links run in a circle",
    errno.EBUSY: "it is in use (a mount point, perhaps): choose another place",
    errno.EMFILE: "this process has too many files open: raise the limit (ulimit -n)",
}


def explain(error: OSError, path: Path) -> BadInput:
    """An operating-system error as a message that names the file and what to do.

    The file is the one named by the system, else ``path``.
    """
    named = error.filename if isinstance(error.filename, (str, bytes)) and error.filename else None
    where = Path(os.fsdecode(named)) if named is not None else _full_place(error, path)
    return BadInput(f"{where}: {advice(error) or error.strerror or error}")


def advice(error: OSError) -> str | None:
    """Advice for a well-known error; None for others."""
    return _ADVICE.get(error.errno or 0)


def _full_place(error: OSError, path: Path) -> Path:
    """The location of the full disk: temporary files may be on another disk than ``path``."""
    own, scratch = _free(path), _free(Path(tempfile.gettempdir()))
    if error.errno in {errno.ENOSPC, errno.EDQUOT} and scratch < _CHUNK <= own:
        return Path(tempfile.gettempdir())
    return path


def _free(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return _CHUNK


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target`` that replaces it if the block succeeds and is removed if it fails.

    Works for files and for folders; an existing folder is swapped out and removed only after the new one
    is in its place. A symbolic link stays, and its target is replaced.

    Raises:
        BadInput: the disk is full, the path cannot be written, is of another kind, or has changed since it was claimed:
            then the finished output is kept beside it, and the message names its path.
    """
    place = real(target)
    temporary = leftovers.temporary(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place) as claim:
            try:
                yield temporary
                swap_in(temporary, place, claim)
            finally:
                leftovers.remove(temporary)
    except BrokenPipeError:
        raise  # the reader closed our output: the file itself is fine
    except Taken as taken:
        raise BadInput(f"{target}: {taken}") from taken
    except OSError as error:
        raise _about(error, temporary, target) from error


def real(path: Path) -> Path:
    """``path`` without its symbolic links.

    Raises:
        BadInput: they form a loop, or the system cannot resolve them.
    """
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a usable path ({error})") from error


@contextmanager
def _alone(place: Path) -> Iterator[Claim | None]:
    """The claim on ``place``, or a lock on it for the duration of the block."""
    claim = claim_of(place)
    if claim is not None:
        yield claim
        return
    lock = leftovers.lock_for(place)
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout as error:
        raise Taken("another process is writing there") from error
    except OSError as error:
        if error.errno not in leftovers.NO_LOCKS:
            raise
    try:
        yield None
    finally:
        if lock.is_locked:
            leftovers.release(lock)


def _about(error: OSError, temporary: Path, target: Path) -> BadInput:
    """``explain``, with the final name in place of the temporary one."""
    said = str(explain(error, target))
    return BadInput(said.replace(str(temporary), str(target)))


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically and durably.

    Raises:
        BadInput: the disk is full, or the path cannot be written.
    """
    try:
        if is_stream(path):
            path.write_bytes(data)
            return
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise explain(error, path) from error


def is_stream(path: Path) -> bool:
    """Whether the path is written into and never replaced, such as ``/dev/stdout``."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically; unencodable characters (from odd file names) become question marks."""
    write_bytes(path, text.encode(errors="replace"))


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, atomically.

    Raises:
        BadInput: the disk is full, or the path cannot be written.
    """
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def files_below(path: Path) -> list[Path]:
    """``path`` itself if it is a file, else every file below it but litter, sorted."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not in_litter(p.relative_to(path)))


def digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of its sorted ``<sha256>  <relative path>`` lines."""
    if path.is_file():
        return file_sha256(path)
    lines = [f"{file_sha256(p)}  {p.relative_to(path).as_posix()}\n" for p in files_below(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(p.stat().st_size for p in files_below(path))
