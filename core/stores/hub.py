"""A store that is a repository of the Hugging Face hub, or of any server with the same API (``HF_ENDPOINT``).

Every push is one commit, which the hub accepts only on top of its expected parent.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from clearport.errors import BadInput, NotInstalled
from clearport.stores.index import INDEX, MOST_BYTES, Index, StoredVersion, index_of, read_index, to_json
from clearport.stores.remote import RemoteStore
from clearport.stores.store import Missing, Occupied

if TYPE_CHECKING:
    from pathlib import Path

CARD = "README.md"
MARK = "<!-- written by clearport -->"
"""Marker line of cards written by clearport; other cards are not overwritten."""
_TRIES = 20
_CONFLICT = frozenset({409, 412})
_MOST_CARD = 1 << 20


class HubStore(RemoteStore):
    """``hf://OWNER/REPOSITORY``; a push creates a private repository if it does not exist."""

    promise = "each push is one commit on top of the last: nothing is lost, and no version is replaced"

    def __init__(self, address: str) -> None:
        try:
            import huggingface_hub
        except ImportError as error:
            raise NotInstalled("huggingface_hub", "hub") from error
        self._hub: Any = huggingface_hub
        self.repository = address.removeprefix("hf://").strip("/")
        if self.repository.count("/") != 1:
            raise BadInput(f"{address}: expected hf://OWNER/REPOSITORY")
        super().__init__(f"hf://{self.repository}")
        self._revision: str | None = None

    def read(self, path: str, most: int) -> bytes:
        self.files.invalidate_cache()
        with self._told(path), suppress(self._hub.errors.EntryNotFoundError, self._hub.errors.RepositoryNotFoundError):
            with self.files.open(f"{self.root}/{path}", "rb", revision=self._revision) as file:
                content: bytes = file.read(most + 1)
            if len(content) > most:
                raise BadInput(f"{self.address}/{path}: longer than {most >> 20} MiB, the most that is read of it")
            return content
        raise Missing(path)

    def publish(self, record: StoredVersion, folder: Path, card: str) -> None:
        api = self._hub.HfApi()
        with self._told(""):
            api.create_repo(self.repository, private=True, exist_ok=True)
        for _ in range(_TRIES):
            with self._told(""):
                self._revision = api.repo_info(self.repository).sha
            index = self._index()
            if (there := index.networks.get(record.name, {}).get(record.version)) is not None:
                if there.same_files(record):
                    return
                raise Occupied("it is there already, with other files")
            if self._committed(api, self._additions(record, folder, index, card), record):
                self._revision = None
                return
        raise BadInput(f"{self.address}: others push to it without a pause; nothing was written")

    def _index(self) -> Index:
        try:
            return read_index(self.read(INDEX, MOST_BYTES), f"{self.address}/{INDEX}")
        except Missing:
            return Index()

    def _additions(self, record: StoredVersion, folder: Path, index: Index, card: str) -> list[Any]:
        known = [each for versions in index.networks.values() for each in versions.values()]
        contents = {INDEX: to_json(index_of([*known, record])), record.place: to_json(record)}
        if self._card_is_ours():
            contents[CARD] = card.encode()
        add = self._hub.CommitOperationAdd
        return [
            *(add(f"{record.folder}/{name}", str(folder / name)) for name in record.files),
            *(add(name, content) for name, content in contents.items()),
        ]

    def _card_is_ours(self) -> bool:
        try:
            return MARK in self.read(CARD, _MOST_CARD).decode(errors="replace")
        except Missing:
            return True

    def _committed(self, api: Any, additions: list[Any], record: StoredVersion) -> bool:
        """Whether a commit was accepted; false if another one came first."""
        with self._told(""):
            try:
                api.create_commit(
                    self.repository,
                    additions,
                    commit_message=f"{record.name} {record.version}",
                    parent_commit=self._revision,
                )
            except self._hub.errors.HfHubHTTPError as error:
                if error.response is None or error.response.status_code not in _CONFLICT:
                    raise
                return False
        return True
