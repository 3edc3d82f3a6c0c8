"""This machine: every runtime that is installed, on its CPU, GPU and NPU.

On the CPU the target's runtime runs each file; on other units every runtime that supports them. All files of a unit are
measured interleaved (``latency.measure``).
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clearport.base import Skipped
from clearport.errors import BadInput
from clearport.protocols import Progress
from clearport.registry import RUNNERS, installed_versions
from clearport.runtime.devices.device import UNITS, DeviceSession, Found, Job, Row, Settings, Unit, cell_of
from clearport.runtime.latency import conditions
from clearport.runtime.latency import measure as latency
from clearport.runtime.latency.candidate import Candidate
from clearport.runtime.latency.host import cpu_name
from clearport.runtime.latency.race import LASTING
from clearport.runtime.usable import obstacle_of, runners_of, units_of

if TYPE_CHECKING:
    from clearport.runtime.latency.conditions import Conditions
    from clearport.runtime.latency.record import LatencyPlan

ADDRESS = "host"


@dataclass(frozen=True)
class HostSession:
    """See ``clearport.runtime.devices.device.DeviceSession``."""

    settings: Settings

    def facts(self) -> Mapping[str, Any]:
        """The processor, its memory and the system."""
        import psutil

        return {
            "cpu": cpu_name(),
            "cores": psutil.cpu_count(logical=False) or 0,
            "threads": psutil.cpu_count() or 0,
            "memory_mib": psutil.virtual_memory().total >> 20,
            "machine": platform.machine(),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
        }

    def conditions(self) -> Conditions:
        return conditions.here()

    def measure(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        """All jobs of one unit in one interleaved run, unit after unit."""
        for unit in UNITS:
            mine = [job for job in jobs if job.unit == unit]
            if mine:
                yield from self._race(mine, unit, replace(plan, unit=unit), progress)

    def _race(self, jobs: Sequence[Job], unit: Unit, plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        entries = [(job, runner, len(found)) for job in jobs for found in [self._runners(job)] for runner in found]
        keys = {_key(job, runner, n): (job, runner) for job, runner, n in entries if isinstance(runner, str)}

        def tell(key: str, done: int, total: int) -> None:
            paused = key.endswith(LASTING)
            stage = f"measuring {key}" if paused else "measuring interleaved" if done else f"loading {key}"
            progress(f"{unit}: {stage}", done, total if done else 0)

        run = latency.measure(
            [_candidate(key, job, runner) for key, (job, runner) in keys.items()],
            plan,
            _baselines(keys),
            tell,
            keep_outputs=True,
        )
        for job, runner, count in entries:
            if isinstance(runner, Skipped):
                yield Row(ADDRESS, job.name, unit, runner.what, runner)
            else:
                key = _key(job, runner, count)
                yield Row(ADDRESS, job.name, unit, runner, cell_of(run.reports[key]), run.outputs.get(key, {}))

    def _runners(self, job: Job) -> list[str | Skipped]:
        """A job's runners; ``Skipped.what`` is a runner that cannot run it, or empty if there is none at all."""
        asked = self.settings.runners
        found = [
            (runner.name, _unfit(runner.measures_latency, runner.name, obstacle))
            for runner, obstacle in runners_of(job.artifact, job.unit)
            if not asked or runner.name in asked
        ]
        if not found:
            of = f" of {', '.join(asked)}" if asked else ""
            return [Skipped("", f"no runner{of} takes {job.artifact.target} files to the {job.unit} of this machine")]
        if job.unit == "cpu" and not asked:
            able = [name for name, why in found if why is None]
            return [able[0]] if able else [Skipped("", "; ".join(why for _, why in found if why))]
        return [name if why is None else Skipped(name, why) for name, why in found]


class HostDevice:
    """See ``clearport.runtime.devices.device.Device``."""

    name = ADDRESS
    title = "this machine"

    def found(self) -> Sequence[Found]:
        runners = [RUNNERS.get(name) for name in RUNNERS.names()]
        usable = [runner for runner in runners if obstacle_of(runner) is None]
        units = tuple(unit for unit in UNITS if any(unit in units_of(runner) for runner in usable))
        versions = installed_versions(tuple(sorted({name for runner in usable for name in runner.requires})))
        parts = {name: version for name, version in versions.items() if version}
        return [Found(ADDRESS, f"this machine: {cpu_name()}", units, parts)]

    def check(self, address: str, settings: Settings) -> None:
        del settings
        if address != ADDRESS:
            raise BadInput(f"--device {address}: this machine's address is {ADDRESS!r}, with nothing after it")

    def open(self, address: str, settings: Settings) -> AbstractContextManager[DeviceSession]:
        self.check(address, settings)
        return nullcontext(HostSession(settings))


def _unfit(measures: bool, name: str, obstacle: str | None) -> str | None:
    return obstacle or (None if measures else f"{name} is a reference evaluator: it has no latency")


def _key(job: Job, runner: str, count: int) -> str:
    """The name of a candidate, with the runner if a job has several."""
    return job.name if count == 1 else f"{job.name} {runner}"


def _candidate(key: str, job: Job, runner: str) -> Candidate:
    of = RUNNERS.get(runner)
    python = getattr(of, "interpreter", lambda: None)()
    options = {"unit": job.unit} if len(units_of(of)) > 1 else {}  # a runner of several units needs the option
    lasting = job.artifact.target != "torch"  # PyTorch is only the baseline
    return Candidate(key, runner, job.artifact.path, job.inputs, options, python=python, sustained=lasting)


def _baselines(keys: Mapping[str, tuple[Job, str]]) -> dict[str, str]:
    """Key -> key of its baseline: the one with the same runner, otherwise the first of that name."""
    found = {}
    for key, (job, runner) in keys.items():
        theirs = [k for k, (other, _) in keys.items() if other.name == job.baseline]
        same = [k for k in theirs if keys[k][1] == runner]
        if theirs:
            found[key] = (same or theirs)[0]
    return found


DEVICE = HostDevice()
