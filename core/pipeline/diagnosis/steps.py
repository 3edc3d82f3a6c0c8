"""Proof by steps: every int8 step of a file separately, on a picture, in a runtime that can output intermediate
tensors.

A deep network's output says little about its file: one value that a kernel rounds differently changes thousands after
it. Hence the file's tensors are read while it runs, and each step is compared with the reference's step on the
runtime's own input levels (``runtime.steps``).
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import TypeAdapter

from clearport.base import TensorSpec
from clearport.export.onnxruntime.target import CONTRACT_KEY
from clearport.pipeline.criteria import as_picture, measured, reference_of
from clearport.pipeline.diagnosis.levels import Levels, counted, first_that_changes, real
from clearport.pipeline.isolated.workers import REFERENCE_OPTIONS, TIMEOUT_S
from clearport.runtime import pixels
from clearport.runtime.parity import judge
from clearport.runtime.steps import taps
from clearport.runtime.steps.reference import Difference, StepReference, difference
from clearport.runtime.steps.report import StepsReport, is_doubtful, verdict
from clearport.runtime.steps.step_models import GIVEN, LEVELS, OFF
from clearport.runtime.tolerance import INT8_QUIET, tolerance_for
from clearport.runtime.usable import method_of
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from clearport.base import Array, Artifact
    from clearport.graph.feeds import Sample
    from clearport.pipeline.criteria import Exam
    from clearport.protocols import Runner
    from clearport.runtime.steps.reference import Kind

GROUP_BYTES = 32 << 20
"""Maximum bytes of tensors that are read in one run of a file; OpenVINO gives them as float32, four times as many."""

MOST_HIDDEN = 8
"""Maximum number of tensors that are not read because that changes the file's outputs."""
CHEAP_VALUES = 100_000_000
"""Total values of int8 tensors that an evaluator computes in seconds: NCNet's at 360x640 are 70 million."""


class Steps:
    """The int8 reference of artifacts, by steps; use it as a context manager.

    Args:
        path: the QDQ model with float32 inputs and outputs.
        threads: threads of the runtime that evaluates it.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.path, self._threads = path, threads
        self._lock = Lock()
        self._opened: _Opened | None = None
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._folder.cleanup()

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.worker.close()

    @cached_property
    def reference(self) -> StepReference:
        """The model, read once."""
        return StepReference(self.path)

    @cached_property
    def contract(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """The inputs and outputs of the model."""
        said = json.loads(self.reference.metadata[CONTRACT_KEY])
        return _specs(said, "input"), _specs(said, "output")

    def prove(
        self, worker: Worker, runner: Runner, artifact: Artifact, exam: Exam, outputs: Mapping[str, Array]
    ) -> StepsReport | None:
        """The steps of a file on the sample of ``exam``; None if its runtime cannot output intermediate tensors.

        ``worker`` has the artifact open, and may have it open with other options afterwards. ``outputs`` are those of
        the unmodified file: reading its tensors must not change them.

        Raises:
            RuntimeFailure: the runtime raised, crashed or hung.
        """
        hides = getattr(runner, "hides", None)
        if artifact.precision != "int8" or hides is None or hides(artifact.path):
            return None
        return FileRun(self, worker, artifact, exam, outputs).report(method_of(runner, artifact))

    def is_cheap(self, runner: Runner, exam: Exam) -> bool:
        """Whether steps are also proven if the output is within its limits: the evaluators of a format, which are slow
        and have no kernels of their own, prove steps of small pictures only.
        """
        count = sum(self.reference.size(name, *exam.sides) for name in self.reference.grids)
        return runner.measures_latency or count <= CHEAP_VALUES

    def compared(
        self, sample: Sample, wanted: Sequence[str], shown: set[str], levels: Mapping[str, Array]
    ) -> dict[str, Difference]:
        """Compare the reference's steps to ``wanted`` tensors, on a runtime's levels, with the runtime's."""
        everything = self._fed(sample, levels)
        with self._lock:  # one artifact at a time, to bound memory
            own = self._run(tuple(wanted), frozenset(shown), everything, "levels")
            found = {name: difference(own[LEVELS.format(name)], levels[name]) for name in wanted}
            doubtful = tuple(name for name, each in found.items() if is_doubtful(each))
            off = self._run(doubtful, frozenset(shown), everything, "off")
        counted = {name: np.atleast_1d(off[OFF.format(name)]) for name in doubtful}
        return found | {name: replace(found[name], off=count) for name, count in counted.items()}

    def ends(
        self, sample: Sample, wanted: Sequence[str], shown: set[str], levels: Mapping[str, Array]
    ) -> Mapping[str, Array]:
        """The reference's ``wanted`` outputs, computed from the levels of a runtime."""
        with self._lock:
            return self._run(tuple(wanted), frozenset(shown), self._fed(sample, levels), "ends")

    def _fed(self, sample: Sample, levels: Mapping[str, Array]) -> dict[str, Array]:
        given = {GIVEN.format(name): array for name, array in levels.items()}
        return {**pixels.tensors(sample, self.contract[0]), **given}

    def _run(
        self, wanted: tuple[str, ...], shown: frozenset[str], everything: Mapping[str, Array], kind: Kind
    ) -> Mapping[str, Array]:
        """The outputs of the model of some steps, which stays open for the next call."""
        if not wanted:
            return {}
        try:
            opened = self._open(wanted, shown, kind)
            return opened.worker.run({name: everything[name] for name in opened.inputs})
        except BaseException:
            self._close()  # the next file's steps need a working worker
            raise

    def _open(self, wanted: tuple[str, ...], shown: frozenset[str], kind: Kind) -> _Opened:
        if self._opened is None or self._opened.steps != (wanted, shown, kind):
            path = Path(self._folder.name, "steps.onnx")
            needed = self.reference.write(path, wanted, shown, kind)
            if self._opened is None:
                worker = Worker("onnxruntime", path, self._threads, TIMEOUT_S, REFERENCE_OPTIONS).__enter__()
            else:
                worker = self._opened.worker
                worker.reopen(REFERENCE_OPTIONS)
            self._opened = _Opened(worker, (wanted, shown, kind), needed)
        return self._opened


