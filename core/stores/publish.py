"""Updates of a store's index from its records, safe against concurrent updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from clearport.errors import BadInput
from clearport.stores.index import INDEX, MOST_BYTES, index_of, read_record, to_json

if TYPE_CHECKING:
    from clearport.stores.store import Store

_TRIES = 50


class Shelf(Protocol):
    """A store whose files can be listed and written one by one."""

    def records(self) -> list[str]:
        """Paths of the records of all versions."""

    def write(self, path: str, content: bytes) -> None:
        """Write or replace a small file atomically."""


def refresh(shelf: Shelf, store: Store) -> None:
    """Write the index of all existing records.

    The last writer checks for new records after writing, so that the index is complete.

    Raises:
        BadInput: a record is invalid, or concurrent pushes never end.
    """
    read: dict[str, bytes] = {}
    for _ in range(_TRIES):
        names = shelf.records()
        read.update({name: store.read(name, MOST_BYTES) for name in names if name not in read})
        found = [read_record(read[name], f"{store.address}/{name}") for name in names]
        shelf.write(INDEX, to_json(index_of(found)))
        if set(shelf.records()) == set(names):
            return
    raise BadInput(f"{store.address}: concurrent pushes never end; the files were pushed, but are not in the index")
