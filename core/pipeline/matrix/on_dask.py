"""Exports of a matrix on a cluster of Dask, whose workers have the same clearport and packages.

Nothing has to be shared: the files that a job names are sent, and the entry of the cache comes back, which is checked
as one on disk is.
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
from clearport.pipeline.matrix.keys import environment, named_files
from clearport.protocols import no_progress
from clearport.registry import missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clearport.pipeline.matrix.engines import Watch
    from clearport.pipeline.matrix.plan import Job

    Files = dict[str, tuple[str, list[tuple[str, bytes]]]]

_MOST_SENT = 1 << 30
"""Bytes of the files that one job may send."""
_PATIENCE_S = 30
"""How long a scheduler is waited for."""


class Dask:
    """The workers of the scheduler at ``address``, such as ``tcp://host:8786``.

    Raises:
        BadInput: the package is missing.
    """

    def __init__(self, address: str) -> None:
        if missing(("distributed",)):
            raise NotInstalled("distributed", "dask")
        self._address = address

    def run(self, jobs: Mapping[str, Job], cache: Path, watch: Watch) -> Iterator[tuple[str, MatrixRow]]:
        """See ``Engine.run``.

        Raises:
            BadInput: there is no scheduler or no worker, or a worker has other packages than this machine.
        """
        from distributed import Client, as_completed

        try:
            client = Client(self._address, timeout=_PATIENCE_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise BadInput(f"--cluster {self._address}: no scheduler of Dask answers there: {error}") from error
        with client:
            self._check(client)
            futures = {}
            for key, job in jobs.items():
                watch.started(job)
                futures[client.submit(remote, plain_job(job), _packed(job), key, key=f"clearport-{key}")] = key
            for future in as_completed(futures, loop=client.loop):
                key = futures[future]
                yield key, _received(future, jobs[key], key, cache)

    def _check(self, client: Any) -> None:
        """Other packages would write other bytes under the same key."""
        try:
            there = client.run(environment)
        except Exception as error:  # whatever a worker raises, clearport cannot run there
            raise BadInput(f"--cluster {self._address}: clearport does not run on its workers: {error}") from error
        if not there:
            raise BadInput(f"--cluster {self._address}: the scheduler has no worker")
        here = dict(environment())
        for worker, found in there.items():
            other = sorted(name for name in {*here, *found} if here.get(name) != found.get(name))
            if other:
                name = other[0]
                raise BadInput(
                    f"--cluster {self._address}: worker {worker} differs in {', '.join(other)} ({name}: "
                    f"{found.get(name, 'missing')} there, {here.get(name, 'missing')} here); it would write other files"
                )


def remote(plain: dict[str, Any], files: Files, key: str) -> tuple[str, bytes]:
    """Runs on a worker: the row as JSON, and the entry of the cache as a tar archive (empty after a failure)."""
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
    """Where the file or folder lies on the worker."""
    for inner, content in files:
        place = folder / inner
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder / name


def _received(future: Any, job: Job, key: str, cache: Path) -> MatrixRow:
    """The row of a job, whose entry is in the cache here, too."""
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
        raise RuntimeFailure("what came from the cluster is not what was written there")
