"""``STORE/NAME@VERSION``: where a network lies, as users write it."""

from __future__ import annotations

from dataclasses import dataclass

from semver import Version

from clearport.errors import BadInput
from clearport.stores.index import INDEX, MOST_BYTES, Index, StoredVersion, read_index
from clearport.stores.store import Missing, Store


@dataclass(frozen=True)
class Address:
    """A network of a store; ``version`` is empty for the latest."""

    store: str
    name: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """``out/store/ncnet@1.2.0``.

        Raises:
            BadInput: it has no name, or its version is none.
        """
        store, slash, last = text.rstrip("/").rpartition("/")
        name, at, version = last.partition("@")
        if not slash or not store or not name or store.endswith(":/"):
            raise BadInput(f"{text}: expected STORE/NAME or STORE/NAME@VERSION, as in out/store/ncnet@1.2.0")
        if at and not Version.is_valid(version):
            raise BadInput(f"{text}: {version!r} is no semantic version, such as 1.2.0")
        return cls(store, name, version)


def index_of_store(store: Store) -> Index | None:
    """The index of a store; None where it has none.

    Raises:
        BadInput: it cannot be read, or cannot be used.
    """
    try:
        return read_index(store.read(INDEX, MOST_BYTES), f"{store.address}/{INDEX}")
    except Missing:
        return None


def found(index: Index | None, address: Address) -> StoredVersion:
    """The version that an address means.

    Raises:
        BadInput: the store has no index, no such network or no such version.
    """
    if index is None:
        raise BadInput(f"{address.store}: no store here (it has no {INDEX}); 'clearport push BUNDLE STORE' makes one")
    latest = index.latest(address.name)
    if latest is None:
        there = ", ".join(sorted(index.networks)) or "nothing"
        raise BadInput(f"{address.store}: no network {address.name!r} (there are: {there})")
    if not address.version:
        return latest
    versions = {record.version: record for record in index.versions(address.name)}
    if address.version not in versions:
        raise BadInput(f"{address.store}: no {address.name}@{address.version} (there are: {', '.join(versions)})")
    return versions[address.version]
