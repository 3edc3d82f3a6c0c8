"""Records of a latency whose samples are given; the rest is made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.latency.stats import Summary


def latency_report(samples_ms: Sequence[float], **changes: Any) -> LatencyReport:
    """One of the CPU, one sample in each round."""
    samples, summary = tuple(samples_ms), Summary.of(samples_ms)
    made = LatencyReport(
        kind="measured",
        runtime="a runtime",
        runtime_versions={"runtime": "2.3.0"},
        unit_asked="cpu",
        unit_ran="cpu",
        threads=1,
        init_ms=12.4,
        first_inference_ms=summary.median_ms * 1.3,
        warmup=1,
        runs_per_round=1,
        samples_ms=samples,
        cpu_samples_ms=samples,
        **asdict(summary),
        fps=1e3 / summary.median_ms,
        cpu_median_ms=summary.median_ms,
        ratio=None,
        cpu_ratio=None,
        peak_memory_mib=141.2,
        peak_memory_method="VmHWM",
        io_copies_counted=True,
        operators={},
        partitions=None,
        executed_precision=None,
        facts={},
    )
    return replace(made, **changes)
