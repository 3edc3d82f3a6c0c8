"""Files that are written whole or not at all, and their digests."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clearport.base import BadInput

_CHUNK = 1 << 20


def explain(error: OSError, path: Path) -> BadInput:
    """An operating-system error as a message that names the file and what to do."""
    advice = {
        errno.ENOSPC: "the disk is full: free some space and run the command again",
        errno.EACCES: "permission denied: choose a folder that you may write to",
        errno.EPERM: "permission denied: choose a folder that you may write to",
        errno.EROFS: "the file system is read-only: choose another folder",
        errno.ENOENT: "no such file or folder",
        errno.ENOTDIR: "a part of the path is a file, not a folder",
        errno.EISDIR: "it is a folder, not a file",
        errno.EEXIST: "something else is already at this path",
        errno.EFBIG: "the file would be larger than this system allows",
    }.get(error.errno or 0, error.strerror or str(error))
    return BadInput(f"{path}: {advice}")


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target`` that replaces it when the block ends well and vanishes when it does not.

    Works for files and for folders; an existing folder is swapped out and removed only after the new one
    is in its place.

    Raises:
        BadInput: the disk is full, or the place cannot be written.
    """
    temporary = target.parent / f".{target.name}.{secrets.token_hex(4)}.partial"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _swap_in(temporary, target)
    except OSError as error:
        raise explain(error, target) from error
    finally:
        _remove(temporary)


def _swap_in(temporary: Path, target: Path) -> None:
    if not target.is_dir():
        temporary.replace(target)
        return
    old = temporary.with_suffix(".old")
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):  # the error that matters is the one that brought us here
        path.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically and durably.

    Raises:
        BadInput: the disk is full, or the place cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    write_bytes(path, text.encode())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def files_below(path: Path) -> list[Path]:
    """``path`` itself if it is a file, else every file below it, sorted."""
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of its sorted ``<sha256>  <relative path>`` lines."""
    if path.is_file():
        return file_sha256(path)
    lines = [f"{file_sha256(p)}  {p.relative_to(path).as_posix()}\n" for p in files_below(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(p.stat().st_size for p in files_below(path))
