"""Proof of artifacts: each file, loaded from disk by its runtime in a subprocess, against a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport import problems
from clearport.base import Artifact, Skipped
from clearport.bundle.replays import ReplayRecord, replay_of
from clearport.errors import NotInstalled
from clearport.graph import shapes
from clearport.pipeline.criteria import PHOTO
from clearport.pipeline.isolated.workers import REFERENCE_OPTIONS, TIMEOUT_S, open_worker
from clearport.protocols import Runner
from clearport.runtime import pixels
from clearport.runtime.parity import ParityReport
from clearport.runtime.steps.report import unproven
from clearport.runtime.usable import method_of, runners_of, too_large
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clearport.base import Array, TensorSpec
    from clearport.bundle.folder import Bundle
    from clearport.graph.feeds import Sample
    from clearport.pipeline.criteria import Exam
    from clearport.pipeline.diagnosis.steps import Steps
    from clearport.runtime.older.table import OtherRuntime
    from clearport.runtime.steps.report import StepsReport

    Specs = tuple[TensorSpec, ...]

WEIGHTS_SUFFIX = ".safetensors"

_JUDGING = Lock()
"""Lock for comparing outputs: a picture enlarged four times needs 0.3 GB in float64, once and not per worker."""


def network_artifact(path: Path, inputs: Specs, outputs: Specs) -> Artifact:
    """The network itself, the reference of all artifacts: clearport's own at any size in PyTorch, the user's as
    exported, in PyTorch (``.pt2``) or ONNX Runtime (``.onnx``).
    """
    size = shapes.size_of(shapes.lead(inputs))
    if path.suffix == WEIGHTS_SUFFIX and size is not None:
        inputs, outputs = (shapes.freed(specs, size) for specs in (inputs, outputs))
    return Artifact("onnxruntime" if path.suffix == ".onnx" else "torch", "fp32", path, "", inputs, outputs, {})


def runner_of(network: Artifact) -> tuple[str, Mapping[str, Any]]:
    """The runner of the network itself, with options for exact evaluation."""
    return network.target, REFERENCE_OPTIONS if network.target == "onnxruntime" else {}


def network_of(bundle: Bundle) -> Artifact:
    """The network itself of a bundle.

    Raises:
        BadInput: its file is missing.
    """
    contract = bundle.manifest.pixel_contract
    path = bundle.path(bundle.manifest.model.reference)
    return network_artifact(path, contract.inputs, contract.outputs)


def run_once(
    runner: str, artifact: Artifact, sample: Sample, threads: int, options: Mapping[str, Any] | None = None
) -> dict[str, Array]:
    """The raw outputs for one sample (``graph.feeds``), in the artifact's dtypes and layouts."""
    return run_each(runner, artifact, [sample], threads, options)[0]


def run_each(
    runner: str, artifact: Artifact, samples: Sequence[Sample], threads: int, options: Mapping[str, Any] | None = None
) -> list[dict[str, Array]]:
    """The raw outputs for several samples, with the artifact opened once."""
    names = [spec.name for spec in artifact.outputs]
    with open_worker(runner, artifact, threads, TIMEOUT_S, options) as worker:
        return [worker.outputs(pixels.tensors(sample, artifact.inputs), names) for sample in samples]


def run_elsewhere(
    other: OtherRuntime, artifact: Artifact, samples: Sequence[Sample], threads: int
) -> list[dict[str, Array]]:
    """The same in a runtime of another environment."""
    names = [spec.name for spec in artifact.outputs]
    python, plugin = str(other.python), other.plugin_path
    with Worker(other.runner, artifact.path, threads, TIMEOUT_S, python=python, plugin=plugin) as worker:
        return [worker.outputs(pixels.tensors(sample, artifact.inputs), names) for sample in samples]


@dataclass(frozen=True)
class Proof:
    """The proof of an artifact: reports, the most important one first, its int8 steps, and the judged outputs."""

    reports: tuple[ParityReport | Skipped, ...]
    replays: tuple[ReplayRecord, ...] = ()
    steps: tuple[StepsReport, ...] = ()


def prove(artifact: Artifact, exams: Sequence[Exam], threads: int, steps: Steps | None = None) -> Proof:
    """The parity of an artifact in every usable runner; the first entry is the most important one.

    With ``steps``, an int8 file is also proven step by step where the runner shows its tensors. If a runner crashes,
    hangs, refuses the file or fails otherwise, its parity has failed, with the runtime's message.
    """
    reports: list[ParityReport | Skipped] = []
    replays: list[ReplayRecord] = []
    stepped: list[StepsReport] = []
    skipped: list[ParityReport | Skipped] = []
    for runner, found in runners_of(artifact):
        what = f"{artifact.key} by {runner.name}"
        obstacle = found or _too_large(runner, exams)
        if obstacle is not None:
            skipped.append(Skipped(what, obstacle))
            continue
        try:
            proof = _proofs(runner, artifact, exams, threads, steps)
            reports += proof.reports
            replays += proof.replays
            stepped += proof.steps
        except NotInstalled as error:
            skipped.append(Skipped(what, str(error)))
    if not reports and not skipped:
        skipped.append(Skipped(artifact.key, f"clearport has no runner for {artifact.target} files"))
    return Proof((*reports, *skipped), tuple(replays), tuple(stepped))


