"""Plausibility checks of latency records, which may come from files."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clearport.runtime.latency.record import LatencyReport
    from clearport.runtime.latency.stats import Ratio

MOST_MS = 1e9
"""Maximum time in ms: eleven days."""
_ROUNDING = 1e-9
"""Relative tolerance for the order of percentiles and means, which have float64 rounding errors."""


def sound(report: LatencyReport) -> LatencyReport:
    """Return the report if it is plausible.

    Raises:
        ValueError: there are no samples, a time is negative, infinite or out of order, or a ratio is.
    """
    for problem in _problems(report):
        raise ValueError(problem)
    return report


def _problems(report: LatencyReport) -> Iterator[str]:
    if not report.samples_ms or report.runs_per_round < 1 or report.threads < 1 or report.warmup < 0:
        yield "a latency has at least one sample, one run a round and one thread, and no negative warm-up"
    if report.cpu_samples_ms and len(report.cpu_samples_ms) != len(report.samples_ms):
        yield f"{len(report.cpu_samples_ms)} CPU times for {len(report.samples_ms)} samples"
    if len(report.samples_ms) < report.runs_per_round:
        yield f"{len(report.samples_ms)} samples are less than a round of {report.runs_per_round}"
    times = (*report.samples_ms, *report.cpu_samples_ms, report.init_ms, report.first_inference_ms, report.std_ms)
    if not all(0 <= time <= MOST_MS for time in times):
        yield f"a time is negative, infinite or above {MOST_MS:g} ms"
    ordered = (
        report.min_ms,
        report.p5_ms,
        report.median_ms,
        report.p90_ms,
        report.p95_ms,
        report.p99_ms,
        report.max_ms,
    )
    if not all(_ascends(low, high) for low, high in zip((0.0, *ordered), (*ordered, MOST_MS), strict=True)):
        yield f"figures are out of order: minimum, percentiles and maximum in ms are {ordered}"
    if not (_ascends(report.min_ms, report.mean_ms) and _ascends(report.mean_ms, report.max_ms)):
        yield f"the mean of {report.mean_ms:g} ms is outside minimum and maximum"
    for name, ratio in (("ratio", report.ratio), ("cpu_ratio", report.cpu_ratio)):
        if ratio is not None and not _is_ratio(ratio):
            yield f"{name}: expected 0 <= low <= value <= high, got {ratio.low:g}, {ratio.value:g}, {ratio.high:g}"


def _is_ratio(ratio: Ratio) -> bool:
    return 0 <= ratio.low <= ratio.value <= ratio.high < math.inf


def _ascends(low: float, high: float) -> bool:
    return low <= high + _ROUNDING * abs(high)
