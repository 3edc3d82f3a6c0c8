"""The user's cache: computed results in files, keyed by the digest of their inputs.

A cache is an optimization: missing or damaged entries are computed again, and a full or read-only disk never causes an
error. Entries are written atomically, so that concurrent runs share the folder.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clearport.disk import leftovers
from clearport.disk.files import write_bytes
from clearport.disk.json_files import read_bytes
from clearport.errors import BadInput

MOST_BYTES = 256 << 20
"""The maximum size of a cache; the least recently used entries are removed first."""

MOST_ENTRY = MOST_BYTES // 4
"""The maximum size of an entry: larger ones would displace too many others."""

_SUFFIX = ".cache"


def folder() -> Path:
    """The folder of all caches: ``CLEARPORT_CACHE``, else ``clearport`` in ``XDG_CACHE_HOME`` or ``~/.cache``."""
    own, named = (os.environ.get(name, "") for name in ("CLEARPORT_CACHE", "XDG_CACHE_HOME"))
    if own:
        return Path(own).absolute()
    return (Path(named) if Path(named).is_absolute() else Path("~/.cache").expanduser()) / "clearport"


class Damaged(ValueError):
    """An entry whose checksum is wrong."""


@dataclass(frozen=True)
class Cache:
    """A folder of results. ``most`` is the maximum number of bytes of all entries together."""

    folder: Path
    most: int = MOST_BYTES

    def get(self, key: str) -> bytes | None:
        """The result of ``key``, or None if there is none.

        Raises:
            Damaged: there is an entry, but its checksum is wrong; it is removed.
        """
        path = self._path(key)
        try:
            head, _, content = read_bytes(path, MOST_ENTRY).partition(b"\n")
        except BadInput:
            if not os.path.lexists(path):
                return None
            head, content = b"", b""
        if head != _head(key, content):
            leftovers.remove(path)
            raise Damaged(path)
        with suppress(OSError):
            os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> bool:
        """Store a result; false if it cannot be stored."""
        data = _head(key, content) + b"\n" + content
        if len(data) > MOST_ENTRY:
            return False
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_bytes(self._path(key), data)
        except (OSError, BadInput):
            return False
        self._shrink()
        return True

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _shrink(self) -> None:
        """Remove leftovers of killed runs, and the least recently used entries beyond ``most`` bytes."""
        leftovers.sweep(self.folder)
        found: list[tuple[int, int, Path]] = []
        for path in self.folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):  # another run has removed it
                about = path.stat()
                found.append((about.st_mtime_ns, about.st_size, path))
        held = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if held <= self.most:
                break
            leftovers.remove(path)
            held -= size


def _head(key: str, content: bytes) -> bytes:
    """The first line of an entry, with the checksum of its name and its content."""
    return b"clearport cache 1 " + hashlib.sha256(key.encode() + b"\n" + content).hexdigest().encode()
