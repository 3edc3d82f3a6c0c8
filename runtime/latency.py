"""How long artifacts take, measured in turns: A B C, B C A, C A B ..., all of them loaded all the time.

What else runs on the machine then disturbs all candidates alike, and ratios to the baseline hold where single
figures do not. What is recorded follows TFLite's benchmark_model, MLPerf Mobile and OpenVINO's benchmark_app.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clearport.base import ClearportError, Skipped
from clearport.registry import RUNNERS
from clearport.runtime.latency_host import Host, host, load_average
from clearport.runtime.latency_stats import Ratio, Summary, paired_ratio
from clearport.runtime.worker import Timing, Worker

if TYPE_CHECKING:
    from clearport.base import Array

Progress = Callable[[str, int, int], None]
"""Called with the candidate's key, the round (from 1; 0 while it is loaded) and the number of rounds."""

_OWN_FACTS = frozenset(  # have fields of their own in a report
    {"runner", "method", "unit", "partitions", "operators", "executed_precision", "init_ms", "first_inference_ms"}
    | {
        "operators_per_unit",
        "threads",
        "versions",
        "python",
        "io_copies_counted",
        "peak_memory_mib",
        "peak_memory_method",
    }
)


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
    """

    rounds: int = 10
    runs: int = 3
    warmup: int = 3
    min_seconds: float = 1.0
    max_seconds: float = 120.0
    threads: int = 1
    timeout_s: float = 120.0
    unit: str = "cpu"


@dataclass(frozen=True)
class Candidate:
    """What is measured: an artifact in a runner, on raw inputs in its own dtype and layout."""

    key: str
    runner: str
    path: Path
    inputs: Mapping[str, Array]
    options: Mapping[str, Any] = field(default_factory=dict)
    python: str | None = None
    plugin: Path | None = None


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
        cpu_samples_ms: CPU time of the process within each sample, all threads.
        fps: 1000 over the median.
        cpu_median_ms: median of ``cpu_samples_ms``: steadier than the wall clock where other processes run.
        ratio, cpu_ratio: wall clock and CPU time relative to the baseline; None for itself or without one.
        io_copies_counted: whether copies of inputs and outputs are within the samples.
        operators: kernels that ran, by name; empty where the runtime does not tell.
        partitions: parts that went to different backends; None where the runtime does not tell.
        operators_per_unit: unit -> kernel -> how many, for runtimes that share a graph between units.
        facts: what else the runtime said of itself.
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
    cpu_median_ms: float
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


@dataclass(frozen=True)
class LatencyRun:
    """Every candidate's report, or why there is none, in the order given; and the machine."""

    reports: Mapping[str, LatencyReport | Skipped]
    host: Host


def measure(
    candidates: Sequence[Candidate],
    plan: LatencyPlan | None = None,
    baseline: str | None = None,
    progress: Progress | None = None,
) -> LatencyRun:
    """Measure all ``candidates`` in turns; ``baseline`` is the key that ratios refer to.

    A candidate that fails becomes a ``Skipped`` with its reason, and the others go on.
    """
    load_start = load_average()
    with ExitStack() as stack:
        race = _Race(plan or LatencyPlan(), progress or (lambda *_: None))
        for candidate in candidates:
            race.enter(candidate, stack)
        race.run()
        reports = race.reports(baseline)
    return LatencyRun({c.key: reports[c.key] for c in candidates}, host(load_start))


@dataclass
class _Entrant:
    candidate: Candidate
    worker: Worker
    rounds: list[Timing]


