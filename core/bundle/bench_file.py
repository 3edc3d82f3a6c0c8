"""The file of ``clearport bench --json`` during a run: a growing record, or the error note of a run without rows.

The note is ``{"clearport": version, "error": message, "earlier": record}``. It replaces an earlier record as soon as
the run starts, so that results of an earlier run cannot pass for this one's; it contains that record, and ``--resume``
reads it from there. A resumed record stays, since its rows are kept.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from clearport import __version__
from clearport.bundle.bench_record import BenchRecord
from clearport.disk import ours
from clearport.disk.files import is_stream, write_text
from clearport.disk.outputs import OutFile, claimed
from clearport.errors import BadInput


def wanted(path: Path | None) -> OutFile | None:
    """The file as an output to be claimed."""
    what = "a record of 'clearport bench --json'"
    return None if path is None else OutFile(path, "--json", what, ours.is_bench_json)


class BenchFile:
    """A claimed file, or None for no file; use it as a context manager.

    ``problem`` is the reason why the last record could not be written, if any; the measurements are not lost.

    Raises:
        BadInput: the file cannot be written, or has no record to resume.
    """

    def __init__(self, path: Path | None, *, resume: bool = False) -> None:
        self._path, self._saved = path, False
        self.problem: BadInput | None = None
        found = ours.read_json(path) if path is not None else None
        found = found if isinstance(found, dict) else {}
        self._earlier: Any = found if "rows" in found else found.get("earlier")
        self.earlier: BenchRecord | None = None
        if resume and path is not None and path.exists():
            self.earlier = _resumed(path, found)

    def __enter__(self) -> BenchFile:
        self._note("this run did not finish: it was killed, or is still running")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None and not self._saved:
            with suppress(BadInput):  # report the first error
                self._note(str(error) or "interrupted")

    def save(self, record: BenchRecord, *, last: bool = False) -> None:
        """Write the current record. After a failure, only the last record is tried again."""
        if self._path is None or (self.problem is not None and not last) or (is_stream(self._path) and not last):
            return
        try:
            record.save(self._path)
        except BadInput as error:
            self.problem = error
        else:
            self.problem, self._saved = None, True

    def _note(self, error: str) -> None:
        if self._path is not None and self._path.is_file() and self.earlier is None:
            note = {"clearport": __version__, "error": error, "earlier": self._earlier}
            write_text(self._path, json.dumps(note, indent=2, ensure_ascii=False) + "\n")


def _resumed(path: Path, found: dict[str, Any]) -> BenchRecord | None:
    """The record whose rows are kept: the file's, or the one in a note."""
    if "error" not in found:
        return BenchRecord.load(path) if path.stat().st_size else None
    try:
        return BenchRecord.model_validate_json(json.dumps(found["earlier"])) if found.get("earlier") else None
    except ValidationError as error:
        raise BadInput(f"{path}: 'earlier' has no resumable record; leave out --resume") from error


def note_failure(path: Path, error: str) -> None:
    """Write the note of a run that failed before it began; files not written by clearport are left alone."""
    with suppress(BadInput), claimed(wanted(path)), suppress(_Failed), BenchFile(path):
        raise _Failed(error)


class _Failed(Exception):
    pass
