"""A store that is a folder: on this machine, or on a file server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from clearport.bundle import folder as bundle_folder
from clearport.disk import leftovers
from clearport.disk.files import copy_file, explain, real, write_bytes
from clearport.disk.json_files import read_bytes
from clearport.disk.outputs import OutFolder, claimed
from clearport.errors import BadInput
from clearport.stores.index import MOST_BYTES, RECORD, StoredVersion, read_record, to_json
from clearport.stores.publish import refresh
from clearport.stores.store import Missing, Occupied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 1 << 20


class FolderStore:
    """A folder, which need not exist before the first push."""

    promise = "a version appears whole and is never replaced; of two that push the same one, the second is refused"

    def __init__(self, root: Path) -> None:
        self.root, self.address = root, str(root)

    def read(self, path: str, most: int) -> bytes:
        place = self._place(path)
        if not os.path.lexists(place):
            raise Missing(path)
        return read_bytes(place, most)

    def stream(self, path: str, start: int) -> Iterator[bytes]:
        place = self._place(path)
        if not place.is_file():
            raise Missing(path)
        with place.open("rb") as file:
            file.seek(start)
            while chunk := file.read(_CHUNK):
                yield chunk

    def _place(self, path: str) -> Path:
        """Where a file lies; links that lead out of the store are not followed."""
        place = self.root / path
        if not real(place).is_relative_to(real(self.root)):
            raise BadInput(f"{place}: it is a link that leads out of the store")
        return place

    def publish(self, record: StoredVersion, folder: Path, card: str) -> None:
        with claimed(OutFolder(self.root, "STORE", shared=True), reads=(folder,)):
            self._put(record, folder)
            refresh(self, self)

    def _put(self, record: StoredVersion, folder: Path) -> None:
        there, whole = self.root / record.place, self.root / record.folder
        if there.is_file() and whole.is_dir():
            if not read_record(read_bytes(there, MOST_BYTES), str(there)).same_files(record):
                raise Occupied("it is there already, with other files")
            return
        if whole.is_dir():
            self._adopt(record, whole)
        else:
            self._build(record, folder, whole)
        write_bytes(there, to_json(record))

    def _adopt(self, record: StoredVersion, whole: Path) -> None:
        """A push that was killed between the files and the record has left a whole bundle: the same one, or another."""
        for name, file in record.files.items():
            place = whole / name
            if not place.is_file() or place.stat().st_size != file.bytes or _sha256(place) != file.sha256:
                raise Occupied("a folder is there already, with other files")

    def _build(self, record: StoredVersion, folder: Path, whole: Path) -> None:
        try:
            with bundle_folder.building(whole) as place:
                for name in record.files:
                    (place / name).parent.mkdir(parents=True, exist_ok=True)
                    copy_file(folder / name, place / name)
        except BadInput as error:
            if whole.exists() or "another clearport" in str(error):
                raise Occupied("another push is writing it") from error
            raise

    def records(self) -> list[str]:
        try:
            found = [path for path in self.root.glob(f"*/*{RECORD}") if path.is_file()]
        except OSError as error:
            raise explain(error, self.root) from error
        return sorted(path.relative_to(self.root).as_posix() for path in found if not path.name.startswith("."))

    def write(self, path: str, content: bytes) -> None:
        leftovers.sweep((self.root / path).parent)
        write_bytes(self.root / path, content)


def _sha256(path: Path) -> str:
    from clearport.disk.files import file_sha256

    return file_sha256(path)
