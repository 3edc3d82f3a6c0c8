"""Latency records of browsers: one JSON file per device and browser, in the user's folder.

A record grows row by row and is rewritten each time, so that the rows of a closed page are kept.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from clearport.disk.files import write_text
from clearport.disk.json_files import read_model
from clearport.errors import BadInput
from clearport.runtime.devices.browser.wire import SCHEMA_VERSION, DeviceFacts, StoredRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_RECORDS = 500
MOST_RUNS = 50
DEVICE_ID = re.compile(r"[0-9a-f]{32}")


class RunNote(BaseModel):
    """One run of a page: begin and end (ISO 8601, UTC), number of rows requested and received, outcome."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    began: str
    ended: str | None = None
    asked: int
    came: int = 0
    outcome: str = "running"


class BrowserRecord(BaseModel):
    """Results of one bundle on a device and browser. ``rows``: key of a candidate -> its latest row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    bundle: str
    device: DeviceFacts
    rows: dict[str, StoredRow] = Field(default_factory=dict)
    runs: tuple[RunNote, ...] = ()


class Records:
    """The records of one folder; without a folder they are kept in memory only.

    Raises:
        BadInput: a record in the folder cannot be read or is invalid.
    """

    def __init__(self, folder: Path | None, bundle: str, files: Mapping[str, str]) -> None:
        """``files``: key of a candidate -> SHA-256 of its artifact; rows of other files are outdated."""
        self._folder, self._bundle, self._files = folder, bundle, files
        self._records: dict[str, BrowserRecord] = {}
        self._places: dict[str, Path] = {}
        for path in sorted(folder.glob("*.json")) if folder is not None and folder.is_dir() else ():
            record = _read(path)
            if record.bundle == bundle:
                self._records[record.id], self._places[record.id] = record, path

    def of(self, device: str) -> BrowserRecord | None:
        """The record of a device, or None."""
        return self._records.get(device)

    def greet(self, device: str, facts: DeviceFacts) -> BrowserRecord:
        """Begin or continue the record of a device; rows of artifacts that have changed since are dropped.

        Raises:
            BadInput: there are too many records, or the folder cannot be written.
        """
        old = self._records.get(device)
        if old is None and len(self._records) >= MOST_RECORDS:
            raise BadInput(
                f"{MOST_RECORDS} devices have sent records, the limit of a folder: give --records another one"
            )
        rows = {} if old is None else {k: r for k, r in old.rows.items() if self._files.get(k) == r.sha256}
        runs = () if old is None else old.runs
        return self._keep(BrowserRecord(id=device, bundle=self._bundle, device=facts, rows=rows, runs=runs))

    def begin(self, device: str, asked: int) -> None:
        """Record the begin of a run."""
        record = self._records[device]
        runs = (*record.runs, RunNote(began=_now(), asked=asked))[-MOST_RUNS:]
        self._keep(record.model_copy(update={"runs": runs}))

    def add(self, device: str, row: StoredRow) -> None:
        """Record a row; it replaces an earlier row of the same key, except a measured one by a failure."""
        record = self._records[device]
        before = record.rows.get(row.key)
        keep = before is not None and before.outcome == "measured" and row.outcome == "skipped"
        runs = record.runs
        if runs and runs[-1].ended is None:
            runs = (*runs[:-1], runs[-1].model_copy(update={"came": runs[-1].came + 1}))
        rows = record.rows if keep else {**record.rows, row.key: row}
        self._keep(record.model_copy(update={"rows": rows, "runs": runs}))

    def end(self, device: str, outcome: str) -> RunNote | None:
        """Record the end of a run and its outcome; None if there was no run."""
        record = self._records.get(device)
        if record is None or not record.runs or record.runs[-1].ended is not None:
            return None
        note = record.runs[-1].model_copy(update={"ended": _now(), "outcome": outcome})
        self._keep(record.model_copy(update={"runs": (*record.runs[:-1], note)}))
        return note

    def _keep(self, record: BrowserRecord) -> BrowserRecord:
        self._records[record.id] = record
        if self._folder is not None:
            place = self._places.setdefault(record.id, self._folder / _name(record))
            write_text(place, record.model_dump_json(indent=2) + "\n")
        return record


def _name(record: BrowserRecord) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", record.device.title.lower()).strip("-")[:60]
    return f"{words or 'browser'}-{record.id[:8]}.json"


def _read(path: Path) -> BrowserRecord:
    advice = "; move it away, or give --records another folder"
    return read_model(path, BrowserRecord, "a record of 'clearport serve'", advice=advice)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
