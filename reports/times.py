"""The one time of a file that comparisons use, from its latency record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.runtime.latency.record import LatencyReport

if TYPE_CHECKING:
    from clearport.bundle.manifest import HostRecord
    from clearport.runtime.latency.stats import Ratio

CPU, WALL = "CPU time", "wall clock"
_BUSY = 1.0
"""Load average per core from which on candidates waited for the processor."""


def typical(report: LatencyReport) -> tuple[float, str]:
    """Median in ms, and of what: CPU time for one thread where it is known, which other programs lengthen less."""
    if report.threads == 1 and report.cpu_median_ms is not None:
        return report.cpu_median_ms, CPU
    return report.median_ms, WALL


def share(report: LatencyReport) -> Ratio | None:
    """The same in relation to the baseline, paired in turns."""
    if typical(report)[1] == CPU and report.cpu_ratio is not None:
        return report.cpu_ratio
    return report.ratio


def busy(host: HostRecord) -> str:
    """Whether the machine had other work while it measured, in words; empty: it had not, or that is not known."""
    load = max(host.load_start or 0.0, host.load_end or 0.0)
    if not host.cores or load / host.cores < _BUSY:
        return ""
    return (
        f"The machine was busy while times were taken (load average {load:.1f} on {host.cores} cores): wall-clock "
        "times are too long, CPU times and ratios hold better"
    )
