"""How a latency is measured, and the record of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clearport.runtime.latency.stats import Ratio
from clearport.runtime.latency.sustained import Sustained

NO_PROFILE = "no_profile"
"""The fact that says why a profile that was asked for is empty."""


@dataclass(frozen=True)
class LatencyPlan:
    """How to measure.

    Attributes:
        rounds: turns of every candidate, at least.
        runs: samples per turn.
        warmup: inferences before the first turn, which are not counted.
        min_seconds: rounds go on until every candidate ran for this long...
        max_seconds: ...or all of them together for this long, once three rounds are done.
        threads: compute threads.
        timeout_s: longest time of one turn.
        unit: the unit that is asked for.
        pin: logical processors that the worker may use (Linux); empty for all.
        sustained_s: after the rounds, run each candidate for so long without a pause; 0: not.
        profile: whether the runtime is asked how long each operator takes, in runs of their own.
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
    """What one operator of the executed graph takes of an inference, as the runtime says; ``unit`` is where it ran."""

    name: str
    operator: str
    unit: str
    ms: float


@dataclass(frozen=True)
class LatencyReport:
    """The record of one candidate. Times are wall clock in milliseconds, taken within the worker.

    Attributes:
        kind: where the figures come from; here always from a real run.
        unit_asked, unit_ran: ``cpu`` ...; when they differ the runtime fell back.
        init_ms: load of the artifact, without the import of the runtime's library.
        first_inference_ms: the first inference after the load.
        warmup: inferences that were not counted (the first one is among them).
        samples_ms: every sample, in the order taken, ``runs_per_round`` in each round.
        cpu_samples_ms: CPU time of the process within each sample, all threads; empty where the device does not tell.
        fps: 1000 over the median.
        cpu_median_ms: median of ``cpu_samples_ms``, steadier than the wall clock on a busy machine; None without them.
        ratio, cpu_ratio: wall clock and CPU time relative to the baseline; None for itself or without one.
        io_copies_counted: whether copies of inputs and outputs are within the samples.
        operators: kernels that ran, by name; empty where the runtime does not tell.
        partitions: parts that went to different backends; None where the runtime does not tell.
        operators_per_unit: unit -> kernel -> how many, for runtimes that share a graph between units.
        facts: what else the runtime said of itself.
        p99_9_ms: None for fewer than 1,000 samples, which do not tell.
        pinned: logical processors that it was kept on; empty for all.
        energy_mj: energy of one inference, of the whole package; None where the device does not tell.
        sustained: the same over minutes, if it was asked for.
        profile: time per operator, if it was asked for and the runtime tells; the slowest first.
        remarks: why these figures are not comparable with others (clocks fell, the chip got hot); mostly empty.
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
        """Whether anything ran on another unit than the one that was asked for."""
        return self.unit_ran != self.unit_asked
