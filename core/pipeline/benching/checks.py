"""A bench as checks for CI: one per row, one per comparison with an older record, and other failures."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.disk import ours
from clearport.disk.outputs import OutFile, claimed
from clearport.reports.junit import Check, JunitFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from clearport.bundle.bench_record import BenchRow, Comparison
    from clearport.pipeline.benching.values import BenchOutcome, BenchRequest


@contextmanager
def reported(request: BenchRequest, junit: Path | None) -> Iterator[JunitFile]:
    """A JUnit file that says "not finished" until the block ends; None for no file.

    Raises:
        BadInput: the file cannot be written; nothing was measured.
    """
    wanted = None if junit is None else OutFile(junit, "--junit", "a JUnit report of clearport", ours.is_junit)
    with (
        claimed(wanted, reads=(request.folder,)),
        JunitFile(junit, f"clearport bench {request.folder.name}") as report,
    ):
        yield report


def checks(outcome: BenchOutcome, require_unit: str | None = None) -> tuple[Check, ...]:
    """Every row and comparison; a check fails exactly if it is in ``outcome.failures``."""
    failures = outcome.failures(require_unit)
    found = [_row(row, failures) for row in outcome.rows]
    if outcome.record.compared is not None:
        found += [_comparison(each, failures) for each in outcome.record.compared.comparisons]
    told = {check.message for check in found}
    return (*found, *(Check("bench", False, failure, group="bench") for failure in failures if failure not in told))


def _row(row: BenchRow, failures: Sequence[str]) -> Check:
    wrong = _of(failures, f"{row.key}: ")
    name = " ".join((row.artifact, row.unit, row.runner))
    if wrong:
        return Check(name, False, wrong, group=row.device)
    if isinstance(row.cell, Skipped):
        return Check(name, None, row.cell.reason, group=row.device)
    return Check(name, True, group=row.device)


def _comparison(found: Comparison, failures: Sequence[str]) -> Check:
    name = f"{found.artifact} {found.unit} {found.runner} against the older record"
    slow = _of(failures, f"{found.device} {found.artifact} {found.runner}: ")
    if slow:
        return Check(name, False, slow, group=found.device)
    if found.ratio is None:
        return Check(name, None, f"{found.outcome}: {found.why}", group=found.device)
    return Check(name, True, f"{found.outcome}: {found.ratio:.3f} times the time ({found.basis})", group=found.device)


def _of(failures: Sequence[str], start: str) -> str:
    return next((failure for failure in failures if failure.startswith(start)), "")
