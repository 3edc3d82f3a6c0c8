"""Proof of artifacts: each file, loaded from disk by its runtime in a subprocess, against a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clearport import problems
from clearport.base import Artifact, NotInstalled, Skipped
from clearport.protocols import Runner
from clearport.registry import RUNNERS
from clearport.runtime import parity, pixels
from clearport.runtime.parity import ParityReport, Reference, Tolerance
from clearport.runtime.runners import runners_of
from clearport.runtime.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Array, TensorSpec
    from clearport.images import Image8

TIMEOUT_S = 300.0

REFERENCE_OPTIONS: Mapping[str, Any] = {"optimize": False}
"""ONNX Runtime without fusions evaluates a QDQ model as it is written."""

PYTORCH = "PyTorch fp32"
QDQ = "QDQ reference"


@dataclass(frozen=True)
class References:
    """What artifacts are compared with, for one picture: PyTorch's output, and the QDQ model's if there is one."""

    picture: Image8
    float: Reference
    int8: Reference | None

    def tolerance(self, artifact: Artifact, output: TensorSpec) -> Tolerance:
        """How far an artifact may be from what judges it, where its output is ``output``."""
        if artifact.precision == "int8" and self.int8 is not None:
            return parity.tolerance_for_int8(self.int8, self.float)
        return parity.tolerance_for(artifact.precision, output)


def network_artifact(weights: Path, source: TensorSpec, result: TensorSpec) -> Artifact:
    """The network itself, as the PyTorch runner takes it: at any size."""
    taken, given = replace(source, shape=(1, 3, "H", "W")), replace(result, shape=(1, 3, "H'", "W'"))
    return Artifact("torch", "fp32", weights, "", (taken,), (given,), {})


def open_worker(
    runner: str, artifact: Artifact, threads: int, timeout_s: float, options: Mapping[str, Any] | None = None
) -> Worker:
    """A worker for an artifact, in the Python that the runner wants; to be used as a context manager."""
    python = getattr(RUNNERS.get(runner), "interpreter", lambda: None)()
    return Worker(runner, artifact.path, threads, timeout_s, options, python=python)


def run_once(
    runner: str, artifact: Artifact, image: Image8, threads: int, options: Mapping[str, Any] | None = None
) -> Array:
    """The raw output of one picture (H, W, 3), in the artifact's dtype and layout."""
    source, result = artifact.inputs[0], artifact.outputs[0]
    with open_worker(runner, artifact, threads, TIMEOUT_S, options) as worker:
        return worker.run({source.name: pixels.to_tensor(image, source)})[result.name]


def prove(artifact: Artifact, references: References, threads: int) -> list[ParityReport | Skipped]:
    """The parity of an artifact by every runner that can be used here; the first entry is the one that counts most.

    A runner that crashes, hangs, refuses the file or fails otherwise is a parity that failed, with the runtime's words.
    """
    reports: list[ParityReport | Skipped] = []
    skipped: list[ParityReport | Skipped] = []
    for runner, obstacle in runners_of(artifact.target):
        what = f"{artifact.key} by {runner.name}"
        if obstacle is not None:
            skipped.append(Skipped(what, obstacle))
            continue
        try:
            reports += _proofs(runner, artifact, references, threads)
        except NotInstalled as error:
            skipped.append(Skipped(what, str(error)))
    if not reports and not skipped:
        return [Skipped(artifact.key, f"no runner of clearport runs {artifact.target} files")]
    return reports + skipped


def _proofs(runner: Runner, artifact: Artifact, references: References, threads: int) -> list[ParityReport]:
    """Against what judges the artifact and, for int8, against PyTorch too: the error of quantization itself."""
    reference = references.int8 if artifact.precision == "int8" else references.float
    assert reference is not None, f"{artifact.key} without a quantized reference"
    limits = references.tolerance(artifact, artifact.outputs[0])
    try:
        output = run_once(runner.name, artifact, references.picture, threads)
        proofs = [parity.compare(output, artifact, reference, runner.method, limits)]
        if reference is not references.float:
            allowed = parity.tolerance_of_quantization(reference, references.float)
            proofs.append(parity.compare(output, artifact, references.float, runner.method, allowed))
    except NotInstalled:
        raise
    except problems.UNEXPECTED as error:
        words = (problems.told(error, f"running {artifact.key} by {runner.name}"),)
        return [
            ParityReport(False, None, None, None, None, runner.method, reference.name, "real values", limits, words)
        ]
    return proofs
