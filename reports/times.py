"""The time of a file for comparisons, from its latency record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.runtime.latency.record import LatencyReport

if TYPE_CHECKING:
    from clearport.bundle.manifest import HostRecord
    from clearport.runtime.latency.stats import Ratio

CPU, WALL = "CPU time", "wall clock"
_BUSY = 1.0
"""Load average per core above which candidates waited for the processor."""


def typical(report: LatencyReport) -> tuple[float, str]:
    """Median in ms, and its kind: CPU time for one thread if known, which other load affects less."""
    if report.threads == 1 and report.cpu_median_ms is not None:
        return report.cpu_median_ms, CPU
    return report.median_ms, WALL


def share(report: LatencyReport) -> Ratio | None:
    """That time relative to the baseline's, paired and interleaved."""
    if typical(report)[1] == CPU and report.cpu_ratio is not None:
        return report.cpu_ratio
    return report.ratio


def busy(host: HostRecord) -> str:
    """A note if the machine had other load during the measurement; empty if it had not, or if unknown."""
    load = max(host.load_start or 0.0, host.load_end or 0.0)
    if not host.cores or load / host.cores < _BUSY:
        return ""
    return (
        f"The machine was busy during the measurement (load average {load:.1f} on {host.cores} cores): wall-clock "
        "times are too long, CPU times and ratios are more reliable"
    )
