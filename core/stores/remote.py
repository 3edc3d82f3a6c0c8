"""Object stores and all other file systems of fsspec: ``s3://``, ``gs://``, ``az://``, ``sftp://`` and more."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clearport.bundle.files import MANIFEST
from clearport.errors import BadInput, NotInstalled
from clearport.stores.index import MOST_BYTES, RECORD, StoredVersion, read_record, to_json
from clearport.stores.publish import refresh
from clearport.stores.store import Missing, Occupied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK, _LEAST_CHUNK = 1 << 20, 1 << 16
"""Bytes per request; fewer after a failed request."""
_PASSWORD = re.compile(r"://([^/@:]*):[^/@]*@")
"""In an address; it is neither shown nor kept."""


class RemoteStore:
    """An fsspec file system; credentials come from the environment, as documented by its package."""

    promise = (
        "a version's files are those of whoever was first, where the store can create without replacing (S3, Google "
        "Cloud Storage, Azure); elsewhere two that push the same version at the same moment may spoil it, which every "
        "pull notices"
    )

    def __init__(self, address: str) -> None:
        self.address = _PASSWORD.sub(r"://\1@", address.rstrip("/"))
        try:
            import fsspec
        except ImportError as error:
            raise NotInstalled("fsspec", "stores") from error
        try:
            found = fsspec.core.url_to_fs(address.rstrip("/"), use_listings_cache=False, skip_instance_cache=True)
        except ImportError as error:
            raise BadInput(f"{address}: {error}") from error
        except ValueError as error:
            raise BadInput(f"{address}: no kind of store that fsspec knows: {error}") from error
        self._chunk = _CHUNK
        self.files: Any = found[0]
        self.root: str = found[1].rstrip("/")

    def read(self, path: str, most: int) -> bytes:
        with self._told(path):
            content: bytes = self.files.cat_file(f"{self.root}/{path}", start=0, end=most + 1)
        if len(content) > most:
            raise BadInput(f"{self.address}/{path}: longer than {most >> 20} MiB, the most that is read of it")
        return content

    def stream(self, path: str, start: int) -> Iterator[bytes]:
        try:
            with self.files.open(f"{self.root}/{path}", "rb", cache_type="none") as file:
                file.seek(start)
                while chunk := file.read(self._chunk):
                    yield chunk
        except FileNotFoundError as error:
            raise Missing(path) from error
        except Exception:
            self._chunk = max(self._chunk // 16, _LEAST_CHUNK)
            raise

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise Missing(path) from error
        except (BadInput, Missing, Occupied):
            raise
        except Exception as error:  # each store's package has errors of its own
            raise BadInput(f"{self.address}/{path}: {type(error).__name__}: {error}") from error

    def publish(self, record: StoredVersion, folder: Path, card: str) -> None:
        if self._is_there(record):
            return
        self._claim(record, (folder / MANIFEST).read_bytes())
        for name in record.files:
            with self._told(name):
                place = f"{self.root}/{record.folder}/{name}"
                self.files.makedirs(place.rpartition("/")[0], exist_ok=True)
                self.files.put_file(str(folder / name), place)
        self.write(record.place, to_json(record))
        refresh(self, self)

    def _is_there(self, record: StoredVersion) -> bool:
        """Whether it was pushed already."""
        try:
            found = read_record(self.read(record.place, MOST_BYTES), f"{self.address}/{record.place}")
        except Missing:
            return False
        if not found.same_files(record):
            raise Occupied("it is there already, with other files")
        refresh(self, self)
        return True

    def _claim(self, record: StoredVersion, manifest: bytes) -> None:
        """The push that creates the manifest, which has the checksums of all other files, defines the version."""
        path = f"{record.folder}/{MANIFEST}"
        with self._told(path):
            self.files.makedirs(f"{self.root}/{record.folder}", exist_ok=True)
            try:
                self.files.pipe_file(f"{self.root}/{path}", manifest, mode="create")
            except FileExistsError:
                if self.read(path, MOST_BYTES) != manifest:
                    raise Occupied("another push has begun it, with other files") from None

    def records(self) -> list[str]:
        with self._told(""):
            self.files.invalidate_cache()
            found = self.files.glob(f"{self.root}/*/*{RECORD}")
        return sorted(str(path).removeprefix(f"{self.root}/") for path in found)

    def write(self, path: str, content: bytes) -> None:
        with self._told(path):
            self.files.makedirs(f"{self.root}/{path}".rpartition("/")[0], exist_ok=True)
            self.files.pipe_file(f"{self.root}/{path}", content)
