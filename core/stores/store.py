"""The protocol of stores, and their exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clearport.stores.index import StoredVersion


class Missing(Exception):
    """A store has no such file."""


class Occupied(Exception):
    """A version is there already, with other files, or another push is writing it; says which."""


class Store(Protocol):
    """Files by path, with ``/``, below an address.

    Attributes:
        address: as users write it.
        promise: description of its guarantee for concurrent pushes.
    """

    address: str
    promise: str

    def read(self, path: str, most: int) -> bytes:
        """A small file of at most ``most`` bytes.

        Raises:
            Missing: it does not exist.
            BadInput: it is longer, or cannot be read.
        """

    def stream(self, path: str, start: int) -> Iterator[bytes]:
        """The bytes of a file from ``start`` on. It may end early; the caller then requests the rest.

        Raises:
            Missing: it is not there.
            BadInput: it cannot be read, and a retry would not help.
            OSError: the connection was lost.
            Restart: the store cannot begin at ``start``.
        """

    def publish(self, record: StoredVersion, folder: Path, card: str) -> None:
        """Upload the files of a version, then its record, and update the index.

        ``card`` is a Markdown page about it, for stores that show one.

        Raises:
            Occupied: the version is there with other files.
            BadInput: the store cannot be written.
        """


class Restart(Exception):
    """A file can be read from its beginning only."""
