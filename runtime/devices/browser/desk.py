"""Handling of data from pages: records and judges them, and notifies a listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.runtime.devices.browser.rows import stored

if TYPE_CHECKING:
    from clearport.runtime.devices.browser.records import BrowserRecord, Records
    from clearport.runtime.devices.browser.wire import Candidate, DeviceFacts, Offer, RunState, SentRow, StoredRow

STOPPED, FINISHED = "stopped by the user", "finished"


@dataclass(frozen=True)
class Greeted:
    """A page opened on a device."""

    device: str
    facts: DeviceFacts


@dataclass(frozen=True)
class RowCame:
    """A row arrived: the ``number``-th of ``asked``."""

    device: str
    title: str
    candidate: Candidate
    sent: SentRow
    row: StoredRow
    number: int
    asked: int


@dataclass(frozen=True)
class OutputCame:
    """The raw output of a candidate arrived; its row follows."""

    device: str
    candidate: Candidate
    content: bytes


@dataclass(frozen=True)
class RunEnded:
    """A run ended, with its outcome; ``gone``: the page was closed."""

    device: str
    title: str
    outcome: str
    gone: bool


@dataclass(frozen=True)
class Fault:
    """An internal error of the server; ``message`` names the log with the traceback."""

    message: str


Event = Greeted | RowCame | OutputCame | RunEnded | Fault
Listener = Callable[[Event], None]


class Desk:
    """The offer to all pages, and their records."""

    def __init__(self, offer: Offer, records: Records, listener: Listener) -> None:
        self._offer, self._records, self._listener = offer, records, listener
        self._candidates = {candidate.key: candidate for candidate in offer.candidates}
        self.outputs = {c.output_url: c for c in offer.candidates if c.output_url is not None}

    def greet(self, device: str, facts: DeviceFacts) -> Offer:
        """The offer for a device, with its earlier results."""
        record = self._records.greet(device, facts)
        self._listener(Greeted(device, facts))
        done = {key: row for key, row in record.rows.items() if key in self._candidates}
        return self._offer.model_copy(update={"done": done})

    def run(self, device: str, state: RunState) -> None:
        """Handle the begin or end of a run."""
        record = self._known(device)
        if state.state == "begins":
            self._records.begin(device, state.rows)
        else:
            self._end(record, FINISHED if state.rows else STOPPED, gone=False)

    def row(self, device: str, sent: SentRow) -> StoredRow:
        """Judge and keep a row.

        Raises:
            BadInput: its candidate was not offered.
        """
        record = self._known(device)
        candidate = self._candidates.get(sent.key)
        if candidate is None:
            raise BadInput("no such candidate was offered")
        row = stored(sent, candidate)
        self._records.add(device, row)
        last = self._known(device).runs[-1:]
        number, asked = (last[0].came, last[0].asked) if last else (0, 0)
        self._listener(RowCame(device, record.device.title, candidate, sent, row, number, asked))
        return row

    def output(self, device: str, path: str, content: bytes) -> None:
        """Handle the raw output of a candidate."""
        self._known(device)
        self._listener(OutputCame(device, self.outputs[path], content))

    def fault(self, message: str) -> None:
        """Report an internal error of the server."""
        self._listener(Fault(message))

    def gone(self, device: str) -> None:
        """Handle a closed page: its current run ends, and its rows are kept."""
        record = self._records.of(device)
        if record is not None and record.runs and record.runs[-1].ended is None:
            note = record.runs[-1]
            self._end(record, f"the page was closed after {note.came} of {note.asked} rows", gone=True)

    def _end(self, record: BrowserRecord, outcome: str, *, gone: bool) -> None:
        if self._records.end(record.id, outcome) is not None:
            self._listener(RunEnded(record.id, record.device.title, outcome, gone))

    def _known(self, device: str) -> BrowserRecord:
        record = self._records.of(device)
        if record is None:
            raise BadInput("this device has not identified itself: reload the page")
        return record