def _too_large(runner: Runner, exams: Sequence[Exam]) -> str | None:
    return next((why for exam in exams if (why := too_large(runner, *exam.sides))), None)


def _proofs(
    runner: Runner, artifact: Artifact, exams: Sequence[Exam], threads: int, steps: Steps | None = None
) -> Proof:
    """One report for each sample, and each output and reference of it."""
    try:
        judged = judge(runner, artifact, exams, threads, steps)
        reports = tuple(
            report if exam.name == PHOTO else replace(report, reference=f"{report.reference}, on the {exam.name}")
            for exam, found in zip(exams, judged.reports, strict=True)
            for report in found
        )
        return Proof(reports, replays_of(runner, exams, judged.outputs, threads), judged.steps)
    except NotInstalled:
        raise
    except problems.UNEXPECTED as error:
        words = (problems.told(error, f"running {artifact.key} by {runner.name}"),)
        first = exams[0].criteria[0]
        name, basis, limits = first.reference.name, first.basis, first.tolerance
        method = method_of(runner, artifact)
        return Proof((ParityReport(False, None, None, None, None, method, name, basis, limits, words),))


@dataclass(frozen=True)
class Judged:
    """The outputs of an artifact in one runner and the reports on them, for each exam, and the int8 steps."""

    outputs: tuple[Mapping[str, Array], ...]
    reports: tuple[list[ParityReport], ...]
    steps: tuple[StepsReport, ...]


def judge(
    runner: Runner, artifact: Artifact, exams: Sequence[Exam], threads: int, steps: Steps | None = None
) -> Judged:
    """Run every exam in one runner, and judge its outputs; with ``steps`` also the steps of an int8 file.

    Steps are proven on the last exam, and on those whose output exceeds its limits against the QDQ model: if every step
    is proven, the output is judged by its distance to PyTorch instead.

    Raises:
        RuntimeFailure: the runtime raised, crashed or hung.
    """
    names, method = [spec.name for spec in artifact.outputs], method_of(runner, artifact)
    with open_worker(runner.name, artifact, threads, TIMEOUT_S) as worker:
        outputs = tuple(worker.outputs(pixels.tensors(e.sample, artifact.inputs), names) for e in exams)
        with _JUDGING:
            reports = [exam.judge(output, artifact, method) for exam, output in zip(exams, outputs, strict=True)]
        proven = []
        for place, exam in enumerate(exams if steps is not None else ()):
            assert steps is not None
            doubted = any(not report.passed for report in reports[place])
            if not doubted and (exam is not exams[-1] or not steps.is_cheap(runner, exam)):
                continue
            try:
                found = steps.prove(worker, runner, artifact, exam, outputs[place])
                if found is None and doubted:
                    found = _by_twin(runner, artifact, exam, outputs[place], threads, steps)
            except problems.UNEXPECTED as error:  # then the file is judged by its output
                said = problems.told(error, f"reading the tensors of {artifact.key} by {runner.name}")
                proven.append(unproven(method, exam.name, said))
                break
            if found is None:
                break
            proven.append(found)
            if doubted and found.passed:
                with _JUDGING:
                    reports[place] = exam.by_steps().judge(outputs[place], artifact, method)
    return Judged(outputs, tuple(reports), tuple(proven))


def _by_twin(
    runner: Runner, artifact: Artifact, exam: Exam, outputs: Mapping[str, Array], threads: int, steps: Steps
) -> StepsReport | None:
    """The steps of the ``.onnx`` file beside an ``.ort`` file, which shows no tensors, if both give the same bits."""
    path = artifact.path.with_name(f"{artifact.path.stem.removesuffix('_ort')}.onnx")
    if artifact.path.suffix != ".ort" or not path.is_file():
        return None
    twin = replace(artifact, path=path)
    with open_worker(runner.name, twin, threads, TIMEOUT_S) as worker:
        own = worker.outputs(pixels.tensors(exam.sample, twin.inputs), list(outputs))
        if not all(np.array_equal(own[name], value) for name, value in outputs.items()):
            return None
        found = steps.prove(worker, runner, twin, exam, own)
    return None if found is None else replace(found, method=f"{found.method}, the .onnx file, whose bits it gives")


def replays_of(
    runner: Runner, exams: Sequence[Exam], outputs: Sequence[Mapping[str, Array]], threads: int
) -> tuple[ReplayRecord, ...]:
    """The records of a runner's outputs for each exam, if its versions are known."""
    found = [replay_of(output, exam.name, runner, threads) for exam, output in zip(exams, outputs, strict=True)]
    return tuple(replay for replay in found if replay is not None)
