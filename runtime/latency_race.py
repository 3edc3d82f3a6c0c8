"""The interleaved run behind ``latency.measure``: who is in it, what was measured, who dropped out and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clearport import problems
from clearport.base import Skipped
from clearport.registry import RUNNERS
from clearport.runtime.conditions import Conditions, drift, here
from clearport.runtime.latency_host import package_energy_mj
from clearport.runtime.latency_record import LatencyPlan, LatencyReport, OperatorTime
from clearport.runtime.latency_stats import Summary, paired_ratio
from clearport.runtime.latency_sustained import Sustained, sustain
from clearport.runtime.worker import Timing, Worker

if TYPE_CHECKING:
    from contextlib import ExitStack

    from clearport.base import Array
    from clearport.runtime.launch import Launch

Progress = Callable[[str, int, int], None]
"""Called with the candidate's key, the round (from 1; 0 while it is loaded) and the number of rounds."""

_OWN_FACTS = frozenset(  # have fields of their own in a report
    {"runner", "method", "unit", "partitions", "operators", "executed_precision", "init_ms", "first_inference_ms"}
    | {"operators_per_unit", "threads", "versions", "python", "io_copies_counted", "pinned"}
    | {"peak_memory_mib", "peak_memory_method"}
)

LASTING = " without a pause"
"""What is added to the key of a candidate whose sustained run progress is told of."""

T = TypeVar("T")

_TELLING = 1000
"""Samples that the 99.9th percentile needs."""


@dataclass(frozen=True)
class Candidate:
    """What is measured: an artifact in a runner, on raw inputs in its own dtype and layout.

    ``sustained`` is whether it takes part where a plan asks for minutes without a pause.
    """

    key: str
    runner: str
    path: Path
    inputs: Mapping[str, Array]
    options: Mapping[str, Any] = field(default_factory=dict)
    python: str | None = None
    plugin: Path | None = None
    launch: Launch | None = None
    sustained: bool = True


@dataclass(frozen=True)
class Meters:
    """What a device tells of itself while it is measured.

    ``conditions`` are asked before and after; ``energy_mj`` is a counter of millijoules, None where there is none.
    """

    conditions: Callable[[], Conditions] = here
    energy_mj: Callable[[], float | None] = package_energy_mj


@dataclass
class _Entrant:
    candidate: Candidate
    worker: Worker
    rounds: list[Timing] = field(default_factory=list)
    energy_mj: list[float] = field(default_factory=list)
    sustained: Sustained | None = None


