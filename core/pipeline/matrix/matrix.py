"""``clearport matrix``: all exports of a matrix file, each built once, and the support matrix of their proofs."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clearport.bundle.matrix_record import MatrixRecord, MatrixRow, to_json
from clearport.disk import ours
from clearport.disk.files import write_text
from clearport.disk.outputs import OutBundle, OutFile, OutFolder, claimed
from clearport.errors import BadInput
from clearport.pipeline.matrix import cache as caches
from clearport.pipeline.matrix.engines import Local
from clearport.pipeline.matrix.keys import key_of, package_versions
from clearport.pipeline.matrix.plan import EXAMPLE, read_matrix
from clearport.reports import matrix as reports
from clearport.runtime.side_by_side import workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.pipeline.matrix.engines import Engine, Watch
    from clearport.pipeline.matrix.plan import Job

RECORD, MARKDOWN, PAGE = "matrix.json", "matrix.md", "matrix.html"
CACHE = ".cache"
"""Default cache folder within the matrix's folder."""


MEMORY = 3e9
"""Memory limit in bytes of an export at the usual size, over all of its processes, as in ``bench_memory.py``."""


@dataclass(frozen=True)
class MatrixRequest:
    """The request of a matrix; see ``clearport matrix --help``. ``jobs`` None: as many as cores and memory allow."""

    file: Path
    out: Path
    cache: Path | None = None
    jobs: int | None = None
    engine: Literal["local", "dask"] = "local"
    cluster: str = ""


@dataclass(frozen=True)
class Matrix:
    """The record of a matrix in its ``folder``; ``built`` are the names of the exports built in this run."""

    folder: Path
    record: MatrixRecord
    built: tuple[str, ...]

    @property
    def page(self) -> Path:
        """The path of the HTML page."""
        return self.folder / PAGE


def build_matrix(request: MatrixRequest, watch: Watch) -> Matrix:
    """Build exports missing in the cache, place every bundle, and write the matrix.

    Raises:
        BadInput: the matrix file is invalid, or an output cannot be written; nothing was done.
    """
    jobs = read_matrix(request.file)
    engine = _engine(request)
    with ExitStack() as held:
        cache = request.cache or request.out / CACHE
        _claim(held, request, cache, jobs)
        where = engine.environment()
        keys = {job.name: key_of(job, where) for job in jobs}
        rows = {key: row for key in dict.fromkeys(keys.values()) if (row := caches.kept(cache, key)) is not None}
        todo = {keys[job.name]: job for job in reversed(jobs) if keys[job.name] not in rows}
        for job in jobs:
            if keys[job.name] in rows:
                _finish(job, rows[keys[job.name]], cache, request.out, watch, built=False)
        for key, row in engine.run(dict(reversed(todo.items())), cache, watch):
            rows[key] = row
            for job in jobs:
                if keys[job.name] == key:
                    _finish(job, row, cache, request.out, watch, built=True)
        record = MatrixRecord(
            tool_versions=dict(package_versions()),
            rows=tuple(_named(rows[keys[job.name]], job) for job in jobs),
        )
        _write(request.out, record)
        caches.tidy(cache)
    return Matrix(request.out, record, tuple(job.name for job in jobs if keys[job.name] in todo))


def write_example(path: Path) -> None:
    """Write a commented example of a matrix file; nothing is replaced.

    Raises:
        BadInput: the path exists, or cannot be written.
    """
    if os.path.lexists(path):
        raise BadInput(f"{path}: a file is already there; name another")
    write_text(path, EXAMPLE)


def _engine(request: MatrixRequest) -> Engine:
    if request.engine == "local":
        if request.cluster:
            raise BadInput(f"--cluster {request.cluster}: needs --engine dask")
        return Local(request.jobs or _width())
    if not request.cluster:
        raise BadInput(
            "--engine dask: give the scheduler's address with --cluster tcp://HOST:8786 ('dask scheduler' and 'dask "
            "worker tcp://HOST:8786' start one)"
        )
    from clearport.pipeline.matrix.on_dask import Dask

    return Dask(request.cluster)


def _width() -> int:
    """One export per core, as far as memory allows."""
    import psutil

    return min(workers(1), max(1, int(psutil.virtual_memory().total / MEMORY)))


def _claim(held: ExitStack, request: MatrixRequest, cache: Path, jobs: Sequence[Job]) -> None:
    """Claim the outputs, outer folders first: bundles are in the matrix's folder, and the cache may be."""
    reads = [request.file, *(place for job in jobs for place in job.places.values())]
    held.enter_context(claimed(OutFolder(request.out, "--out"), reads=reads))
    held.enter_context(claimed(OutFolder(cache, "--cache", shared=True), reads=reads))
    files = [
        OutFile(request.out / RECORD, "--out", "a record of 'clearport matrix'", ours.is_matrix),
        OutFile(request.out / MARKDOWN, "--out", "a page of 'clearport matrix'", ours.is_matrix_page),
        OutFile(request.out / PAGE, "--out", "a page of 'clearport matrix'", ours.is_matrix_page),
    ]
    bundles = [OutBundle(request.out / job.name, force=True) for job in jobs]
    held.enter_context(claimed(*files, *bundles, reads=reads))


def _finish(job: Job, row: MatrixRow, cache: Path, out: Path, watch: Watch, *, built: bool) -> None:
    if row.bundle is not None:
        caches.lay_out(cache, row, out / job.name)
    watch.ended(job, row, built=built)


def _named(row: MatrixRow, job: Job) -> MatrixRow:
    """The row under the job's name, since the cache entry may have another."""
    if row.bundle is None or row.bundle == job.name:
        return row.model_copy(update={"name": job.name, "label": job.label})
    cells = tuple(
        cell.model_copy(update={"path": cell.path.replace(row.bundle, job.name, 1)}) if cell.path else cell
        for cell in row.cells
    )
    return row.model_copy(update={"name": job.name, "label": job.label, "bundle": job.name, "cells": cells})


def _write(out: Path, record: MatrixRecord) -> None:
    """Write the three forms of the matrix; unchanged files are not rewritten."""
    texts: Mapping[str, str] = {
        RECORD: to_json(record),
        MARKDOWN: reports.markdown(record),
        PAGE: reports.html(record),
    }
    for name, text in texts.items():
        path = out / name
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text(path, text)
