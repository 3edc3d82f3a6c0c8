"""The store behind an address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.stores.hub import HubStore
from clearport.stores.local import FolderStore
from clearport.stores.remote import RemoteStore
from clearport.stores.web import WebStore

if TYPE_CHECKING:
    from clearport.stores.store import Store


def open_store(address: str) -> Store:
    """The store at an address: a folder, ``https://``, ``hf://OWNER/REPOSITORY``, or any other that fsspec knows.

    Raises:
        BadInput: unknown kind of store.
        NotInstalled: its client package is missing.
    """
    kind, found, _ = address.partition("://")
    if not found:
        return FolderStore(Path(address))
    if kind == "file":
        raise BadInput(f"{address}: name the folder itself, without file://")
    if kind in {"http", "https"}:
        return WebStore(address)
    if kind == "hf":
        return HubStore(address)
    return RemoteStore(address)
