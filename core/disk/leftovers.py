"""Temporary files and folders with recognizable names, so that a run can remove leftovers of killed runs.

Output is first written beside its path, as ``.<name>.<16 hex digits>.partial``. The last 8 digits are a checksum of the
rest of the name: files that merely look similar are not ours, and stay. A writer holds the lock of its name, which the
system releases when the process ends: an unlocked file has no owner.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from clearport.disk import ours

_PARTIAL = re.compile(r"\.(.+)\.([0-9a-f]{8})([0-9a-f]{8})\.(partial|old)", re.DOTALL)
_SCRATCH = re.compile(r"clearport-([a-z]+)-([0-9a-f]{8})([0-9a-f]{8})")
_LONGEST_STEM = 180
"""Bytes of a name that its temporary names repeat: file systems allow 255, and we add 30."""

NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of file systems without locks: there, the first writer is unknown, and only the swap decides."""

_OWNER = f"owner{ours.LOCK}"


def _check(*parts: str) -> str:
    words = b"\0".join(os.fsencode(part) for part in ("clearport", *parts))
    return hashlib.sha256(words).hexdigest()[:8]


def _stem(name: str) -> str:
    """``name`` as repeated in temporary names: truncated if long, but still unique."""
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST_STEM:
        return name
    return os.fsdecode(raw[: _LONGEST_STEM - 20]) + "-" + hashlib.sha256(raw).hexdigest()[:16]


def temporary(target: Path, kind: str = "partial") -> Path:
    """A new hidden name beside ``target``; ``kind`` is ``partial`` (being written) or ``old`` (replaced)."""
    stem, token = _stem(target.name), secrets.token_hex(4)
    return target.with_name(f".{stem}.{token}{_check(stem, token, kind)}.{kind}")


def kept(target: Path) -> Path:
    """A new visible name beside ``target``, for a finished output that cannot replace it."""
    suffix = target.suffix if len(target.suffix) < 20 else ""
    stem = _stem(target.name.removesuffix(suffix))
    return target.with_name(f"{stem}.kept-{secrets.token_hex(3)}{suffix}")


def lock_for(target: Path) -> FileLock:
    """The writer's lock on ``target``. Its file is beside ``target`` and is removed on release."""
    return FileLock(target.with_name(f".{_stem(target.name)}{ours.LOCK}"), thread_local=False)


def release(lock: FileLock) -> None:
    """Release a held lock, and remove its file (waiting processes notice, and create another)."""
    with suppress(OSError):
        Path(lock.lock_file).unlink()
    lock.release()


@contextmanager
def _unowned(lock: FileLock) -> Iterator[bool]:
    """Whether ``lock`` is free; within the block no process can acquire it."""
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        yield False
        return
    try:
        yield True
    finally:
        release(lock)


def remove(path: Path) -> None:
    """Remove a temporary file or folder; errors are ignored, since a more important one may be pending."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()


def retire(folder: Path, place: Path) -> Path | None:
    """Remove a bundle that was replaced at ``place``: its own files, and nothing else.

    Returns:
        The path of remaining files, if any: those added to the folder at the last moment.
    """
    for name in (ours.MANIFEST, ours.SUMS, *ours.REPORTS, *ours.added(folder), *(ours.bundle_files(folder) or ())):
        with suppress(OSError):
            (folder / name).unlink()
    for inner, _, names in os.walk(folder, topdown=False):
        with suppress(OSError):
            for name in ours.SYSTEMS.intersection(names):
                Path(inner, name).unlink()
            Path(inner).rmdir()
    if not folder.exists():
        return None
    rest = kept(place)
    folder.rename(rest)
    return rest


def sweep(folder: Path, held: Path | None = None) -> None:
    """Remove leftovers of killed runs in ``folder``: half-written files, half-built folders and locks.

    ``held`` is a path whose lock the caller holds. A bundle that was moved aside but never replaced is put back.
    """
    found: dict[str, list[Path]] = {}
    for entry in _entries(folder):
        with suppress(OSError):  # it has been removed meanwhile
            if (stem := _stem_of(entry)) is not None:
                found.setdefault(stem, []).append(folder / entry.name)
    for stem, paths in found.items():
        own = held is not None and held.parent == folder and stem == _stem(held.name)
        lock = FileLock(folder / f".{stem}{ours.LOCK}", thread_local=False)
        with nullcontext(enter_result=True) if own else _unowned(lock) as unowned:
            if unowned:
                for path in paths:
                    _clear(path, folder / stem)


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """The entries of a folder; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _stem_of(entry: os.DirEntry[str]) -> str | None:
    """The original name of one of our temporary names; None for others. A lock is an empty file."""
    name = entry.name
    if name.startswith(".") and name.endswith(ours.LOCK):
        empty = entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size == 0
        return (name.removeprefix(".").removesuffix(ours.LOCK) or None) if empty else None
    match = _PARTIAL.fullmatch(name)
    return match[1] if match and match[3] == _check(match[1], match[2], match[4]) else None


