"""Sessions on a phone or board with a shell and a Python, shared by adb and SSH.

Nothing is installed there. A worker archive and the artifacts are pushed, run in the runtimes of the device's Python,
measured interleaved by the same code as on this machine, and removed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from clearport.base import Skipped
from clearport.errors import RuntimeFailure
from clearport.protocols import Progress
from clearport.registry import RUNNERS
from clearport.runtime.devices.device import UNITS, DeviceLost, Job, Row, Settings, cell_of
from clearport.runtime.devices.remote.archive import worker_archive
from clearport.runtime.devices.remote.plan import Entry, baselines_of, entries_of, fitting
from clearport.runtime.devices.remote.probe import conditions_of, facts_of
from clearport.runtime.devices.remote.stage import QUICK_S
from clearport.runtime.latency import measure as latency
from clearport.runtime.latency.candidate import Candidate
from clearport.runtime.latency.race import Meters
from clearport.runtime.worker.launch import Launch, worker_environment

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.runtime.devices.remote.shell import Shell
    from clearport.runtime.devices.remote.stage import Stage
    from clearport.runtime.latency.conditions import Conditions
    from clearport.runtime.latency.record import LatencyPlan, LatencyReport

AT_ONCE = 4
"""Maximum number of artifacts loaded at the same time, besides baselines: boards have little memory."""


@dataclass(frozen=True)
class _Run:
    """Shared state of the interleaved runs of one ``measure``."""

    plan: LatencyPlan
    archive: str
    progress: Progress


class RemoteSession:
    """See ``runtime.devices.device.DeviceSession``; families may extend ``conditions`` and ``facts``.

    Args:
        shell: the device.
        stage: clearport's folder on it, entered.
        settings: user settings.

    Raises:
        BadInput: the device has no usable Python.
        DeviceLost: the device is lost.
    """

    def __init__(self, shell: Shell, stage: Stage, settings: Settings) -> None:
        self._shell, self._stage, self._settings = shell, stage, settings
        self._python = settings.python or "python3"
        self._facts = facts_of(shell, self._python, settings.timeout_s)

    def facts(self) -> Mapping[str, Any]:
        return dict(self._facts)

    def conditions(self) -> Conditions:
        return conditions_of(self._shell, QUICK_S)

    def measure(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        """Measure unit after unit, ``AT_ONCE`` jobs per interleaved run.

        If the device is lost during a run, the rows of that run are lost; earlier rows remain valid.
        """
        asked = self._settings.runners
        names = sorted({name for job in jobs for name in fitting(job, asked)})
        archive, obstacles = self._prepare(names, progress) if names else ("", {})
        for unit in UNITS:
            entries: list[Entry] = []
            for job in [job for job in jobs if job.unit == unit]:
                for found in entries_of(job, obstacles, asked):
                    if isinstance(found, Entry):
                        entries.append(found)
                    else:
                        yield Row(self._shell.address, job.name, unit, found.what, found)
            run = _Run(replace(plan, unit=unit, timeout_s=self._settings.timeout_s), archive, progress)
            for first in range(0, len(entries), AT_ONCE):
                yield from self._measure(entries[first : first + AT_ONCE], entries, run)

    def _prepare(self, names: Sequence[str], progress: Progress) -> tuple[str, dict[str, str | None]]:
        """Push the worker; returns its path, and runner -> the reason that it cannot be used there, or None.

        Raises:
            DeviceLost: nothing can run there.
        """
        progress(f"{self._shell.address}: looking for runtimes", 0, 0)
        try:
            return self._bring(names)
        except DeviceLost:
            raise
        except RuntimeFailure as error:
            raise DeviceLost(str(error)) from error

    def _bring(self, names: Sequence[str]) -> tuple[str, dict[str, str | None]]:
        with tempfile.TemporaryDirectory() as folder:
            archive = self._stage.put(worker_archive(names, Path(folder)))
        wanted = {name: ["numpy", *RUNNERS.get(name).requires] for name in names}
        command = f"{self._worker(archive)} {quote(json.dumps({'survey': wanted}))}"
        told = self._shell.run(command, self._settings.timeout_s)
        try:
            survey: dict[str, dict[str, Any]] = json.loads(told.out)
        except ValueError as error:
            raise RuntimeFailure(f"{self._shell.address}: the worker does not start there: {told.words}") from error
        return archive, {name: self._obstacle(**survey[name]) for name in names}

    def _obstacle(self, missing: Sequence[str], unavailable: str | None) -> str | None:
        if not missing:
            return unavailable
        return (
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing in the device's Python "
            f"({self._facts['interpreter']}); to add there: {self._install_line(missing)}"
        )

    def _install_line(self, packages: Sequence[str]) -> str:
        """The install command for the device: in a new virtual environment unless ``--python`` is given."""
        if self._settings.python:
            return f"{self._python} -m pip install {' '.join(packages)}"
        wanted = " ".join(dict.fromkeys(["numpy", *packages]))
        return (
            f"{self._python} -m venv clearport && clearport/bin/pip install {wanted}; "
            "then run this command again with --python clearport/bin/python"
        )

    def _measure(self, entries: Sequence[Entry], others: Sequence[Entry], run: _Run) -> Iterator[Row]:
        """Measure entries interleaved, together with the baselines that they need from ``others``."""
        baselines = baselines_of(entries, others)
        company = {base.key: base for base in baselines.values() if base not in entries}
        candidates: list[Candidate] = []
        for entry in (*entries, *company.values()):
            try:
                candidates.append(self._candidate(entry, run, lasting=entry in entries))
            except DeviceLost:
                raise
            except RuntimeFailure as error:
                if entry in entries:
                    yield self._row(entry, Skipped(entry.key, str(error)), {})
        yield from self._race(candidates, {e.key: e for e in entries}, baselines, run)
        self._stage.remove(c.launch.path for c in candidates if c.launch is not None)

    def _candidate(self, entry: Entry, run: _Run, *, lasting: bool) -> Candidate:
        artifact = entry.job.artifact
        path = self._stage.put(artifact.path, artifact.sha256 or None)
        serve = {"serve": {"folder": self._stage.folder, "environment": worker_environment(run.plan.threads)}}
        voice = self._shell.speak(f"exec {self._worker(run.archive)} {quote(json.dumps(serve))}")
        launch = Launch(voice.argv, path, mark=voice.mark)
        return Candidate(entry.key, entry.runner, artifact.path, entry.job.inputs, launch=launch, sustained=lasting)

    def _race(
        self, candidates: Sequence[Candidate], entries: Mapping[str, Entry], baselines: Mapping[str, Entry], run: _Run
    ) -> Iterator[Row]:
        def tell(key: str, done: int, total: int) -> None:
            if why := self._shell.lost():
                raise DeviceLost(why)
            where = f"{self._shell.address}, {run.plan.unit}"
            run.progress(
                f"{where}: measuring interleaved" if done else f"{where}: loading {key}", done, total if done else 0
            )

        found = latency.measure(
            candidates,
            run.plan,
            {key: base.key for key, base in baselines.items()},
            tell,
            keep_outputs=True,
            meters=Meters(self.conditions, lambda: None),
        )
        failed = any(isinstance(report, Skipped) for report in found.reports.values())
        gone = self._gone() if failed else None
        for key, report in found.reports.items():
            told = gone is None or not isinstance(report, Skipped)  # the failures are not the runtime's
            if key in entries and told:
                yield self._row(entries[key], report, found.outputs.get(key, {}))
        if gone is not None:
            raise gone

    def _gone(self) -> DeviceLost | None:
        """The reason that the device is lost, or None."""
        if why := self._shell.lost():
            return DeviceLost(why)
        try:
            self._shell.run("true", QUICK_S)
        except DeviceLost as error:
            return error
        except RuntimeFailure:
            return None  # slow, but not lost
        return None

    def _worker(self, archive: str) -> str:
        """The worker's command there; -B: it writes no compiled files among the device's packages."""
        return f"{quote(self._python)} -B {quote(archive)}"

    def _row(self, entry: Entry, report: LatencyReport | Skipped, outputs: Mapping[str, Array]) -> Row:
        return Row(self._shell.address, entry.job.name, entry.job.unit, entry.runner, cell_of(report), outputs)
