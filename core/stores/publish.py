"""Bringing an index up to date with the records of its store, whoever else does so at the same time."""

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
        """Write a small file, in one step, in the place of what is there."""


def refresh(shelf: Shelf, store: Store) -> None:
    """Write the index of all records that are there.

    Whoever writes last has looked after it whether a record came meanwhile, so that the index names every one.

    Raises:
        BadInput: a record cannot be used, or others push without a pause.
    """
    read: dict[str, bytes] = {}
    for _ in range(_TRIES):
        names = shelf.records()
        read.update({name: store.read(name, MOST_BYTES) for name in names if name not in read})
        found = [read_record(read[name], f"{store.address}/{name}") for name in names]
        shelf.write(INDEX, to_json(index_of(found)))
        if set(shelf.records()) == set(names):
            return
    raise BadInput(f"{store.address}: others write to it without a pause; what was pushed is there, but in no index")
