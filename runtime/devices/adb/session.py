"""Measurements on a phone: by ``benchmark_model`` or by a Python there, depending on the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING, Any

from clearport.base import Skipped
from clearport.errors import BadInput, RuntimeFailure
from clearport.protocols import Progress
from clearport.runtime.devices.adb import android
from clearport.runtime.devices.adb import benchmark as adb_benchmark
from clearport.runtime.devices.adb.benchmark_flags import HELP, read_help
from clearport.runtime.devices.device import UNITS, Job, Row, Settings
from clearport.runtime.devices.remote.session import RemoteSession
from clearport.runtime.devices.remote.stage import QUICK_S

if TYPE_CHECKING:
    from clearport.runtime.devices.remote.shell import Shell
    from clearport.runtime.devices.remote.stage import Stage
    from clearport.runtime.latency.conditions import Conditions
    from clearport.runtime.latency.record import LatencyPlan

_TARGET = "tflite"


class _Python(RemoteSession):
    """A session on the phone's Python, with temperatures from Android's services."""

    def conditions(self) -> Conditions:
        return android.android_conditions(self._shell, QUICK_S)


class PhoneSession:
    """See ``clearport.runtime.devices.device.DeviceSession``.

    Raises:
        BadInput: the phone has no Python, and no ``benchmark_model`` is given.
        DeviceLost: the phone is disconnected.
    """

    def __init__(self, shell: Shell, stage: Stage, settings: Settings) -> None:
        self._shell, self._stage, self._settings = shell, stage, settings
        self._tool = _check_tool(settings)
        self._python: _Python | None = None
        self._no_python = ""
        try:
            self._python = _Python(shell, stage, settings)
        except (BadInput, RuntimeFailure) as error:
            if shell.lost() or self._tool is None or settings.python:
                raise
            self._no_python = str(error)

    def facts(self) -> Mapping[str, Any]:
        """Facts of the phone and of its Python, if any."""
        own = self._python.facts() if self._python else {}
        return {**own, **android.facts_of(self._shell, QUICK_S)}

    def conditions(self) -> Conditions:
        return android.android_conditions(self._shell, QUICK_S)

    def measure(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        """Measure TFLite files by ``benchmark_model`` if given, all others by the phone's Python."""
        by_tool = [job for job in jobs if self._takes(job)]
        others = [job for job in jobs if not self._takes(job)]
        if by_tool:
            yield from self._benchmark(by_tool, plan, progress)
        if self._python:
            yield from self._python.measure(others, plan, progress)
            return
        for job in others:
            reason = f"{self._no_python}; benchmark_model takes TFLite files alone"
            yield Row(self._shell.address, job.name, job.unit, "", Skipped(job.name, reason))

    def _takes(self, job: Job) -> bool:
        asked = self._settings.runners
        wanted = not asked or adb_benchmark.NAME in asked
        return self._tool is not None and wanted and job.artifact.target == _TARGET

    def _benchmark(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        assert self._tool is not None
        program = self._stage.put(self._tool)
        told = self._shell.run(f"chmod 755 {quote(program)} && {quote(program)} {HELP} 2>&1", self._settings.timeout_s)
        try:
            dialect = read_help(told.out)
        except RuntimeFailure as error:
            for job in jobs:
                reason = f"{adb_benchmark.NAME} on {self._shell.address}: {error}"
                yield Row(self._shell.address, job.name, job.unit, adb_benchmark.NAME, Skipped(job.name, reason))
            return
        for unit in UNITS:
            mine = [job for job in jobs if job.unit == unit]
            asked = replace(plan, unit=unit, timeout_s=self._settings.timeout_s)
            race = adb_benchmark.Benchmark(self._shell, self._stage, program, dialect, asked, self.conditions, progress)
            yield from race.rows(mine)


def _check_tool(settings: Settings) -> Any:
    """The user's ``benchmark_model``, or None."""
    path = settings.benchmark_model
    if path is not None and not path.is_file():
        raise BadInput(f"--benchmark-model {path}: no such file; name a benchmark_model for the phone's processor")
    return path
