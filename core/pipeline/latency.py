"""The latency of every artifact and of PyTorch, in one interleaved run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.base import Artifact, Skipped
from clearport.pipeline.prove import runner_of
from clearport.runtime import pixels
from clearport.runtime.latency.candidate import Candidate
from clearport.runtime.latency.host import Host, host, load_average
from clearport.runtime.latency.measure import measure
from clearport.runtime.latency.record import LatencyPlan, LatencyReport
from clearport.runtime.usable import runners_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.graph.feeds import Sample
    from clearport.protocols import Progress

BASELINE = "pytorch"

QUICK = LatencyPlan(rounds=6, runs=1, warmup=1, min_seconds=0.3, max_seconds=15.0)
"""An export's budget: enough for ratios, not for tails; ``clearport bench`` measures longer."""


@dataclass(frozen=True)
class Latencies:
    """Artifact key, or ``BASELINE`` -> its record or the reason for its absence; and the machine."""

    reports: Mapping[str, LatencyReport | Skipped]
    host: Host


def measure_all(
    network: Artifact, artifacts: Sequence[Artifact], sample: Sample, plan: LatencyPlan | None, progress: Progress
) -> Latencies:
    """Time ``network`` (weights, for PyTorch) and all ``artifacts`` on one sample; a plan of None times nothing."""
    if plan is None:
        reason = "not measured: switched off by --no-bench"
        return Latencies(
            {key: Skipped(key, reason) for key in (BASELINE, *(a.key for a in artifacts))}, host(load_average())
        )
    candidates = [_candidate(BASELINE, runner_of(network)[0], network, sample)]
    skipped: dict[str, LatencyReport | Skipped] = {}
    for artifact in artifacts:
        chosen = _runner_for(artifact)
        if isinstance(chosen, Skipped):
            skipped[artifact.key] = chosen
        else:
            candidates.append(_candidate(artifact.key, chosen, artifact, sample))

    loaded: set[str] = set()

    def tell(key: str, done: int, total: int) -> None:
        del done, total  # a group's share of the rounds: the number of groups depends on memory
        loaded.add(key)
        progress("measuring latency", len(loaded), len(candidates))

    run = measure(candidates, plan, BASELINE, tell)
    return Latencies({**run.reports, **skipped}, run.host)


def _candidate(key: str, runner: str, artifact: Artifact, sample: Sample) -> Candidate:
    return Candidate(key, runner, artifact.path, pixels.tensors(sample, artifact.inputs))


def _runner_for(artifact: Artifact) -> str | Skipped:
    """The first usable runner that can measure, or the reason why there is none."""
    reasons = []
    for runner, obstacle in runners_of(artifact):
        if not runner.measures_latency:
            continue
        if obstacle is None:
            return runner.name
        reasons.append(obstacle)
    return Skipped(artifact.key, "; ".join(reasons) or f"clearport has no runner that can time {artifact.target} files")
