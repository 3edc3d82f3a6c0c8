"""Proof of artifacts: each file, loaded from disk by its runtime in a subprocess, against a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from clearport import problems
from clearport.base import Artifact, Skipped
from clearport.bundle.replays import ReplayRecord, replay_of
from clearport.errors import NotInstalled
from clearport.graph import shapes
from clearport.pipeline.criteria import PHOTO
from clearport.protocols import Runner
from clearport.registry import RUNNERS
from clearport.runtime import pixels
from clearport.runtime.parity import ParityReport
from clearport.runtime.usable import runners_of, too_large
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clearport.base import Array, TensorSpec
    from clearport.bundle.folder import Bundle
    from clearport.graph.feeds import Sample
    from clearport.pipeline.criteria import Exam
    from clearport.runtime.older.table import OtherRuntime

    Specs = tuple[TensorSpec, ...]

TIMEOUT_S = 300.0

WEIGHTS_SUFFIX = ".safetensors"

_JUDGING = Lock()
"""Lock for comparing outputs: a picture enlarged four times needs 0.3 GB in float64, once and not per worker."""

REFERENCE_OPTIONS: Mapping[str, Any] = {"optimize": False}
"""ONNX Runtime without fusions evaluates a QDQ model exactly as written."""


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


def open_worker(
    runner: str, artifact: Artifact, threads: int, timeout_s: float, options: Mapping[str, Any] | None = None
) -> Worker:
    """A worker for an artifact, in the Python that the runner requires; use it as a context manager."""
    python = getattr(RUNNERS.get(runner), "interpreter", lambda: None)()
    return Worker(runner, artifact.path, threads, timeout_s, options, python=python)


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
    """The same by a runtime of another environment."""
    names = [spec.name for spec in artifact.outputs]
    python, plugin = str(other.python), other.plugin_path
    with Worker(other.runner, artifact.path, threads, TIMEOUT_S, python=python, plugin=plugin) as worker:
        return [worker.outputs(pixels.tensors(sample, artifact.inputs), names) for sample in samples]


@dataclass(frozen=True)
class Proof:
    """The proof of an artifact: reports, the most important one first, and the judged outputs."""

    reports: tuple[ParityReport | Skipped, ...]
    replays: tuple[ReplayRecord, ...] = ()


def prove(artifact: Artifact, exams: Sequence[Exam], threads: int) -> Proof:
    """The parity of an artifact in every usable runner; the first entry is the most important one.

    If a runner crashes, hangs, refuses the file or fails otherwise, its parity has failed, with the runtime's message.
    """
    reports: list[ParityReport | Skipped] = []
    replays: list[ReplayRecord] = []
    skipped: list[ParityReport | Skipped] = []
    for runner, found in runners_of(artifact.target):
        what = f"{artifact.key} by {runner.name}"
        obstacle = found or _too_large(runner, exams)
        if obstacle is not None:
            skipped.append(Skipped(what, obstacle))
            continue
        try:
            proof = _proofs(runner, artifact, exams, threads)
            reports += proof.reports
            replays += proof.replays
        except NotInstalled as error:
            skipped.append(Skipped(what, str(error)))
    if not reports and not skipped:
        skipped.append(Skipped(artifact.key, f"clearport has no runner for {artifact.target} files"))
    return Proof((*reports, *skipped), tuple(replays))


def _too_large(runner: Runner, exams: Sequence[Exam]) -> str | None:
    return next((why for exam in exams if (why := too_large(runner, *exam.sides))), None)


def _proofs(runner: Runner, artifact: Artifact, exams: Sequence[Exam], threads: int) -> Proof:
    """One report for each sample, and each output and reference of it."""
    try:
        outputs = run_each(runner.name, artifact, [exam.sample for exam in exams], threads)
        with _JUDGING:
            reports = tuple(
                report if exam.name == PHOTO else replace(report, reference=f"{report.reference}, on the {exam.name}")
                for exam, output in zip(exams, outputs, strict=True)
                for report in exam.judge(output, artifact, runner.method)
            )
        return Proof(reports, replays_of(runner, exams, outputs, threads))
    except NotInstalled:
        raise
    except problems.UNEXPECTED as error:
        words = (problems.told(error, f"running {artifact.key} by {runner.name}"),)
        first = exams[0].criteria[0]
        name, basis, limits = first.reference.name, first.basis, first.tolerance
        return Proof((ParityReport(False, None, None, None, None, runner.method, name, basis, limits, words),))


def replays_of(
    runner: Runner, exams: Sequence[Exam], outputs: Sequence[Mapping[str, Array]], threads: int
) -> tuple[ReplayRecord, ...]:
    """The records of a runner's outputs for each exam, if its versions are known."""
    found = [replay_of(output, exam.name, runner, threads) for exam, output in zip(exams, outputs, strict=True)]
    return tuple(replay for replay in found if replay is not None)
