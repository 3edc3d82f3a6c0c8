"""``clearport pull``: a bundle, or some of its artifacts, from a store."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.bundle.files import MANIFEST, PULLED, SIGNATURE, SUMS
from clearport.bundle.folder import Bundle, building, verify_folder
from clearport.bundle.pulled import Pulled
from clearport.disk import ours
from clearport.disk.files import file_sha256, write_text
from clearport.errors import BadInput
from clearport.pipeline.select import select
from clearport.protocols import no_progress
from clearport.reports.html import write_reports
from clearport.stores.address import Address, found, index_of_store
from clearport.stores.download import downloads, fetch, sweep
from clearport.stores.opened import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from clearport.protocols import Progress
    from clearport.stores.index import Index, StoredVersion
    from clearport.stores.store import Store


@dataclass(frozen=True)
class PullRequest:
    """What to pull, and the folder ``out`` (None: ``NAME-VERSION`` in the current folder)."""

    address: str
    out: Path | None = None
    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class PulledBundle:
    """The bundle's folder, its downloaded files, and the omitted artifacts."""

    folder: Path
    name: str
    version: str
    files: int
    downloaded: int
    downloaded_bytes: int
    left_out: tuple[str, ...]


def stored(address: str) -> tuple[str, Index]:
    """The index of the store at an address, or the part of one network for ``STORE/NAME``.

    Raises:
        BadInput: no such store.
    """
    store = open_store(address.rstrip("/"))
    index = index_of_store(store)
    if index is not None:
        return store.address, index
    where = Address.parse(address)
    store = open_store(where.store)
    index = index_of_store(store)
    found(index, where)
    assert index is not None
    return store.address, index.model_copy(update={"networks": {where.name: index.networks[where.name]}})


def pull_bundle(request: PullRequest, progress: Progress = no_progress) -> PulledBundle:
    """Download a version of a network; existing files are not downloaded again.

    Raises:
        BadInput: no such version or artifact, a file differs from the index, or the path is taken; nothing was written.
    """
    where = Address.parse(request.address)
    store = open_store(where.store)
    record = found(index_of_store(store), where)
    out = request.out or Path(f"{record.name}-{record.version}")
    sweep(downloads())
    manifest = _manifest(store, record, out)
    note = _note(store, record, manifest, request)
    wanted = _wanted(manifest, record, note)
    if _is_here(out, note, record, wanted):
        return _told(out, record, wanted, note, {})
    with building(out, force=request.force) as place:
        came = _collect(store, record, wanted, out, place, progress)
        _check(record, place, note)
        write_reports(Bundle.load(place))
    for sha in came.values():
        (downloads() / sha).unlink(missing_ok=True)
    return _told(out, record, wanted, note, came)


def _told(out: Path, record: StoredVersion, wanted: list[str], note: Pulled, came: dict[str, str]) -> PulledBundle:
    size = sum(record.files[name].bytes for name in came)
    return PulledBundle(out, record.name, record.version, len(wanted), len(came), size, note.left_out)


def _manifest(store: Store, record: StoredVersion, out: Path) -> Bundle:
    """The manifest of a version, which maps files to artifacts."""
    here = out / MANIFEST
    wanted = record.files[MANIFEST]
    known = here if here.is_file() and file_sha256(here) == wanted.sha256 else None
    place = known or fetch(store, f"{record.folder}/{MANIFEST}", wanted, lambda _: None)
    return Bundle.of_manifest(place)


def _note(store: Store, record: StoredVersion, bundle: Bundle, request: PullRequest) -> Pulled:
    """The omitted artifacts; none if neither target nor precision is given."""
    kept = {artifact.key for artifact in select(bundle, request.targets, request.precisions)}
    left = tuple(artifact.key for artifact in bundle.artifacts if artifact.key not in kept)
    return Pulled(store=store.address, name=record.name, version=record.version, left_out=left)


def _wanted(bundle: Bundle, record: StoredVersion, note: Pulled) -> list[str]:
    extra = sorted(set(record.files) - {*bundle.manifest.files, MANIFEST, SUMS, SIGNATURE})
    if extra:
        raise BadInput(f"{note.store}: the index lists {extra[0]}, which is not part of {record.name}@{record.version}")
    left = [artifact for artifact in bundle.artifacts if artifact.key in note.left_out]
    return [name for name in sorted(record.files) if not any(artifact.holds(name) for artifact in left)]


def _is_here(out: Path, note: Pulled, record: StoredVersion, wanted: list[str]) -> bool:
    """Whether the same pull was done before, and its files are unchanged."""
    path = out / PULLED
    if not ours.is_pulled(path) or json.loads(path.read_text()) != json.loads(note.model_dump_json()):
        return False
    return all(_same(out / name, record.files[name].sha256) for name in wanted)


def _same(path: Path, sha: str) -> bool:
    return path.is_file() and not path.is_symlink() and file_sha256(path) == sha


def _collect(
    store: Store, record: StoredVersion, wanted: list[str], out: Path, place: Path, progress: Progress
) -> dict[str, str]:
    """Put every wanted file into ``place``; returns path -> SHA-256 of downloaded ones."""
    came: dict[str, str] = {}
    total, done = sum(record.files[name].bytes for name in wanted), 0
    for name in wanted:
        file, target = record.files[name], place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if _same(out / name, file.sha256):
            shutil.copyfile(out / name, target)
        else:
            shutil.copyfile(fetch(store, f"{record.folder}/{name}", file, _teller(progress, done, total)), target)
            came[name] = file.sha256
        done += file.bytes
        progress("pulling", done, total)
    return came


def _teller(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda came: progress("pulling", before + came, total)


def _check(record: StoredVersion, place: Path, note: Pulled) -> None:
    """Check that the files are a bundle with valid checksums."""
    write_text(place / PULLED, note.model_dump_json(indent=1) + "\n")
    if wrong := verify_folder(place):
        raise BadInput(f"{note.store}: {record.name}@{record.version} is not a valid bundle: {wrong[0]}")
