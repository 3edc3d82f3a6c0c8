"""Request and result of a bench."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.errors import BadInput, check_finite
from clearport.runtime.devices.device import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.bundle.bench_record import BenchRecord, BenchRow
    from clearport.bundle.folder import Bundle

HOST = "host"
BASELINE = "pytorch"


@dataclass(frozen=True)
class BenchRequest:
    """What to measure, and where; see ``clearport bench --help``.

    ``units`` may be empty: each device then uses its first one. ``json`` is the file that rows are saved to as they
    arrive; with ``resume`` the rows of that file are not measured again. ``record``: rows will be recorded in the
    bundle, which must therefore be writable.
    """

    folder: Path
    devices: tuple[str, ...] = (HOST,)
    units: tuple[str, ...] = ()
    threads: int = 1
    runs: int = 50
    seconds: float = 1.0
    sustained_s: float = 0.0
    pin: tuple[int, ...] = ()
    profile: bool = False
    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    against: Path | None = None
    settings: Settings = field(default_factory=Settings)
    json: Path | None = None
    resume: bool = False
    record: bool = False
    older: BenchRecord | None = None
    max_slowdown: float | None = None

    def __post_init__(self) -> None:
        check_finite("--seconds", self.seconds)
        check_finite("--sustained", self.sustained_s)


@dataclass(frozen=True)
class BenchOutcome:
    """The bundle and the record of its rows; ``fresh`` are the keys of the newly measured ones.

    ``unwritten`` is the reason why the file ``BenchRequest.json`` could not be written after the measurements, if any.
    """

    bundle: Bundle
    record: BenchRecord
    fresh: frozenset[str]
    unwritten: BadInput | None = None

    @property
    def rows(self) -> tuple[BenchRow, ...]:
        return self.record.rows

    def failures(self, require_unit: str | None = None) -> list[str]:
        """Failures, one sentence each: wrong pictures, lost devices, fallbacks."""
        wrong = [
            f"{row.key}: {'; '.join(row.golden.failures)}"
            for row in self.rows
            if not isinstance(row.golden, Skipped) and not row.golden.passed
        ]
        lost = [f"{d.address}: {d.lost}" for d in self.record.devices if d.lost]
        ran = any(row.artifact != BASELINE and not isinstance(row.cell, Skipped) for row in self.rows)
        nothing = [] if ran or lost else ["nothing ran: every row was skipped"]
        slow = list(self.record.compared.failures) if self.record.compared else []
        return wrong + lost + nothing + slow + (_fallbacks(self.rows, require_unit) if require_unit else [])


def _fallbacks(rows: Sequence[BenchRow], unit: str) -> list[str]:
    """Failures to run on ``unit``."""
    told = [row for row in rows if row.artifact != BASELINE]
    found = [
        f"{row.key}: requested {unit}, ran on: {ran}"
        for row in told
        if row.unit == unit and not isinstance(row.cell, Skipped) and (ran := _ran(row)) != unit
    ]
    if not any(row.unit == unit and not isinstance(row.cell, Skipped) for row in told):
        reasons = {row.cell.reason for row in told if isinstance(row.cell, Skipped)}
        why = "; ".join(sorted(reasons)) or f"no row requested it (--unit {unit})"
        found.append(f"nothing ran on the {unit}: {why}")
    return found


def _ran(row: BenchRow) -> str:
    """The units that a row's artifact ran on, or was compiled for, joined by '+'."""
    operators: Mapping[str, Mapping[str, int]] = getattr(row.cell, "operators_per_unit", {})
    named = {unit for unit, kinds in operators.items() if kinds}
    told = str(getattr(row.cell, "unit_ran", "" if named else "unknown"))
    return "+".join(sorted(named | set(filter(None, told.split("+")))))
