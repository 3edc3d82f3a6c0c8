"""The candidates of a bench: a bundle's artifacts, PyTorch as their baseline, and another bundle's artifacts to compare
with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pipeline.benching.values import BASELINE
from clearport.pipeline.exams import exam_of, sample_of
from clearport.pipeline.prove import network_of
from clearport.pipeline.select import select
from clearport.runtime import pixels
from clearport.runtime.devices.device import Job
from clearport.runtime.parity import merged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clearport.base import Artifact
    from clearport.bundle.manifest import ArtifactRecord
    from clearport.graph.feeds import Sample
    from clearport.pipeline.benching.values import BenchRequest
    from clearport.pipeline.criteria import Exam
    from clearport.runtime.devices.device import Row, Unit
    from clearport.runtime.parity import ParityReport


@dataclass(frozen=True)
class Candidate:
    """An artifact with its inputs and expected outputs.

    Attributes:
        label: its name in rows.
        artifact: the file.
        sample: the golden inputs.
        exam: the expected outputs; None if there are none.
        baseline: label of the candidate that its time is divided by.
        host_only: whether it stays on this machine.
    """

    label: str
    artifact: Artifact
    sample: Sample
    exam: Exam | None
    baseline: str | None
    host_only: bool = False


def candidates_of(bundle: Bundle, request: BenchRequest) -> list[Candidate]:
    """PyTorch, the requested artifacts, and their counterparts in the other bundle.

    Raises:
        BadInput: a bundle has no such artifact, or the input sizes differ.
    """
    sample = sample_of(bundle)
    network = network_of(bundle)
    records = select(bundle, request.targets, request.precisions)
    theirs = _against(request.against, records, sample) if request.against else []
    pairs = {candidate.artifact.key: candidate.label for candidate in theirs}
    own = [
        Candidate(r.key, bundle.artifact(r), sample, exam_of(bundle, r), pairs.get(r.key, BASELINE)) for r in records
    ]
    baseline = Candidate(BASELINE, network, sample, None, None, host_only=True)
    return [baseline, *own, *theirs]


def _against(folder: Path, records: Sequence[ArtifactRecord], sample: Sample) -> list[Candidate]:
    other = Bundle.load(folder)
    given = sample_of(other)
    theirs, ours = ([value.shape for value in each.values()] for each in (given, sample))
    if theirs != ours:
        sizes = " and ".join(", ".join("x".join(map(str, s)) for s in each) for each in (theirs, ours))
        raise BadInput(f"--against {folder}: inputs of {sizes} cannot be compared; export both for one --size")
    keys = {record.key for record in records}
    found = [
        Candidate(f"{r.key} of {folder.name}", other.artifact(r), given, exam_of(other, r), BASELINE)
        for r in other.artifacts
        if r.key in keys
    ]
    if not found:
        raise BadInput(f"--against {folder}: it has none of {', '.join(sorted(keys))}")
    return found


def jobs_for(candidates: Sequence[Candidate], on_host: bool, unit: Unit) -> list[Job]:
    """The jobs of one unit of a device; PyTorch runs on the CPU of this machine only."""
    here = [s for s in candidates if not s.host_only or (on_host and unit == "cpu")]
    there = {candidate.label for candidate in here}
    return [
        Job(
            artifact=candidate.artifact,
            unit=unit,
            inputs=pixels.tensors(candidate.sample, candidate.artifact.inputs),
            label=candidate.label,
            baseline=candidate.baseline if candidate.baseline in there else None,
        )
        for candidate in here
    ]


def golden_of(candidate: Candidate, row: Row) -> ParityReport | Skipped:
    """A device's outputs compared with the expected ones."""
    if candidate.label == BASELINE:
        return Skipped(row.key, "PyTorch made the golden picture")
    if isinstance(row.cell, Skipped):
        return Skipped(row.key, "it did not run")
    if any(spec.name not in row.outputs for spec in candidate.artifact.outputs):
        why = row.cell.facts.get("no_output", "the device returned no output")
        return Skipped(row.key, "nothing ran" if row.cell.kind == "compiler-estimate" else str(why))
    if candidate.exam is None:
        return Skipped(row.key, "it has no golden picture")
    exam = candidate.exam
    if row.unit == "npu":
        exam = exam.for_npu(candidate.artifact, half=_in_half_precision(row))
    return merged(exam.judge(row.outputs, candidate.artifact, f"ran on {row.device} by {row.runner}"))


def _in_half_precision(row: Row) -> bool:
    """Whether an NPU, which may lack float32, reports that it ran a file in float16."""
    assert not isinstance(row.cell, Skipped)
    told = getattr(row.cell, "executed_precision", None) or row.cell.facts.get("executed_precision")
    return told == "float16"
