"""The plan of a latency measurement, and its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clearport.runtime.latency.stats import Ratio
from clearport.runtime.latency.sustained import Sustained

NO_PROFILE = "no_profile"
"""Key of the fact with the reason for an empty profile."""


@dataclass(frozen=True)
class LatencyPlan:
    """How to measure.

    Attributes:
        rounds: minimum turns of every candidate.
        runs: samples per turn.
        warmup: untimed inferences before the first turn.
        min_seconds: rounds go on until every candidate ran for this long...
        max_seconds: ...or all of them together for this long, once three rounds are done.
        threads: compute threads.
        timeout_s: maximum time of one turn.
        unit: the requested unit.
        pin: logical processors that the worker may use (Linux); empty for all.
        sustained_s: seconds of a continuous run of each candidate after the rounds; 0: none.
        profile: whether to profile operators, in separate runs.
    """

    rounds: int = 10
    runs: int = 3
    warmup: int = 3
    min_seconds: float = 1.0
    max_seconds: float = 120.0
    threads: int = 1
    timeout_s: float = 120.0
    unit: str = "cpu"
    pin: tuple[int, ...] = ()
    sustained_s: float = 0.0
    profile: bool = False


@dataclass(frozen=True)
class OperatorTime:
    """Time of one operator of the executed graph per inference, as reported by the runtime; ``unit`` is where it
    ran.
    """

    name: str
    operator: str
    unit: str
    ms: float


@dataclass(frozen=True)
class LatencyReport:
    """The record of one candidate. Times are wall clock in milliseconds, taken within the worker.

    Attributes:
        kind: origin of the figures; here always a real run.
        unit_asked, unit_ran: ``cpu`` ...; if they differ, the runtime fell back.
        init_ms: load time of the artifact, without the import of the runtime's library.
        first_inference_ms: the first inference after the load.
        warmup: untimed inferences, including the first one.
        samples_ms: every sample, in the order taken, ``runs_per_round`` in each round.
        cpu_samples_ms: CPU time of the process within each sample, all threads; empty if not reported.
        fps: 1000 over the median.
        cpu_median_ms: median of ``cpu_samples_ms``, steadier than the wall clock on a busy machine; None without them.
        ratio, cpu_ratio: wall clock and CPU time relative to the baseline; None for itself or without one.
        io_copies_counted: whether samples include copies of inputs and outputs.
        operators: executed kernels, by name; empty if not reported.
        partitions: parts on different backends; None if not reported.
        operators_per_unit: unit -> kernel -> count, for runtimes that split a graph between units.
        facts: other facts reported by the runtime.
        p99_9_ms: None for fewer than 1,000 samples.
        pinned: logical processors that it was pinned to; empty for all.
        energy_mj: energy per inference of the whole package; None if not reported.
        sustained: the sustained run, if requested.
        profile: time per operator, slowest first, if requested and reported.
        remarks: reasons why these figures are not comparable with others (clocks fell, the chip got hot); usually
            empty.
    """

    kind: Literal["measured"]
    runtime: str
    runtime_versions: Mapping[str, str]
    unit_asked: str
    unit_ran: str
    threads: int
    init_ms: float
    first_inference_ms: float
    warmup: int
    runs_per_round: int
    samples_ms: tuple[float, ...]
    cpu_samples_ms: tuple[float, ...]
    min_ms: float
    max_ms: float
    mean_ms: float
    std_ms: float
    p5_ms: float
    median_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    fps: float
    cpu_median_ms: float | None
    ratio: Ratio | None
    cpu_ratio: Ratio | None
    peak_memory_mib: float | None
    peak_memory_method: str
    io_copies_counted: bool
    operators: Mapping[str, int]
    partitions: int | None
    executed_precision: str | None
    facts: Mapping[str, Any]
    operators_per_unit: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    p99_9_ms: float | None = None
    pinned: tuple[int, ...] = ()
    energy_mj: float | None = None
    sustained: Sustained | None = None
    profile: tuple[OperatorTime, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def fell_back(self) -> bool:
        """Whether anything ran on a unit other than the requested one."""
        return self.unit_ran != self.unit_asked
