"""Interleaved latency measurement: A B C, C B A, B C A ..., with all artifacts loaded throughout.

Other load then disturbs all candidates alike, and ratios to the baseline remain valid where absolute figures do not. If
memory does not suffice for all, groups are measured one after another, each with its candidates' baselines. The record
follows TFLite's benchmark_model, MLPerf Mobile and OpenVINO's benchmark_app.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clearport.runtime.latency.candidate import Candidate
from clearport.runtime.latency.host import Host, host, load_average
from clearport.runtime.latency.race import Meters, Progress, Race
from clearport.runtime.latency.record import LatencyPlan, LatencyReport

if TYPE_CHECKING:
    from clearport.base import Array, Skipped


@dataclass(frozen=True)
class LatencyRun:
    """Every candidate's report or ``Skipped``, in the order given; the machine; and the outputs.

    ``outputs`` are raw tensors by name, of the candidates that ran; empty unless requested.
    """

    reports: Mapping[str, LatencyReport | Skipped]
    host: Host
    outputs: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)


MEMORY_MIB = 1536.0
"""Maximum memory of simultaneously loaded workers in MiB, with Python and their runtimes."""


def measure(
    candidates: Sequence[Candidate],
    plan: LatencyPlan | None = None,
    baseline: str | Mapping[str, str] | None = None,
    progress: Progress | None = None,
    *,
    keep_outputs: bool = False,
    meters: Meters | None = None,
    memory_mib: float = MEMORY_MIB,
) -> LatencyRun:
    """Measure all ``candidates``, interleaved.

    ``baseline`` is the key that ratios refer to, or each candidate's own: key -> key. ``keep_outputs`` runs each once
    more for its outputs. A candidate that fails becomes a ``Skipped`` with its reason, and the others go on. If all
    together need more than ``memory_mib``, they are measured in groups; ``facts["took_turns_with"]`` of a report then
    names those of its group.
    """
    load_start = load_average()
    baselines = baseline if isinstance(baseline, Mapping) else {c.key: baseline for c in candidates}
    race = Race(plan or LatencyPlan(), meters or Meters(), progress or (lambda *_: None), baselines, memory_mib)
    with closing(race):
        waiting = list(candidates)
        while waiting:
            left = race.fill(waiting)
            race.run((len(waiting) - len(left)) / len(candidates))
            race.sustain()
            if keep_outputs:
                race.keep_outputs()
            race.leave(left)
            waiting = left
    reports = race.reports()
    return LatencyRun({c.key: reports[c.key] for c in candidates}, host(load_start), race.outputs)