@dataclass(frozen=True)
class _Opened:
    """A worker with the model of some steps, and the names of its inputs."""

    worker: Worker
    steps: tuple[tuple[str, ...], frozenset[str], Kind]
    inputs: tuple[str, ...]


def _specs(said: Mapping[str, Any], word: str) -> tuple[TensorSpec, ...]:
    """The contract in a file (``export.written``)."""
    found = [said[word]] if word in said else said[f"{word}s"]
    return TypeAdapter(tuple[TensorSpec, ...]).validate_python(found)


@dataclass(frozen=True)
class FileRun:
    """One file in one runtime on one sample; ``shipped`` are its outputs without additional ones."""

    steps: Steps
    worker: Worker
    artifact: Artifact
    exam: Exam
    shipped: Mapping[str, Array]

    def report(self, method: str) -> StepsReport:
        """The verdict on all steps, and on outputs that are not steps."""
        asked = [name for name in self.steps.reference.grids if name not in self.steps.reference.inputs]
        found = self.differences(asked)
        failures = tuple(dict.fromkeys((*found.changed, *self._ends(found.compared))))
        unseen = len(asked) - len(found.compared)
        return verdict(
            method, self.exam.name, found.compared, unseen=unseen, output_equal=found.equal, failures=failures
        )

    def _ends(self, compared: Collection[str]) -> Iterator[str]:
        """Errors of outputs that are not compared steps: float ones, and those on another grid.

        The reference computes them from the last levels before them, without rounding to int8 in between: the limits
        are those of float files.
        """
        reference = self.steps.reference
        pairs = zip(self.artifact.outputs, self.steps.contract[1], strict=True)
        ends = [(spec, own) for spec, own in pairs if own.name not in compared]
        if not ends:
            return
        shown, names = set(compared), [own.name for _, own in ends]
        grids = {name: (grid.scale, grid.zero_point) for name, grid in reference.grids.items()}
        self.show({name: grids[name] for end in names for name in reference.read_for(end, shown)})
        given = self.read(grids)
        yield from given.changed
        expected = self.steps.ends(self.exam.sample, names, shown, given.levels)
        for spec, own in ends:
            wanted = reference_of(spec.name, expected[own.name], own, 1, "")
            limits = tolerance_for("fp32", as_picture(spec) if spec.is_picture else spec)
            measure = measured(reference_of(spec.name, given.outputs[spec.name], spec, 1, ""), wanted)
            for failure in judge(replace(measure, tolerance=limits)).failures:
                yield f"output {spec.name}, from the levels before it: {failure}"

    def differences(self, names: Sequence[str]) -> Levels:
        """Compare the steps to those of the tensors ``names`` that the runtime outputs; also returns the last levels
        read.

        Tensors whose reading changes the file's outputs are left out, if they are few: the steps that read them begin
        at tensors before them.
        """
        hidden: set[str] = set()
        while True:
            found = self._differences(names, hidden)
            if not found.changed or len(hidden) == MOST_HIDDEN or not (read := self.worker.options.get("taps")):
                return found
            hidden.add(first_that_changes(list(read), partial(self._changes, read)))

    def _changes(self, grids: taps.Taps, names: Collection[str]) -> bool:
        """Whether reading the tensors ``names`` changes the file's outputs."""
        self.show({name: grids[name] for name in names})
        return bool(self.read(grids).changed)

    def _differences(self, names: Sequence[str], hidden: Collection[str]) -> Levels:
        """``differences`` without reading ``hidden``; ends at what changes the outputs if more may be hidden."""
        reference = self.steps.reference
        grids = {name: (grid.scale, grid.zero_point) for name, grid in reference.grids.items() if name not in hidden}
        asked = {name: grid for name, grid in grids.items() if name not in reference.inputs}
        found = Levels({}, {}, 1.0, ())
        self.show(asked)
        shown = {*self.worker.shown(), *(name for name in reference.outputs if name in asked)}
        groups = list(self.groups([name for name in names if name in shown], shown))
        for wanted, read in groups:
            if len(groups) > 1 or len(names) < len(asked):
                self.show({name: grids[name] for name in grids if name in read})
            given = self.read(grids)
            if given.changed and len(hidden) < MOST_HIDDEN:
                return given
            while lost := self._needed(wanted, shown) - set(given.levels):
                shown -= lost  # Core AI reports only in a run which tensors it has
                if (more := self._needed(wanted, shown)) - set(given.levels):
                    self.show({name: grids[name] for name in grids if name in more})
                    given = self.read(grids)
            compared = [name for name in wanted if name in shown]
            new = self.steps.compared(self.exam.sample, compared, shown, given.levels)
            changed = tuple(dict.fromkeys((*found.changed, *given.changed)))
            equal = min(found.equal, given.equal)
            found = Levels(given.levels, given.outputs, equal, changed, {**found.compared, **new})
        return found

    def _needed(self, wanted: Sequence[str], shown: set[str]) -> set[str]:
        """Those of some tensors that can be shown, and the inputs of their steps."""
        own = [name for name in wanted if name in shown]
        return set(own).union(*(self.steps.reference.sources(name, shown) for name in own))

    def show(self, tensors: taps.Taps) -> None:
        """Reopen the file with ``tensors`` as additional outputs."""
        asked = {name: grid for name, grid in tensors.items() if name not in self.steps.reference.outputs}
        if self.worker.options.get("taps") != asked:
            self.worker.reopen({**self.worker.options, "taps": asked})

    def groups(self, names: Sequence[str], shown: set[str]) -> Iterator[tuple[list[str], set[str]]]:
        """Groups of consecutive steps that fit ``GROUP_BYTES``, with the tensors that they read and write."""
        sides = self.exam.sides
        wanted: list[str] = []
        read: set[str] = set()
        for name in names:
            more = {name, *self.steps.reference.sources(name, shown)}
            if wanted and sum(self.steps.reference.size(each, *sides) for each in read | more) > GROUP_BYTES:
                yield wanted, read
                wanted, read = [], set()
            wanted.append(name)
            read |= more
        if wanted:
            yield wanted, read

    def read(self, grids: taps.Taps) -> Levels:
        """The tensors of one run as levels, compared with the outputs of the unmodified file."""
        results = self.worker.run(pixels.tensors(self.exam.sample, self.artifact.inputs))
        levels = {n.removeprefix(taps.PREFIX): array for n, array in results.items() if n.startswith(taps.PREFIX)}
        for spec, own in zip(self.artifact.outputs, self.steps.contract[1], strict=True):
            if own.name in grids:
                levels |= counted(real(results[spec.name], spec, own), own.name, grids)
        same = {spec: float(np.mean(results[spec.name] == self.shipped[spec.name])) for spec in self.artifact.outputs}
        changed = [words for spec, share in same.items() if share < 1 for words in self._changed(results, spec)]
        return Levels(levels, results, min(same.values()), tuple(changed))

    def _changed(self, results: Mapping[str, Array], spec: TensorSpec) -> Iterator[str]:
        """Reasons that the steps are not those of the unmodified file.

        OpenVINO fuses less if tensors are read, and a few ties round differently. The output must equal that of the
        unmodified file up to the effect of ties: within the limits of shallow networks, whatever the network.
        """
        read, shipped = (reference_of(spec.name, each[spec.name], spec, 1, "") for each in (results, self.shipped))
        report = judge(
            replace(
                measured(shipped, read), tolerance=tolerance_for("int8", spec) if not spec.is_picture else INT8_QUIET
            )
        )
        for failure in report.failures:
            yield f"reading its tensors changes the runtime's outputs, so these are not the file's own steps: {failure}"
