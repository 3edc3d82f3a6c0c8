"""The interleaved run behind ``latency.measure``: its candidates, samples and failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from clearport import problems
from clearport.base import Skipped
from clearport.registry import RUNNERS
from clearport.runtime.latency.candidate import Candidate
from clearport.runtime.latency.conditions import Conditions, drift, here
from clearport.runtime.latency.entrant import Entrant, report_of
from clearport.runtime.latency.host import package_energy_mj
from clearport.runtime.latency.memory import memory_of, together_mib
from clearport.runtime.latency.record import LatencyPlan, LatencyReport
from clearport.runtime.latency.sustained import sustain
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from clearport.base import Array

Progress = Callable[[str, int, int], None]
"""Called with the candidate's key, the round (from 1; 0 while it is loaded) and the number of rounds."""

LASTING = " without a pause"
"""Suffix of a candidate's key in the progress of sustained runs."""

T = TypeVar("T")


@dataclass(frozen=True)
class Meters:
    """Sensors of a device during a measurement.

    ``conditions`` is called before and after; ``energy_mj`` reads an energy counter in millijoules, None if there is
    none.
    """

    conditions: Callable[[], Conditions] = here
    energy_mj: Callable[[], float | None] = package_energy_mj


class Race:
    """An interleaved run, in groups of simultaneously loaded candidates.

    Args:
        plan: how to measure.
        meters: sensors of the device.
        progress: progress callback.
        baselines: key -> key of its baseline.
        memory_mib: maximum memory of a group's workers; see ``fill``.
    """

    def __init__(
        self,
        plan: LatencyPlan,
        meters: Meters,
        progress: Progress,
        baselines: Mapping[str, str | None],
        memory_mib: float,
    ) -> None:
        self._plan, self._meters, self._progress = plan, meters, progress
        self._baselines, self._memory_mib = baselines, memory_mib
        self._entrants: dict[str, Entrant] = {}
        self._found: dict[str, LatencyReport | Skipped] = {}
        self._groups: list[tuple[str, ...]] = []
        self._rounds = 0
        self.outputs: dict[str, Mapping[str, Array]] = {}
        self._before = meters.conditions()
        self._after = self._before

    def fill(self, waiting: Sequence[Candidate]) -> list[Candidate]:
        """Load the next group: candidates with their baselines, as many as fit into ``memory_mib``, but at least one
        pair.

        A candidate is assumed to be as large as the largest loaded one, which is usually the baseline (PyTorch keeps
        every value in float32), so that loading stops before the limit. Returns the remaining candidates.
        """
        left, kept = list(waiting), set(self._entrants)
        while left and (self._only_baselines(kept, left) or self._has_room()):
            for candidate in _with_baselines(left[0], left, self._baselines):
                left.remove(candidate)
                self._enter(candidate)
        return left

    def _only_baselines(self, kept: set[str], left: Sequence[Candidate]) -> bool:
        referred = {self._baselines.get(each.key) for each in left}
        return all(entrant.candidate.key in referred for entrant in self._fresh(kept))

    def _fresh(self, kept: set[str]) -> list[Entrant]:
        return [entrant for key, entrant in self._entrants.items() if key not in kept]

    def _has_room(self) -> bool:
        held = [entrant.memory for entrant in self._entrants.values()]
        return together_mib(held) + max((each.peak_mib for each in held), default=0.0) <= self._memory_mib

    def _enter(self, candidate: Candidate) -> None:
        """Load a candidate and warm it up."""
        self._progress(candidate.key, 0, self._plan.rounds)
        try:
            if candidate.plugin is None and not RUNNERS.get(candidate.runner).measures_latency:
                reason = f"{candidate.runner} evaluates the file by reference: it has no latency"
                self._found[candidate.key] = Skipped(candidate.key, reason)
                return
            worker = _worker(candidate, self._plan).__enter__()
        except problems.UNEXPECTED as error:
            self._found[candidate.key] = _failed(candidate.key, error)
            return
        try:
            worker.measure(candidate.inputs, 0, max(1, self._plan.warmup))
            self._entrants[candidate.key] = Entrant(candidate, worker, memory_of(worker.facts()))
        except problems.UNEXPECTED as error:
            worker.close()
            self._found[candidate.key] = _failed(candidate.key, error)
        except BaseException:
            worker.close()
            raise

    def run(self, share: float = 1.0) -> None:
        """Run rounds until the plan is satisfied; this group gets ``share`` of its maximum time."""
        if not self._fresh({key for group in self._groups for key in group}):
            return  # only a baseline whose candidates could not be loaded
        self._groups.append(tuple(self._entrants))
        started, first = time.monotonic(), self._rounds
        while self._entrants and not self._enough(first, (time.monotonic() - started) / share):
            done = self._rounds - first
            self._rounds += 1
            for key in order(list(self._entrants), done):
                self._progress(key, done + 1, max(done + 1, self._plan.rounds))
                self._guarded(key, self._turn)
        self._after = self._meters.conditions()

    def sustain(self) -> None:
        """Run each candidate alone for the plan's sustained time."""
        seconds = self._plan.sustained_s
        new = [key for key, e in self._entrants.items() if e.candidate.sustained and e.sustained is None]
        for key in new if seconds else []:

            def tell(done_s: float, key: str = key) -> None:
                self._progress(f"{key}{LASTING}", 1 + min(int(done_s), int(seconds)), 1 + int(seconds))

            def go(entrant: Entrant, tell: Callable[[float], None] = tell) -> None:
                entrant.sustained = sustain(entrant.worker, seconds, self._meters.conditions, tell)

            self._guarded(key, go)

    def keep_outputs(self) -> None:
        """Record every candidate's outputs for its inputs."""

        def go(entrant: Entrant) -> None:
            self.outputs[entrant.candidate.key] = entrant.worker.run(entrant.candidate.inputs)

        for key in [key for key in self._entrants if key not in self.outputs]:
            self._guarded(key, go)

    def leave(self, waiting: Sequence[Candidate] = ()) -> None:
        """End the group and create its records. Baselines of ``waiting`` candidates stay loaded."""
        needed = {each.key for one in waiting for each in self._referred(one.key)}
        leaving = {key: entrant for key, entrant in self._entrants.items() if key not in needed}
        for key, entrant in leaving.items():
            reference = self._entrants.get(self._baselines.get(key) or "")
            try:
                self._found[key] = self._report(entrant, reference)
            except problems.UNEXPECTED as error:
                self._found[key] = _failed(key, error)
        for key, entrant in leaving.items():
            del self._entrants[key]
            entrant.worker.close()

    def _referred(self, key: str) -> list[Candidate]:
        found: list[Candidate] = []
        while (entrant := self._entrants.get(self._baselines.get(key) or "")) is not None:
            if entrant.candidate in found:
                break
            found.append(entrant.candidate)
            key = entrant.candidate.key
        return found

    def close(self) -> None:
        """End all workers."""
        for entrant in self._entrants.values():
            entrant.worker.close()

    def reports(self) -> dict[str, LatencyReport | Skipped]:
        """The outcome of every candidate; with several groups, also the members of its group."""
        if len(self._groups) < 2:
            return dict(self._found)
        return {key: self._grouped(key, report) for key, report in self._found.items()}

    def _grouped(self, key: str, report: LatencyReport | Skipped) -> LatencyReport | Skipped:
        if isinstance(report, Skipped):
            return report
        met = [other for group in self._groups if key in group for other in group if other != key]
        return replace(report, facts={**report.facts, "took_turns_with": list(dict.fromkeys(met))})

    def _guarded(self, key: str, action: Callable[[Entrant], None]) -> None:
        """Call a function on an entrant; on failure, the entrant is dropped with the reason."""
        try:
            action(self._entrants[key])
        except problems.UNEXPECTED as error:
            self._found[key] = _failed(key, error)
            self._entrants.pop(key).worker.close()

    def _turn(self, entrant: Entrant) -> None:
        before = self._meters.energy_mj()
        entrant.rounds[self._rounds] = entrant.worker.measure(None, self._plan.runs)
        after = self._meters.energy_mj()
        if before is not None and after is not None and after >= before:  # the counter wrapped around
            entrant.energy_mj.append((after - before) / self._plan.runs)

    def _enough(self, first: int, elapsed_s: float) -> bool:
        plan, done = self._plan, self._rounds - first
        if elapsed_s >= plan.max_seconds and done >= min(3, plan.rounds):
            return True
        least_ms = min(
            sum(sum(timing.wall_ms) for number, timing in entrant.rounds.items() if number > first)
            for entrant in self._entrants.values()
        )
        return done >= plan.rounds and least_ms >= plan.min_seconds * 1e3

    def _report(self, entrant: Entrant, reference: Entrant | None) -> LatencyReport:
        remarks = drift(self._before, self._after)
        return report_of(entrant, None if entrant is reference else reference, self._plan, remarks)


def order(racing: Sequence[T], done: int) -> list[T]:
    """The order of the round after ``done`` rounds: A B C, C B A, B C A, A C B ...

    Each candidate comes first as often as last, and none always follows the same one.
    """
    shift = done // 2 % len(racing)
    turned = [*racing[shift:], *racing[:shift]]
    return turned[::-1] if done % 2 else turned


def _with_baselines(
    candidate: Candidate, waiting: Sequence[Candidate], baselines: Mapping[str, str | None]
) -> list[Candidate]:
    """A candidate, with its baseline among ``waiting``, and that one's baseline, and so on."""
    found, by_key = [candidate], {each.key: each for each in waiting}
    while (reference := by_key.get(baselines.get(found[-1].key) or "")) is not None and reference not in found:
        found.append(reference)
    return found


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
