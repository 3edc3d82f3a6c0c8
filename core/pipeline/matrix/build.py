"""One export of a matrix, in its own process: see ``engines``.

The number of threads is the same on every machine, so that its files have the same bytes.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport import problems
from clearport.base import Skipped
from clearport.bundle.folder import Bundle
from clearport.bundle.matrix_record import MatrixCell, MatrixRow, Status, refused, row_of, to_json
from clearport.disk.files import atomic_path, write_text
from clearport.errors import BadInput
from clearport.pipeline.matrix.cache import BUNDLE, ROW, building, kept
from clearport.pipeline.matrix.plan import Job, all_cells
from clearport.registry import TARGETS
from clearport.runtime.worker import wire
from clearport.runtime.worker.child import leave_with_parent, private_streams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.protocols import Progress


def main() -> int:
    """Build one job; when the row is sent, the cache entry is on disk. Returns the exit code."""
    commands, replies = private_streams()
    leave_with_parent()
    message = wire.receive(commands)
    assert message is not None

    def tell(stage: str, done: int, total: int) -> None:
        wire.send(replies, {"progress": [stage, done, total]})

    head = message[0]
    places = {field: Path(place) for field, place in head["places"].items()}
    row = build(job_of(head["job"]), places, head["key"], Path(head["entry"]), tell)
    wire.send(replies, {"row": row.model_dump(mode="json")})
    replies.flush()
    os._exit(0)  # native libraries may hang at exit


def job_of(plain: dict[str, Any]) -> Job:
    """A job from its JSON."""
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}
    return Job(**given)


def plain_job(job: Job) -> dict[str, Any]:
    """A job as JSON."""
    return asdict(job)


def build(job: Job, places: Mapping[str, Path], key: str, entry: Path, progress: Progress) -> MatrixRow:
    """Export a job into its cache entry; a failure, which another run may not have, leaves no entry.

    ``places`` has the paths of the files that the job names; messages use the names. If another matrix builds the same
    entry, its row is used.
    """
    try:
        progress("waiting for another matrix", 0, 0)
        with building(entry.parent, key):
            if (row := kept(entry.parent, key)) is not None:
                return row
            with atomic_path(entry) as place:
                place.mkdir()
                row = _exported(job, places, key, place / BUNDLE, progress)
                write_text(place / ROW, to_json(row))
    except problems.UNEXPECTED as error:
        said = _named(problems.told(error, f"exporting {job.name}"), job, places)
        return without_bundle(job, key, "failed", said)
    return row


def _exported(job: Job, places: Mapping[str, Path], key: str, out: Path, progress: Progress) -> MatrixRow:
    """The row of an export; refusals of the user's input are deterministic, so they are rows, too.

    Raises:
        ClearportError, Exception: the export failed for other reasons.
    """
    from clearport.pipeline.export import export_bundle

    try:
        export_bundle(job.request(out, places), progress)
    except BadInput as error:
        if _by_the_system(error):
            raise
        return without_bundle(job, key, "refused", _named(str(error), job, places))
    return row_of(Bundle.load(out), job.name, job.label, key)


def _named(text: str, job: Job, places: Mapping[str, Path]) -> str:
    """A message with the names in the matrix file instead of actual paths."""
    for field, place in places.items():
        text = text.replace(str(place), job.named[field])
    return text


def _by_the_system(error: BaseException | None) -> bool:
    """Whether a refusal comes from the system, such as a full disk."""
    while error is not None:
        if isinstance(error, OSError):
            return True
        error = error.__cause__
    return False


def without_bundle(job: Job, key: str, status: Status, reason: str) -> MatrixRow:
    """The row of an export without a bundle."""
    name = Path(job.network).stem if job.is_file else job.network
    said = [
        MatrixCell(target=cell.target, precision=cell.precision, status=status, reason=reason)
        for target, precision in all_cells(job)
        if job.precisions or precision in TARGETS.get(target).precisions
        for cell in refused(Skipped(f"{target}/{precision}", reason))
    ]
    scale = "" if job.scale is None else str(job.scale)
    return MatrixRow(
        name=job.name, label=job.label, network=name, scale=scale, size=job.size, key=key, cells=tuple(said)
    )


if __name__ == "__main__":
    main()
