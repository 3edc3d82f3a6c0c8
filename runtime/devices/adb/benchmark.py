"""TFLite files measured on a phone by LiteRT's ``benchmark_model``, interleaved as everywhere.

A first run with the golden input yields the output, the peak memory and the operators of each unit. Then each call
measures three inferences, so that every sample is known (see ``benchmark_model.py``); it loads the file and warms up
anew.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.base import Skipped, TensorSpec
from clearport.errors import RuntimeFailure
from clearport.protocols import Progress
from clearport.runtime.devices.adb import benchmark_model as tool
from clearport.runtime.devices.adb.benchmark_flags import Dialect
from clearport.runtime.devices.device import DeviceLost, Job, Row
from clearport.runtime.latency.conditions import Conditions, drift
from clearport.runtime.latency.race import order
from clearport.runtime.latency.record import NO_PROFILE, LatencyPlan, LatencyReport, OperatorTime
from clearport.runtime.latency.stats import Summary, paired_ratio

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.runtime.devices.remote.shell import Shell
    from clearport.runtime.devices.remote.stage import Stage

NAME = "benchmark_model"
AT_ONCE = 4
"""Maximum number of files that are measured interleaved."""

_WARMUP_S = 0.5  # the tool's own default
_MEMORY = "benchmark_model's own monitoring, in a run that was not timed"
_ONCE = ("--num_runs=1", "--min_secs=0", "--warmup_runs=1", "--warmup_min_secs=0")
_NO_NODES = "this benchmark_model printed no times of nodes"
_NO_OUTPUT = "this benchmark_model fills inputs with random numbers and keeps its outputs"
_QUOTED = 3


@dataclass
class _Entrant:
    """A file under measurement: its command line on the phone and its results."""

    job: Job
    call: list[str]
    probe: tool.Log
    profile: list[tuple[str, str, float]]
    accelerator: str | None
    outputs: dict[str, Array]
    turns: list[tool.Log] = field(default_factory=list)

    @property
    def rounds(self) -> list[tuple[float, ...]]:
        return [turn.samples_ms for turn in self.turns]


@dataclass(frozen=True)
class Benchmark:
    """The tool on one phone.

    Attributes:
        shell, stage: the phone, and clearport's folder on it.
        program: path of the tool there.
        dialect: the flags that it supports.
        plan: how to measure; its unit is that of the jobs.
        conditions: reads the phone's current temperatures and clocks.
        progress: called at each step.
    """

    shell: Shell
    stage: Stage
    program: str
    dialect: Dialect
    plan: LatencyPlan
    conditions: Callable[[], Conditions]
    progress: Progress

    def rows(self, jobs: Sequence[Job]) -> Iterator[Row]:
        """Measure the jobs of one unit, some at a time.

        Raises:
            DeviceLost: the phone is disconnected; rows already yielded remain valid.
        """
        for first in range(0, len(jobs), AT_ONCE):
            yield from self._race(jobs[first : first + AT_ONCE])

    def _race(self, jobs: Sequence[Job]) -> Iterator[Row]:
        before = self.conditions()
        racing: list[_Entrant] = []
        for job in jobs:
            self._tell(job, "loading", 0, 0)
            try:
                racing.append(self._enter(job))
            except DeviceLost:
                raise
            except RuntimeFailure as error:
                yield self._row(job, Skipped(job.name, str(error)), {})
        started, done = time.monotonic(), 0
        while racing and not self._enough(racing, done, time.monotonic() - started):
            turns = order(racing, done)
            done += 1
            for entrant in turns:
                self._tell(entrant.job, "measuring", done, max(done, self.plan.rounds))
                if failed := self._turn(entrant):
                    racing.remove(entrant)
                    yield self._row(entrant.job, failed, {})
        remarks = drift(before, self.conditions())
        for entrant in racing:
            yield self._row(entrant.job, self._report(entrant, racing, remarks), entrant.outputs)

    def _enough(self, racing: Sequence[_Entrant], done: int, elapsed_s: float) -> bool:
        plan = self.plan
        if elapsed_s >= plan.max_seconds and done >= min(3, plan.rounds):
            return True
        least_ms = min(sum(map(sum, entrant.rounds)) for entrant in racing)
        return done >= plan.rounds and least_ms >= plan.min_seconds * 1e3

    def _enter(self, job: Job) -> _Entrant:
        """Push a file to the phone and run it once."""
        graph = self.stage.put(job.artifact.path, job.artifact.sha256 or None)
        with tempfile.TemporaryDirectory() as name:
            feeds = job.inputs if self.dialect.feeds else {}
            inputs = {key: (array.shape, self._bring(Path(name), array)) for key, array in feeds.items()}
            result = f"{self.stage.folder}/output.bin"
            model = [f"--graph={graph}", f"--num_threads={self.plan.threads}"]
            fixed = [*model, *self.dialect.io(inputs, None)]
            text, flags, accelerator = self._probe(job, [*model, *self.dialect.io(inputs, result)])
            outputs = self._take(job, result, Path(name)) if self.dialect.writes else {}
        log = tool.read(text)
        return _Entrant(job, [*fixed, *flags], log, tool.read_profile(text), accelerator, outputs)

    def _bring(self, folder: Path, array: Array) -> str:
        file = folder / "input.bin"
        file.write_bytes(np.ascontiguousarray(array).tobytes())
        return self.stage.put(file)

    def _probe(self, job: Job, fixed: Sequence[str]) -> tuple[str, list[str], str | None]:
        """The log of a first run, the flags of the unit, and the NNAPI accelerator that was chosen for it."""
        lossy = job.artifact.precision != "fp32"
        flags = self.dialect.unit(job.unit, lossy=lossy, accelerator=None)
        text = self._run([*fixed, *flags, *_ONCE, *self.dialect.probe()])
        accelerator = tool.npu_of(tool.read(text).accelerators) if job.unit == "npu" else None
        if accelerator is not None:
            flags = self.dialect.unit(job.unit, lossy=lossy, accelerator=accelerator)
            text = self._run([*fixed, *flags, *_ONCE, *self.dialect.probe()])
        return text, flags, accelerator

    def _take(self, job: Job, result: str, folder: Path) -> dict[str, Array]:
        """The outputs, which the tool writes concatenated; empty if it is too old to write them."""
        try:
            self.shell.pull(result, folder / "output.bin")
        except DeviceLost:
            raise
        except RuntimeFailure:
            return {}
        self.shell.run(f"rm -f {quote(result)}", _quick(self.plan))
        given = next(iter(job.inputs.values())).shape
        return split_outputs((folder / "output.bin").read_bytes(), job.artifact.outputs, given)

    def _turn(self, entrant: _Entrant) -> Skipped | None:
        """Measure three inferences; returns the reason if they failed."""
        warmup = f"--warmup_runs={max(1, self.plan.warmup)}"
        counts = [f"--num_runs={tool.RUNS}", "--min_secs=0", warmup, f"--warmup_min_secs={_WARMUP_S}"]
        try:
            log = tool.read(self._run([*entrant.call, *counts]))
        except DeviceLost:
            raise
        except RuntimeFailure as error:
            return Skipped(entrant.job.name, str(error))
        entrant.turns.append(log)
        return None

    def _run(self, flags: Sequence[str]) -> str:
        """Run the tool; returns its log.

        Raises:
            RuntimeFailure: it failed or hung; quotes it.
        """
        pin = self.plan.pin
        kept = f"taskset {sum(1 << core for core in pin):x} " if pin else ""
        command = f"exec {kept}{quote(self.program)} {' '.join(map(quote, flags))} 2>&1"
        done = self.shell.run(command, self.plan.timeout_s)
        log = tool.read(done.out)
        if done.code or not log.whole:
            said = log.errors[-_QUOTED:] or tuple(line for line in done.out.splitlines() if line.strip())[-_QUOTED:]
            words = "; ".join(said) or done.words
            raise RuntimeFailure(f"{NAME} on {self.shell.address} ended with {done.code}: {words}")
        if log.ignored:
            raise RuntimeFailure(f"{NAME} on {self.shell.address} does not know {' '.join(log.ignored)}")
        return done.out

    def _report(self, entrant: _Entrant, racing: Sequence[_Entrant], remarks: Sequence[str]) -> LatencyReport:
        job, probe = entrant.job, entrant.probe
        samples = tuple(round(sample, 4) for turn in entrant.rounds for sample in turn)
        summary = Summary.of(samples)
        base = next((other for other in racing if other.job.name == job.baseline and other is not entrant), None)
        per_unit = tool.operators_per_unit(tool.unit_of_delegate(job.unit, entrant.accelerator), probe, entrant.profile)
        return LatencyReport(
            kind="measured",
            runtime=NAME,
            runtime_versions={NAME: probe.version or "unknown"},
            unit_asked=job.unit,
            unit_ran=tool.unit_ran(job.unit, probe, entrant.accelerator),
            threads=self.plan.threads,
            init_ms=median(turn.init_ms or 0.0 for turn in entrant.turns),
            first_inference_ms=median(turn.first_ms or 0.0 for turn in entrant.turns),
            warmup=int(median(turn.warmups for turn in entrant.turns)),
            runs_per_round=tool.RUNS,
            samples_ms=samples,
            cpu_samples_ms=(),
            **asdict(summary),
            fps=1e3 / summary.median_ms,
            cpu_median_ms=None,
            ratio=paired_ratio(base.job.name, entrant.rounds, base.rounds) if base else None,
            cpu_ratio=None,
            peak_memory_mib=probe.peak_mib,
            peak_memory_method=_MEMORY if probe.peak_mib else "not told",
            io_copies_counted=False,
            operators=per_unit.get("cpu", {}),
            partitions=probe.replaced[0].partitions if probe.replaced else None,
            executed_precision=None,
            facts={**_facts(entrant), **self._missing(entrant)},
            operators_per_unit=per_unit,
            pinned=self.plan.pin,
            profile=_profile(entrant, job.unit) if self.plan.profile else (),
            remarks=tuple(remarks),
        )

    def _missing(self, entrant: _Entrant) -> dict[str, str]:
        """Facts that the tool does not report -> the reason."""
        profile = {NO_PROFILE: _NO_NODES} if self.plan.profile and not entrant.profile else {}
        return {**profile, **({} if self.dialect.writes else {"no_output": _NO_OUTPUT})}

    def _row(self, job: Job, cell: LatencyReport | Skipped, outputs: Mapping[str, Array]) -> Row:
        return Row(self.shell.address, job.name, job.unit, NAME, cell, outputs)

    def _tell(self, job: Job, doing: str, done: int, total: int) -> None:
        if why := self.shell.lost():
            raise DeviceLost(why)
        self.progress(f"{self.shell.address}, {job.unit}: {doing} {job.name}", done, total)


def split_outputs(data: bytes, specs: Sequence[TensorSpec], given: Sequence[int]) -> dict[str, Array]:
    """Outputs from the bytes that the tool wrote; dynamic shapes follow from ``given``, the input's shape.

    Empty if the number of bytes does not match.
    """
    found: dict[str, Array] = {}
    for spec in specs:
        dtype = np.dtype(spec.dtype)
        shape = [n for n in spec.shape if isinstance(n, int)]
        if len(shape) < len(spec.shape):  # one output of dynamic size: the input's size times a scale
            sides = [given[axis] for axis, n in enumerate(spec.shape) if not isinstance(n, int)]
            times = round((len(data) / dtype.itemsize / np.prod(shape) / np.prod(sides)) ** 0.5)
            shape = [n if isinstance(n, int) else given[axis] * times for axis, n in enumerate(spec.shape)]
        size = int(np.prod(shape)) * dtype.itemsize
        if len(data) < size:
            return {}
        found[spec.name] = np.frombuffer(data[:size], dtype).reshape(shape)
        data = data[size:]
    return {} if data else found


def _facts(entrant: _Entrant) -> dict[str, Any]:
    """Other facts that the tool reported."""
    probe = entrant.probe
    return {
        "delegate": probe.delegate,
        "replaced": [asdict(part) for part in probe.replaced],
        "accelerators": list(probe.accelerators),
        "accelerator": entrant.accelerator,
        "float16_allowed": entrant.job.artifact.precision != "fp32",
        "footprint_mib": probe.overall_mib,
    }


def _profile(entrant: _Entrant, unit: str) -> tuple[OperatorTime, ...]:
    """Time per node, slowest first."""
    taken = {part.delegate for part in entrant.probe.replaced if not part.of_cpu}
    rows = [OperatorTime(name, kind, unit if kind in taken else "cpu", ms) for kind, name, ms in entrant.profile]
    return tuple(sorted(rows, key=lambda row: -row.ms))


def _quick(plan: LatencyPlan) -> float:
    return min(30.0, plan.timeout_s)
