"""A candidate during the measurement, and its record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from clearport.runtime.latency.record import NO_PROFILE, LatencyPlan, LatencyReport, OperatorTime
from clearport.runtime.latency.stats import Summary, paired_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.runtime.latency.candidate import Candidate
    from clearport.runtime.latency.memory import Memory
    from clearport.runtime.latency.sustained import Sustained
    from clearport.runtime.worker.worker import Timing, Worker

_OWN_FACTS = frozenset(  # have fields of their own in a report
    {"runner", "method", "unit", "partitions", "operators", "executed_precision", "init_ms", "first_inference_ms"}
    | {"operators_per_unit", "threads", "versions", "python", "io_copies_counted", "pinned"}
    | {"peak_memory_mib", "peak_memory_method", "memory_mib"}
)

_TELLING = 1000
"""Minimum samples for the 99.9th percentile."""


@dataclass
class Entrant:
    """A loaded candidate; its rounds are keyed by number, since a baseline is in more than one group."""

    candidate: Candidate
    worker: Worker
    memory: Memory
    rounds: dict[int, Timing] = field(default_factory=dict)
    energy_mj: list[float] = field(default_factory=list)
    sustained: Sustained | None = None


def report_of(entrant: Entrant, reference: Entrant | None, plan: LatencyPlan, remarks: Sequence[str]) -> LatencyReport:
    """The record of a candidate, with its ratio to ``reference`` over their common rounds."""
    worker = entrant.worker
    facts = worker.facts()
    profile = worker.profile() if plan.profile else []
    no_profile = {NO_PROFILE: worker.no_profile} if plan.profile and not profile else {}
    wall, cpu = [t.wall_ms for t in entrant.rounds.values()], [t.cpu_ms for t in entrant.rounds.values()]
    ratio = cpu_ratio = None
    if reference is not None:
        name, both = reference.candidate.key, sorted(entrant.rounds.keys() & reference.rounds.keys())
        mine, theirs = [entrant.rounds[n] for n in both], [reference.rounds[n] for n in both]
        ratio = paired_ratio(name, [t.wall_ms for t in mine], [t.wall_ms for t in theirs])
        cpu_ratio = paired_ratio(name, [t.cpu_ms for t in mine], [t.cpu_ms for t in theirs])
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
        facts={**{key: value for key, value in facts.items() if key not in _OWN_FACTS}, **no_profile},
        operators_per_unit=facts.get("operators_per_unit", {}),
        p99_9_ms=_p99_9(samples),
        pinned=tuple(facts.get("pinned", ())),
        energy_mj=Summary.of(entrant.energy_mj).median_ms if entrant.energy_mj else None,
        sustained=sustained,
        profile=tuple(OperatorTime(**row) for row in profile),
        remarks=(*remarks, *(sustained.remarks if sustained else ())),
    )


def _flat(rounds: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(round(sample, 4) for turn in rounds for sample in turn)


def _p99_9(samples_ms: Sequence[float]) -> float | None:
    import numpy as np

    return float(np.percentile(samples_ms, 99.9)) if len(samples_ms) >= _TELLING else None
