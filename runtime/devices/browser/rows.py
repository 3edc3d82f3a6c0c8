"""Rows from a page: checked, and converted to the reports of other devices."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.runtime.devices.browser.wire import (
    Candidate,
    MeasuredRow,
    SkippedRow,
    StoredMeasured,
    StoredRow,
    StoredSkipped,
)
from clearport.runtime.devices.device import SimulatedReport
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.latency.stats import Ratio, Summary, paired_ratio, rounds_of
from clearport.runtime.parity import ParityReport, Tolerance, judge, merged

if TYPE_CHECKING:
    from clearport.runtime.devices.browser.wire import ParityFigures, SentRow

HEAP = "size of the WebAssembly heap, which never shrinks"
GOLDEN = "golden picture"


def stored(row: SentRow, candidate: Candidate) -> StoredRow:
    """A row as stored. Whether it passed is computed here from its figures, not by the page."""
    received = datetime.now(UTC).isoformat(timespec="seconds")
    if isinstance(row, SkippedRow):
        return StoredSkipped(**dict(row), sha256=candidate.sha256, received=received, passed=None, failures=())
    report = parity_of(row, candidate)
    return StoredMeasured(
        **dict(row),
        sha256=candidate.sha256,
        received=received,
        passed=None if report is None else report.passed,
        failures=() if report is None else report.failures,
        summary=asdict(Summary.of(row.samples_ms)) if row.samples_ms else {},
        ratio=ratio_of(row),
    )


def ratio_of(row: MeasuredRow) -> Ratio | None:
    """Time relative to its baseline, which was measured interleaved; None without one."""
    if row.reference is None:
        return None
    of = row.runs_per_round
    return paired_ratio(row.reference.key, rounds_of(row.samples_ms, of), rounds_of(row.reference.samples_ms, of))


def parity_of(row: MeasuredRow, candidate: Candidate) -> ParityReport | None:
    """The golden check of a row; None if its artifact has no golden picture."""
    if row.parity is None or candidate.tolerance is None:
        return None
    reports = [_judged(row.parity, candidate.tolerance, candidate)]
    reports += [_judged(f, j.tolerance, candidate) for f, j in zip(row.others, candidate.others, strict=False)]
    report = merged(reports)
    if len(row.others) == len(candidate.others):
        return report
    untold = f"{len(row.others)} of {len(candidate.others)} further golden pictures were compared: reload the page"
    return replace(report, passed=False, failures=(*report.failures, untold))


def _judged(figures: ParityFigures, limits: Tolerance, candidate: Candidate) -> ParityReport:
    bare = ParityReport(
        passed=True,
        **dict(figures),
        method=f"ran on {candidate.runner} ({candidate.backend}) in a browser",
        reference=GOLDEN,
        basis="8-bit pictures",
        tolerance=Tolerance(**asdict(limits)),
    )
    return judge(bare)


def report_of(row: SentRow, candidate: Candidate) -> LatencyReport | SimulatedReport | Skipped:
    """A row as a report: measured, simulated (if its unit is emulated in software), or skipped."""
    if isinstance(row, SkippedRow):
        return Skipped(candidate.key, row.reason)
    facts = {
        **row.facts,
        "clock_step_ms": row.clock_step_ms,
        "inferences_per_sample": row.inferences_per_sample,
        "backend": candidate.backend,
    }
    if row.emulated is not None:
        return SimulatedReport(
            kind="simulated",
            runtime=candidate.runner,
            runtime_versions=row.runtime_versions,
            why=row.emulated,
            unit_asked=candidate.unit,
            unit_ran=row.unit_ran,
            operators_per_unit=row.operators_per_unit,
            facts=facts,
        )
    if not row.samples_ms:
        return Skipped(candidate.key, "the browser sent no samples")
    summary = Summary.of(row.samples_ms)
    return LatencyReport(
        kind="measured",
        runtime=candidate.runner,
        runtime_versions=row.runtime_versions,
        unit_asked=candidate.unit,
        unit_ran=row.unit_ran,
        threads=row.threads,
        init_ms=row.init_ms,
        first_inference_ms=row.first_inference_ms,
        warmup=row.warmup,
        runs_per_round=row.runs_per_round,
        samples_ms=row.samples_ms,
        cpu_samples_ms=(),
        **asdict(summary),
        fps=1e3 / summary.median_ms if summary.median_ms else 0.0,
        cpu_median_ms=None,
        ratio=ratio_of(row),
        cpu_ratio=None,
        peak_memory_mib=row.heap_mib,
        peak_memory_method=HEAP,
        io_copies_counted=True,
        operators={},
        partitions=None,
        executed_precision=None,
        facts=facts,
        operators_per_unit=row.operators_per_unit,
        remarks=("the page was in the background",) if row.facts.get("hidden") is True else (),
    )
