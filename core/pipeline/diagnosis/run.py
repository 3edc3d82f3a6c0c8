"""Every int8 layer of a bundle in every runtime: which deviates from the reference, and the cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport import problems
from clearport.bundle.diagnosis import Diagnosis, Layer, Seen, Witness
from clearport.bundle.folder import Bundle, verify_folder
from clearport.errors import BadInput, NotInstalled
from clearport.pipeline.diagnosis.advice import advise
from clearport.pipeline.diagnosis.measure import Truth, layer_of, sqnr
from clearport.pipeline.diagnosis.steps import FileRun, Steps
from clearport.pipeline.exams import exams_of
from clearport.pipeline.isolated.workers import TIMEOUT_S, open_worker
from clearport.pipeline.select import select
from clearport.protocols import no_progress
from clearport.runtime import pixels
from clearport.runtime.parity import ratio_db
from clearport.runtime.steps.report import MOST_LEVELS, MOST_OFF
from clearport.runtime.usable import runners_of, too_large

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Array, Artifact
    from clearport.bundle.manifest import ArtifactRecord
    from clearport.pipeline.criteria import Exam
    from clearport.protocols import Progress, Runner
    from clearport.runtime.steps.reference import Difference

PART_BYTES = 64 << 20
"""Bytes of levels held at a time, each for reference and runtimes; real values take four times that."""

WAYS: Mapping[str, tuple[tuple[str, Mapping[str, Any]], ...]] = {
    "litert": (("", {}), ("without XNNPACK", {"xnnpack": False})),
    "onnxruntime": (("", {}), ("without fusions", {"optimize": False})),
}
"""Runner -> variants with options, for runtimes that are examined several times."""


@dataclass
class _Subject:
    """A file in a runtime, with the results so far."""

    record: ArtifactRecord
    artifact: Artifact
    runner: Runner
    way: str
    options: Mapping[str, Any]
    seen: list[Seen] = field(default_factory=list)
    remark: str = ""

    @property
    def title(self) -> str:
        return f"{self.runner.title} {self.way}".strip()


def diagnose_bundle(
    folder: Path,
    progress: Progress = no_progress,
    *,
    picture: str = "probe",
    targets: Sequence[str] = (),
    runtimes: Sequence[str] = (),
    threads: int = 1,
) -> Diagnosis:
    """Compare every int8 layer in every runtime that can output it.

    Args:
        folder: the bundle.
        picture: the golden picture, ``photo`` or ``probe``.
        targets: targets whose files are examined; empty for all.
        runtimes: names of runners; empty for all.
        threads: threads of each runtime.

    Raises:
        BadInput: there is no such bundle, it has no int8 file, its files were changed, or nothing matches.
    """
    bundle = Bundle.load(folder)
    about = bundle.manifest.quantization
    if about is None:
        raise BadInput(f"{folder}: it has no int8 files; only layers of int8 files can be compared")
    wrong = [str(each) for each in verify_folder(folder) if each.path == about.reference]
    if wrong:
        raise BadInput(f"{folder}: {wrong[0]}: it cannot serve as reference; export again")
    records = select(bundle, tuple(targets), ("int8",))
    exam = _exam(bundle, records, picture)
    unseen: dict[str, str] = {}
    subjects = list(_subjects(bundle, records, exam, runtimes, unseen))
    if not subjects:
        why = "; ".join(f"{key}: {reason}" for key, reason in unseen.items()) or "no runtime matches"
        raise BadInput(f"{folder}: no runtime here can output intermediate tensors: {why}")
    with Steps(bundle.path(about.reference), threads) as steps:
        layers, remark = _compare(steps, exam, subjects, threads, progress)
    named = {layer.name: layer for layer in layers}
    model = bundle.manifest.model
    return Diagnosis(
        network=f"{model.name} x{model.scale}",
        picture=f"{exam.name}, {exam.sides[0]}x{exam.sides[1]}",
        layers=tuple(layers),
        witnesses=tuple(_witness(subject, subjects, named) for subject in subjects),
        unseen=unseen,
        remark=remark,
    )


def _exam(bundle: Bundle, records: Sequence[ArtifactRecord], picture: str) -> Exam:
    found = {exam.name: exam for record in records for exam in exams_of(bundle, record)}
    if picture not in found:
        raise BadInput(f"--picture {picture!r}: the bundle has {', '.join(found) or 'no golden picture'}")
    return found[picture]


def _subjects(
    bundle: Bundle, records: Sequence[ArtifactRecord], exam: Exam, runtimes: Sequence[str], unseen: dict[str, str]
) -> Iterator[_Subject]:
    for record in records:
        artifact = bundle.artifact(record)
        for runner, obstacle in runners_of(record):
            if runtimes and runner.name not in runtimes:
                continue
            hides = getattr(runner, "hides", None)
            hidden = "the runtime cannot output intermediate tensors" if hides is None else hides(artifact.path)
            why = obstacle or hidden or too_large(runner, *exam.sides)
            if why is not None:
                unseen[f"{record.key} by {runner.title}"] = why
                continue
            for way, options in WAYS.get(runner.name, (("", {}),)):
                yield _Subject(record, artifact, runner, way, options)


def _compare(
    steps: Steps, exam: Exam, subjects: Sequence[_Subject], threads: int, progress: Progress
) -> tuple[list[Layer], str]:
    """Compare the layers, in parts of the network, and add each subject's results."""
    reference = steps.reference
    names = [name for name in reference.grids if name not in reference.inputs]
    count = sum(reference.size(name, *exam.sides) for name in names)
    layers: list[Layer] = []
    with Truth(steps, exam.sample, threads) as truth:
        progress("rounding layers one by one", 0, 0)
        losses = truth.losses(count)
        parts = list(_parts(steps, names, exam))
        for place, part in enumerate(parts):
            progress("comparing layers", place, len(parts))
            levels, exact = truth.levels(part), truth.unrounded(part)
            for name in part:
                grid = reference.grids[name].scale, reference.grids[name].zero_point
                operators = reference.operators(name, reference.grids)
                layers.append(layer_of(name, operators, levels[name], exact[name], grid, losses.get(name)))
            for subject in subjects:
                _look(steps, exam, subject, part, exact, threads)
    missing = (
        ""
        if losses
        else f"each layer's share of the loss was not measured: it would take {len(names)} runs at this size"
    )
    return layers, missing