class _Race:
    """The interleaved run: who is in it, what was measured, who dropped out and why."""

    def __init__(self, plan: LatencyPlan, progress: Progress) -> None:
        self._plan, self._progress = plan, progress
        self._entrants: dict[str, _Entrant] = {}
        self._skipped: dict[str, Skipped] = {}

    def enter(self, candidate: Candidate, stack: ExitStack) -> None:
        """Load a candidate and warm it up."""
        self._progress(candidate.key, 0, self._plan.rounds)
        try:
            if candidate.plugin is None and not RUNNERS.get(candidate.runner).measures_latency:
                reason = f"{candidate.runner} evaluates the file by reference: it has no latency"
                self._skipped[candidate.key] = Skipped(candidate.key, reason)
                return
            worker = stack.enter_context(_worker(candidate, self._plan))
            worker.measure(candidate.inputs, 0, max(1, self._plan.warmup))
        except ClearportError as error:
            self._skipped[candidate.key] = Skipped(candidate.key, str(error))
        else:
            self._entrants[candidate.key] = _Entrant(candidate, worker, [])

    def run(self) -> None:
        """Rounds until the plan is satisfied; each starts with another candidate."""
        started, done = time.monotonic(), 0
        while self._entrants and not self._enough(done, time.monotonic() - started):
            keys = list(self._entrants)
            shift = done % len(keys)
            done += 1
            for key in keys[shift:] + keys[:shift]:
                self._progress(key, done, max(done, self._plan.rounds))
                self._turn(key)

    def _turn(self, key: str) -> None:
        entrant = self._entrants[key]
        try:
            entrant.rounds.append(entrant.worker.measure(None, self._plan.runs))
        except ClearportError as error:
            self._skipped[key] = Skipped(key, str(error))
            del self._entrants[key]

    def _enough(self, done: int, elapsed_s: float) -> bool:
        plan = self._plan
        if elapsed_s >= plan.max_seconds and done >= min(3, plan.rounds):
            return True
        least_ms = min(sum(sum(t.wall_ms) for t in e.rounds) for e in self._entrants.values())
        return done >= plan.rounds and least_ms >= plan.min_seconds * 1e3

    def reports(self, baseline: str | None) -> dict[str, LatencyReport | Skipped]:
        """What became of every candidate."""
        found: dict[str, LatencyReport | Skipped] = dict(self._skipped)
        reference = self._entrants.get(baseline) if baseline is not None else None
        for key, entrant in self._entrants.items():
            try:
                found[key] = _report(entrant, None if entrant is reference else reference, self._plan)
            except ClearportError as error:
                found[key] = Skipped(key, str(error))
        return found


def _worker(candidate: Candidate, plan: LatencyPlan) -> Worker:
    return Worker(
        candidate.runner,
        candidate.path,
        plan.threads,
        plan.timeout_s,
        candidate.options,
        python=candidate.python,
        plugin=candidate.plugin,
    )


def _flat(rounds: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(round(sample, 4) for turn in rounds for sample in turn)


def _report(entrant: _Entrant, reference: _Entrant | None, plan: LatencyPlan) -> LatencyReport:
    facts = entrant.worker.facts()
    wall, cpu = [t.wall_ms for t in entrant.rounds], [t.cpu_ms for t in entrant.rounds]
    ratio = cpu_ratio = None
    if reference is not None:
        name = reference.candidate.key
        ratio = paired_ratio(name, wall, [t.wall_ms for t in reference.rounds])
        cpu_ratio = paired_ratio(name, cpu, [t.cpu_ms for t in reference.rounds])
    summary = Summary.of(_flat(wall))
    return LatencyReport(
        kind="measured",
        runtime=facts["runner"],
        runtime_versions={name: version or "unknown" for name, version in facts["versions"].items()},
        unit_asked=plan.unit,
        unit_ran=facts.get("unit", "unknown"),
        threads=facts["threads"],
        init_ms=facts["init_ms"],
        first_inference_ms=facts["first_inference_ms"],
        warmup=max(1, plan.warmup),
        runs_per_round=plan.runs,
        samples_ms=_flat(wall),
        cpu_samples_ms=_flat(cpu),
        **asdict(summary),
        fps=1e3 / summary.median_ms,
        cpu_median_ms=Summary.of(_flat(cpu)).median_ms,
        ratio=ratio,
        cpu_ratio=cpu_ratio,
        peak_memory_mib=facts["peak_memory_mib"],
        peak_memory_method=facts["peak_memory_method"],
        io_copies_counted=facts["io_copies_counted"],
        operators=facts.get("operators", {}),
        partitions=facts.get("partitions"),
        executed_precision=facts.get("executed_precision"),
        operators_per_unit=facts.get("operators_per_unit", {}),
        facts={key: value for key, value in facts.items() if key not in _OWN_FACTS},
    )
