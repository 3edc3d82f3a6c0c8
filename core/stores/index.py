"""Contents of a store: one record per version, and the index generated from all records.

::

    STORE/
    ├── clearport-index.json             every version with the size and SHA-256 of each of its files
    └── ncnet/
        ├── 1.2.0.clearport.json         the record of a version, written when all of its files are there
        └── 1.2.0/                       the files of the bundle

A version is never replaced. The index is regenerated from the records after each push; the writer then checks for new
records, so that concurrent pushes do not lose one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from semver import Version

from clearport.bundle.fields import Count, RelativePath, ScaleField, Sha256, Text
from clearport.bundle.files import MANIFEST, SUMS
from clearport.disk.json_files import parse_json, schema_text
from clearport.errors import BadInput

INDEX = "clearport-index.json"
RECORD = ".clearport.json"
"""Suffix of record names."""
SCHEMA_ID = "https://clearport.invalid/store-1.schema.json"

MOST_BYTES = 16 << 20
"""Maximum bytes of an index: 500 versions of 60 files each take 5 MB."""
MOST_FILE = 16 << 30
_MOST_FILES = 100_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


def _version(text: str) -> str:
    if not Version.is_valid(text):
        raise ValueError(f"{text[:40]!r} is no semantic version, such as 1.2.0 (semver.org)")
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r} cannot name a network in a store: lowercase letters, digits, '.', '_' and '-', not first"
        )
    return text


Name = Annotated[str, AfterValidator(_name)]
VersionText = Annotated[str, AfterValidator(_version)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class StoredFile(_Record):
    """A file of a version, as it must arrive."""

    sha256: Sha256
    bytes: Annotated[Count, Field(le=MOST_FILE)]


class StoredVersion(_Record):
    """A version of a network: its bundle's files by path, and what a list of the store shows."""

    schema_version: Literal[1] = 1
    name: Name
    version: VersionText
    pushed: Text
    clearport: Text
    scale: ScaleField
    size: Text
    task: Text
    license: Text
    artifacts: tuple[Text, ...]
    files: Annotated[Mapping[RelativePath, StoredFile], Field(max_length=_MOST_FILES)]

    @property
    def folder(self) -> str:
        """The folder of its files in the store."""
        return f"{self.name}/{self.version}"

    @property
    def place(self) -> str:
        """The path of its record in the store."""
        return f"{self.folder}{RECORD}"

    @property
    def bytes(self) -> int:
        """Total size of all files in bytes."""
        return sum(file.bytes for file in self.files.values())

    def same_files(self, other: StoredVersion) -> bool:
        """Whether both have the same bundle."""
        return dict(self.files) == dict(other.files)


class Index(_Record):
    """The whole index; ``networks`` is name -> version -> what it holds."""

    schema_version: Literal[1] = 1
    networks: Mapping[Name, Mapping[VersionText, StoredVersion]] = Field(default_factory=dict)

    def versions(self, name: str) -> list[StoredVersion]:
        """Every version of a network, the latest first."""
        found = self.networks.get(name, {})
        return [found[each] for each in sorted(found, key=Version.parse, reverse=True)]

    def latest(self, name: str) -> StoredVersion | None:
        """The latest version, preferring releases to pre-releases; None if there is no such network."""
        found = self.versions(name)
        return next((each for each in found if Version.parse(each.version).prerelease is None), next(iter(found), None))


def index_of(records: Iterable[StoredVersion]) -> Index:
    """The index of some records."""
    networks: dict[str, dict[str, StoredVersion]] = {}
    for record in sorted(records, key=lambda r: (r.name, Version.parse(r.version))):
        networks.setdefault(record.name, {})[record.version] = record
    return Index(networks=networks)


def to_json(value: Index | StoredVersion) -> bytes:
    """The file that holds it."""
    return (json.dumps(value.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_index(content: bytes, where: str) -> Index:
    """An index, checked.

    Raises:
        BadInput: it is not an index, or is inconsistent.
    """
    index: Index = _read(content, Index, where, "the index of a store")
    for name, versions in index.networks.items():
        for version, record in versions.items():
            if (record.name, record.version) != (name, version):
                raise BadInput(f"{where}: under {name}@{version} it has {record.name}@{record.version}")
            _check_files(record, where)
    return index


def read_record(content: bytes, where: str) -> StoredVersion:
    """The record of a version, checked.

    Raises:
        BadInput: it is not a record.
    """
    record: StoredVersion = _read(content, StoredVersion, where, "the record of a version")
    if not where.endswith(record.place):
        raise BadInput(f"{where}: it is the record of {record.name}@{record.version}")
    _check_files(record, where)
    return record


def _check_files(record: StoredVersion, where: str) -> None:
    missing = [name for name in (MANIFEST, SUMS) if name not in record.files]
    if missing:
        raise BadInput(f"{where}: {record.name}@{record.version} has no {missing[0]}, so it is not a bundle")


def _read(content: bytes, kind: type[Any], where: str, what: str) -> Any:
    try:
        text = content.decode()
        parse_json(text, f"{where}: not {what}")
        return kind.model_validate_json(text)
    except UnicodeDecodeError as error:
        raise BadInput(f"{where}: not {what}: it is not UTF-8") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        message = str(first["msg"]).removeprefix("Value error, ")
        raise BadInput(f"{where}: not {what} that can be used: {field}: {message}") from error


def schema() -> str:
    """The JSON schema of the index; ``make schemas`` writes it again."""
    return schema_text(Index, SCHEMA_ID, "Index of a clearport store")