def _parts(steps: Steps, names: Sequence[str], exam: Exam) -> Iterator[list[str]]:
    """Consecutive tensors that fit ``PART_BYTES``."""
    part: list[str] = []
    for name in names:
        if part and sum(steps.reference.size(each, *exam.sides) for each in (*part, name)) > PART_BYTES:
            yield part
            part = []
        part.append(name)
    yield part


def _look(
    steps: Steps, exam: Exam, subject: _Subject, part: Sequence[str], exact: Mapping[str, Array], threads: int
) -> None:
    """Add a runtime's results for some layers, or the reason of its failure."""
    if subject.remark.startswith(_FAILED):
        return
    try:
        with open_worker(subject.runner.name, subject.artifact, threads, TIMEOUT_S, subject.options) as worker:
            inputs = pixels.tensors(exam.sample, subject.artifact.inputs)
            shipped = worker.outputs(inputs, [spec.name for spec in subject.artifact.outputs])
            found = FileRun(steps, worker, subject.artifact, exam, shipped).differences(part)
    except NotInstalled as error:
        subject.remark = f"{_FAILED}: {error}"
        return
    except problems.UNEXPECTED as error:
        subject.remark = f"{_FAILED}: {problems.told(error, f'running {subject.record.key} by {subject.runner.name}')}"
        return
    if found.changed:
        subject.remark = found.changed[0]
    for name in part:
        if name in found.compared:
            grid = steps.reference.grids[name].scale, steps.reference.grids[name].zero_point
            subject.seen.append(seen_of(name, found.compared[name], found.levels[name], exact[name], grid))


_FAILED = "it failed"


def seen_of(name: str, own: Difference, levels: Array, exact: Array, grid: tuple[float, int]) -> Seen:
    """The record of a layer in a runtime."""
    most, count = int(own.levels.max(initial=0)), own.values
    off = own.differing.sum() if own.off is None else own.off.sum()
    tied = own.off is None and int(own.differing.sum()) <= int(MOST_OFF * count)
    noise = float(own.squares.sum()) / count
    wrong = np.flatnonzero(own.levels > MOST_LEVELS)
    return Seen(
        name=name,
        levels=most,
        differing=float(own.differing.sum() / count),
        off=0.0 if tied else float(off / count),
        own_db=round(ratio_db(float(np.var(levels.astype(np.float64))), noise), 2) if noise else None,
        sqnr_db=sqnr(levels, exact, grid),
        channels=tuple(int(channel) for channel in wrong) if 0 < len(wrong) < len(own.levels) else (),
        passed=most <= MOST_LEVELS and (tied or int(off) <= int(MOST_OFF * count)),
    )


def _witness(subject: _Subject, subjects: Sequence[_Subject], layers: Mapping[str, Layer]) -> Witness:
    wrong = [each for each in subject.seen if not each.passed]
    wrong.sort(key=lambda each: each.levels <= MOST_LEVELS)  # errors before other rounding
    why = todo = ""
    if wrong:
        right = [
            other.title
            for other in subjects
            if other is not subject and any(each.name == wrong[0].name and each.passed for each in other.seen)
        ]
        why, todo = advise(wrong[0], layers[wrong[0].name], tuple(dict.fromkeys(right)))
    return Witness(
        artifact=subject.record.key,
        runtime=subject.title,
        layers=tuple(subject.seen),
        parted=wrong[0].name if wrong else "",
        wrong=bool(wrong) and wrong[0].levels > MOST_LEVELS,
        why=why,
        todo=todo,
        also=tuple(each.name for each in wrong[1:]),
        remark=subject.remark,
    )