def _clear(path: Path, place: Path) -> None:
    if path.name.endswith(".old") and not os.path.lexists(place):
        with suppress(OSError):
            path.rename(place)
    elif _completes(path, place):
        with suppress(OSError):
            path.replace(place)
    elif path.is_dir() and ours.bundle_files(path) is not None:
        with suppress(OSError):
            retire(path, place)
    elif not path.name.endswith(ours.LOCK):
        remove(path)


def _completes(path: Path, place: Path) -> bool:
    """Whether ``path`` is the checksum list for the manifest beside it: its run was killed between the two."""
    if place.name != ours.SUMS:
        return False
    with suppress(OSError):
        digest = hashlib.sha256(place.with_name(ours.MANIFEST).read_bytes()).hexdigest()
        return f"{digest}  {ours.MANIFEST}\n" in path.read_text(errors="replace")
    return False


_SETTLED_S = 3600.0
_OWN: set[Path] = set()
_TRIES = 100


def _owned_folder(kind: str) -> tuple[Path, FileLock | None]:
    """A new locked folder; None if another run removed it as a leftover before it was locked."""
    token = secrets.token_hex(4)
    folder = Path(tempfile.gettempdir(), f"clearport-{kind}-{token}{_check(kind, token)}")
    folder.mkdir(mode=0o700)
    lock = FileLock(folder / _OWNER, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (Timeout, FileNotFoundError, NotADirectoryError):
        return folder, None
    return (folder, lock) if folder.is_dir() else (folder, None)


class Scratch:
    """A folder for temporary files, which the next run removes if this one is killed. ``kind``: lowercase letters.

    Raises:
        OSError: it cannot be created.
    """

    def __init__(self, kind: str) -> None:
        self._lock: FileLock | None = None
        if Path(tempfile.gettempdir()) in _OWN:  # its owner owns everything in it
            self.folder = Path(tempfile.mkdtemp(prefix=f"{kind}-"))
            return
        sweep_scratch()
        for _ in range(_TRIES):
            self.folder, self._lock = _owned_folder(kind)
            if self._lock is not None:
                _OWN.add(self.folder)
                return
        raise OSError(errno.EAGAIN, "other runs removed it each time before it was locked", str(self.folder))

    def close(self) -> None:
        """Remove the folder. Calling it twice is fine."""
        shutil.rmtree(self.folder, ignore_errors=True)
        _OWN.discard(self.folder)
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Path:
        return self.folder

    def __exit__(self, *_: object) -> None:
        self.close()


def sweep_scratch() -> None:
    """Remove the scratch folders of killed runs."""
    for entry in _entries(tempfile.gettempdir()):
        match = _SCRATCH.fullmatch(entry.name)
        with suppress(OSError):  # it has been removed meanwhile
            if match and match[3] == _check(match[1], match[2]) and _is_own_folder(entry):
                _clear_scratch(Path(entry.path))


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == _user()


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _clear_scratch(folder: Path) -> None:
    """A folder without its lock is being created or removed, unless no entry of it came or went for ``_SETTLED_S``."""
    if not (folder / _OWNER).is_file():
        if time.time() - folder.stat().st_mtime > _SETTLED_S:  # a library recreated it after its owner had removed it
            shutil.rmtree(folder, ignore_errors=True)
        return
    with _unowned(FileLock(folder / _OWNER, thread_local=False)) as unowned:
        if unowned:
            shutil.rmtree(folder, ignore_errors=True)
