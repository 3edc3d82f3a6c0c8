"""Exports of a matrix on a cluster of Dask, whose workers have the same clearport and packages.

No shared storage is needed: the files of a job are sent, and the cache entry is returned, and checked like one on disk.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.bundle.matrix_record import MatrixRow, to_json
from clearport.disk.files import atomic_path
from clearport.errors import BadInput, NotInstalled, RuntimeFailure
from clearport.pipeline.matrix import cache as caches
from clearport.pipeline.matrix.build import job_of, plain_job, without_bundle
from clearport.pipeline.matrix.engines import in_process
from clearport.pipeline.matrix.keys import PROCESSOR, environment, named_files
from clearport.protocols import no_progress
from clearport.registry import missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clearport.pipeline.matrix.engines import Watch
    from clearport.pipeline.matrix.plan import Job

    Files = dict[str, tuple[str, list[tuple[str, bytes]]]]

_MOST_SENT = 1 << 30
"""Maximum total bytes of a job's files."""
_PATIENCE_S = 30
"""Timeout of the connection to a scheduler, in seconds."""


class Dask:
    """The workers of the scheduler at ``address``, such as ``tcp://host:8786``.

    Raises:
        BadInput: the package is missing, there is no scheduler or worker, or a worker differs in packages from this
            machine, or in the processor from other workers.
    """

    def __init__(self, address: str) -> None:
        if missing(("distributed",)):
            raise NotInstalled("distributed", "dask")
        self._address = address
        self._environment = self._common()

    def environment(self) -> Mapping[str, str]:
        """The workers' environment, which may differ from this machine's only in the processor."""
        return self._environment

    def run(self, jobs: Mapping[str, Job], cache: Path, watch: Watch) -> Iterator[tuple[str, MatrixRow]]:
        """See ``Engine.run``.

        Raises:
            BadInput: a worker that joined later has other packages or another processor.
        """
        from distributed import as_completed

        with self._client() as client:
            futures = {}
            for key, job in jobs.items():
                watch.started(job)
                given = (plain_job(job), _packed(job), key, self._environment)
                futures[client.submit(remote, *given, key=f"clearport-{key}")] = key
            for future in as_completed(futures, loop=client.loop):
                key = futures[future]
                yield key, _received(future, jobs[key], key, cache)

    def _common(self) -> dict[str, str]:
        with self._client() as client:
            try:
                there = client.run(environment)
            except Exception as error:  # after any error of a worker, clearport cannot run there
                raise BadInput(f"--cluster {self._address}: clearport does not run on its workers: {error}") from error
        if not there:
            raise BadInput(f"--cluster {self._address}: the scheduler has no worker")
        wanted = {**environment(), PROCESSOR: next(iter(there.values())).get(PROCESSOR, "")}
        for worker, found in there.items():
            if told := _difference(found, wanted):
                raise BadInput(f"--cluster {self._address}: worker {worker} {told}")
        return wanted

    def _client(self) -> Any:
        from distributed import Client

        try:
            return Client(self._address, timeout=_PATIENCE_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise BadInput(f"--cluster {self._address}: no Dask scheduler answers at this address: {error}") from error


def _difference(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """The difference of an environment, which would invalidate the keys; empty if none."""
    other = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    if not other:
        return ""
    name = other[0]
    return (
        f"differs in {', '.join(other)} ({name}: {found.get(name, 'missing')} there, {wanted.get(name, 'missing')} "
        f"{'on another worker' if name == PROCESSOR else 'here'}); it would write other files"
    )


def remote(plain: dict[str, Any], files: Files, key: str, wanted: Mapping[str, str]) -> tuple[str, bytes]:
    """Runs on a worker; returns the row as JSON, and the cache entry as a tar archive (empty after a failure).

    Raises:
        BadInput: the worker's environment differs from the key's.
    """
    if told := _difference(environment(), wanted):
        raise BadInput(f"a worker of the cluster {told}")
    job = job_of(plain)
    with tempfile.TemporaryDirectory(prefix="clearport-matrix-") as name:
        places = {field: _unpacked(Path(name, field), *found) for field, found in files.items()}
        entry = Path(name, key)
        row = in_process(job, places, key, entry, no_progress)
        packed = io.BytesIO()
        if entry.is_dir():
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(entry, arcname=".")
        return to_json(row), packed.getvalue()


def _packed(job: Job) -> Files:
    """Field -> (name of the file, empty for a folder; name and content of everything in it)."""
    found = {field: named_files(field, place) for field, place in job.places.items()}
    size = sum(path.stat().st_size for files in found.values() for _, path in files)
    if size > _MOST_SENT:
        raise BadInput(
            f"{job.name}: its files have {size / 1e9:.1f} GB; {_MOST_SENT >> 30} GiB can be sent to a cluster"
        )
    return {
        field: ("" if place.is_dir() else place.name, [(name, path.read_bytes()) for name, path in found[field]])
        for field, place in job.places.items()
    }


def _unpacked(folder: Path, name: str, files: list[tuple[str, bytes]]) -> Path:
    """Unpack a file or folder on the worker; returns its path."""
    for inner, content in files:
        place = folder / inner
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder / name


def _received(future: Any, job: Job, key: str, cache: Path) -> MatrixRow:
    """The row of a job, after its entry was added to the local cache."""
    try:
        text, packed = future.result()
        if packed:
            _store(packed, key, cache)
        return MatrixRow.model_validate_json(text)
    except BadInput:
        raise
    except Exception as error:  # a worker was lost, or refused the job
        return without_bundle(job, key, "failed", f"on the cluster: {type(error).__name__}: {error}")


def _store(packed: bytes, key: str, cache: Path) -> None:
    with atomic_path(caches.entry(cache, key)) as place:
        place.mkdir()
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(place, filter="data")
    if caches.found(cache, key) is None:
        raise RuntimeFailure("the cache entry was corrupted in the transfer from the cluster")
