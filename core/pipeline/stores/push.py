"""``clearport push``: publish a bundle as a version of its network in a store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError
from semver import Version

from clearport import __version__
from clearport.base import scale_word
from clearport.bundle.files import MANIFEST, SIGNATURE, SUMS
from clearport.bundle.folder import Bundle, verify_folder
from clearport.disk.files import file_sha256
from clearport.errors import BadInput, CheckFailed
from clearport.protocols import no_progress
from clearport.reports.card import model_card
from clearport.stores.address import index_of_store
from clearport.stores.index import StoredFile, StoredVersion
from clearport.stores.opened import open_store
from clearport.stores.store import Occupied

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.protocols import Progress
    from clearport.stores.index import Index

FIRST = "1.0.0"
_TRIES = 20


@dataclass(frozen=True)
class PushRequest:
    """The bundle and the store; empty ``name`` and ``version`` mean the network's own and the next one."""

    bundle: Path
    store: str
    name: str = ""
    version: str = ""


@dataclass(frozen=True)
class Pushed:
    """The version in the store; ``new``: it was not there before."""

    store: str
    name: str
    version: str
    files: int
    bytes: int
    new: bool
    promise: str


def push_bundle(request: PushRequest, progress: Progress = no_progress) -> Pushed:
    """Publish a bundle in a store as a new version.

    Raises:
        BadInput: no such bundle, a changed file, an existing version, or a store that cannot be written.
        CheckFailed: the bundle has a failed check.
    """
    store = open_store(request.store)
    progress("checking checksums", 0, 0)
    bundle = _sound(request.bundle)
    files = _files(bundle)
    index = index_of_store(store)
    progress("uploading", 0, 0)
    for attempt in range(_TRIES):
        record = _record(request, bundle, files, index)
        known = index.versions(record.name) if index else []
        same = next((one for one in known if one.same_files(record)), None)
        if same is not None and request.version in {"", same.version}:
            return _pushed(store.address, same, store.promise, new=False)
        try:
            store.publish(record, request.bundle, model_card(bundle, record, request.store))
        except Occupied as error:
            if request.version or attempt == _TRIES - 1:
                raise BadInput(
                    f"{request.store}: {record.name}@{record.version}: {error}; a version is never replaced: give "
                    "another one with --version"
                ) from error
            index = _with(index_of_store(store) or index, record)
            continue
        return _pushed(store.address, record, store.promise, new=True)
    raise AssertionError("the last attempt returns or raises")


def _with(index: Index | None, taken: StoredVersion) -> Index:
    """The index with a version that is being written, so that the next one follows it."""
    from clearport.stores.index import index_of

    known = [record for versions in (index.networks if index else {}).values() for record in versions.values()]
    others = [record for record in known if record.place != taken.place]
    return index_of([*others, taken.model_copy(update={"files": {}})])


def _sound(folder: Path) -> Bundle:
    bundle = Bundle.load(folder)
    if bundle.left_out:
        raise BadInput(f"{folder}: the bundle is incomplete (a pull left artifacts out); push the complete one")
    if wrong := verify_folder(folder):
        raise BadInput(f"{folder}: not pushed, because the bundle was changed: {wrong[0]}")
    if failures := bundle.manifest.failures():
        raise CheckFailed(f"{folder}: not pushed, because a check failed: {failures[0]}")
    return bundle


def _files(bundle: Bundle) -> dict[str, StoredFile]:
    """The files of a bundle including its signature, but not its reports, which a pull makes again."""
    signature = [SIGNATURE] if (bundle.folder / SIGNATURE).is_file() else []
    names = sorted({*bundle.manifest.files, MANIFEST, SUMS, *signature})
    places = {name: bundle.folder / name for name in names}
    return {name: StoredFile(sha256=file_sha256(place), bytes=place.stat().st_size) for name, place in places.items()}


def _record(request: PushRequest, bundle: Bundle, files: dict[str, StoredFile], index: Index | None) -> StoredVersion:
    model = bundle.manifest.model
    name = request.name or model.name.lower()
    latest = index.latest(name) if index else None
    if latest is not None and latest.scale != model.scale and not request.name:
        raise BadInput(
            f"{request.store}: {name} in this store is x{scale_word(latest.scale)}, and {request.bundle} is "
            f"x{scale_word(model.scale)}; give it a name of its own, such as --name {name}_x{scale_word(model.scale)}"
        )
    try:
        return StoredVersion(
            name=name,
            version=request.version or _next(index, name),
            pushed=datetime.now(UTC).isoformat(timespec="seconds"),
            clearport=__version__,
            scale=model.scale,
            size=model.size,
            task=model.task,
            license=model.license,
            artifacts=tuple(artifact.key for artifact in bundle.artifacts),
            files=files,
        )
    except ValidationError as error:
        raise BadInput(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from error


def _next(index: Index | None, name: str) -> str:
    known = index.versions(name) if index else []
    return str(Version.parse(known[0].version).bump_patch()) if known else FIRST


def _pushed(store: str, record: StoredVersion, promise: str, *, new: bool) -> Pushed:
    return Pushed(store, record.name, record.version, len(record.files), record.bytes, new, promise)