class Race:
    """Candidates that are all loaded and take turns."""

    def __init__(self, plan: LatencyPlan, meters: Meters, progress: Progress) -> None:
        self._plan, self._meters, self._progress = plan, meters, progress
        self._entrants: dict[str, _Entrant] = {}
        self._skipped: dict[str, Skipped] = {}
        self._before = meters.conditions()
        self._after = self._before

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
        except problems.UNEXPECTED as error:
            self._skipped[candidate.key] = _failed(candidate.key, error)
        else:
            self._entrants[candidate.key] = _Entrant(candidate, worker)

    def run(self) -> None:
        """Rounds until the plan is satisfied."""
        started, done = time.monotonic(), 0
        while self._entrants and not self._enough(done, time.monotonic() - started):
            turns = order(list(self._entrants), done)
            done += 1
            for key in turns:
                self._progress(key, done, max(done, self._plan.rounds))
                self._guarded(key, self._turn)
        self._after = self._meters.conditions()

    def sustain(self) -> None:
        """Each candidate alone for as long as the plan says."""
        seconds = self._plan.sustained_s
        for key in [k for k, e in self._entrants.items() if e.candidate.sustained] if seconds else []:

            def tell(done_s: float, key: str = key) -> None:
                self._progress(f"{key}{LASTING}", 1 + min(int(done_s), int(seconds)), 1 + int(seconds))

            def go(entrant: _Entrant, tell: Callable[[float], None] = tell) -> None:
                entrant.sustained = sustain(entrant.worker, seconds, self._meters.conditions, tell)

            self._guarded(key, go)

    def outputs(self) -> dict[str, Mapping[str, Array]]:
        """What every candidate gives for its inputs."""
        found: dict[str, Mapping[str, Array]] = {}

        def go(entrant: _Entrant) -> None:
            found[entrant.candidate.key] = entrant.worker.run(entrant.candidate.inputs)

        for key in list(self._entrants):
            self._guarded(key, go)
        return found

    def reports(self, baselines: Mapping[str, str | None]) -> dict[str, LatencyReport | Skipped]:
        """What became of every candidate; ``baselines`` are the keys that their ratios refer to."""
        found: dict[str, LatencyReport | Skipped] = dict(self._skipped)
        for key, entrant in self._entrants.items():
            reference = self._entrants.get(baselines.get(key) or "")
            try:
                found[key] = self._report(entrant, None if entrant is reference else reference)
            except problems.UNEXPECTED as error:
                found[key] = _failed(key, error)
        return found

    def _guarded(self, key: str, action: Callable[[_Entrant], None]) -> None:
        """Do something with an entrant; if it fails, it is out of the race with its reason."""
        try:
            action(self._entrants[key])
        except problems.UNEXPECTED as error:
            self._skipped[key] = _failed(key, error)
            del self._entrants[key]

    def _turn(self, entrant: _Entrant) -> None:
        before = self._meters.energy_mj()
        entrant.rounds.append(entrant.worker.measure(None, self._plan.runs))
        after = self._meters.energy_mj()
        if before is not None and after is not None and after >= before:  # a counter that wrapped tells nothing
            entrant.energy_mj.append((after - before) / self._plan.runs)

    def _enough(self, done: int, elapsed_s: float) -> bool:
        plan = self._plan
        if elapsed_s >= plan.max_seconds and done >= min(3, plan.rounds):
            return True
        least_ms = min(sum(sum(t.wall_ms) for t in e.rounds) for e in self._entrants.values())
        return done >= plan.rounds and least_ms >= plan.min_seconds * 1e3

    def _report(self, entrant: _Entrant, reference: _Entrant | None) -> LatencyReport:
        plan, worker = self._plan, entrant.worker
        facts = worker.facts()
        profile = worker.profile() if plan.profile else []
        wall, cpu = [t.wall_ms for t in entrant.rounds], [t.cpu_ms for t in entrant.rounds]
        ratio = cpu_ratio = None
        if reference is not None:
            name = reference.candidate.key
            ratio = paired_ratio(name, wall, [t.wall_ms for t in reference.rounds])
            cpu_ratio = paired_ratio(name, cpu, [t.cpu_ms for t in reference.rounds])
        samples = _flat(wall)
        summary = Summary.of(samples)
        sustained = entrant.sustained
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
            samples_ms=samples,
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
            facts={key: value for key, value in facts.items() if key not in _OWN_FACTS},
            operators_per_unit=facts.get("operators_per_unit", {}),
            p99_9_ms=_p99_9(samples),
            pinned=tuple(facts.get("pinned", ())),
            energy_mj=Summary.of(entrant.energy_mj).median_ms if entrant.energy_mj else None,
            sustained=sustained,
            profile=tuple(OperatorTime(**row) for row in profile),
            remarks=(*drift(self._before, self._after), *(sustained.remarks if sustained else ())),
        )


def order(racing: Sequence[T], done: int) -> list[T]:
    """Who comes when in the round after ``done`` ones: A B C, C B A, B C A, A C B ...

    Each comes first as often as last, and nobody always after the same neighbour.
    """
    shift = done // 2 % len(racing)
    turned = [*racing[shift:], *racing[:shift]]
    return turned[::-1] if done % 2 else turned


def _failed(key: str, error: BaseException) -> Skipped:
    return Skipped(key, problems.told(error, f"measuring {key}"))


def _worker(candidate: Candidate, plan: LatencyPlan) -> Worker:
    return Worker(
        candidate.runner,
        candidate.path,
        plan.threads,
        plan.timeout_s,
        candidate.options,
        python=candidate.python,
        plugin=candidate.plugin,
        pin=plan.pin,
        launch=candidate.launch,
    )


def _flat(rounds: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(round(sample, 4) for turn in rounds for sample in turn)


def _p99_9(samples_ms: Sequence[float]) -> float | None:
    import numpy as np

    return float(np.percentile(samples_ms, 99.9)) if len(samples_ms) >= _TELLING else None
