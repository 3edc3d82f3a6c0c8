"""Faults in files whose checksums are right: the proof alone must find each that changes anything."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import clearport
from clearport.base import Size
from clearport.bundle.folder import WEIGHTS, Bundle, write
from clearport.bundle.manifest import ArtifactRecord
from clearport.disk import files
from clearport.models import samples
from clearport.models.task_inputs import as_inputs
from clearport.pictures.images import load_rgb
from clearport.pipeline.exams import exams_of
from clearport.pipeline.goldens import fit
from clearport.pipeline.prove import run_each
from clearport.pipeline.verify import _run_weights, check_artifact
from clearport.reports.junit import Check
from clearport.runtime.parity import ParityReport
from clearport.runtime.tolerance import Tolerance
from clearport.runtime.usable import runners_of
from device_tests import faults

SIDE = 64
_NOTHING = Tolerance("whatever")


def planted(source: Bundle, folder: Path, record: ArtifactRecord, kind: str, random: np.random.Generator) -> Bundle:
    """A copy of ``source`` with a fault that changes the file; places where it would not are drawn again."""
    copy = Bundle.load(Path(shutil.copytree(source.folder, folder)))
    for _ in range(20):
        if faults.plant(copy, record, kind, random) is not None:
            return faults.sign_again(copy)
    raise AssertionError(f"no place for a fault: {kind} in {record.key}")


def judged(bundle: Bundle, key: str) -> list[Check]:
    """What ``verify`` says of one artifact."""
    return check_artifact(bundle, next(r for r in bundle.artifacts if r.key == key), 1)


def changes_something(one: Bundle, other: Bundle, key: str) -> bool:
    """Whether an artifact gives anything else on photos that are no goldens, by the first runtime that is here."""
    found = as_inputs([load_rgb(path) for path in samples.calibration()[:4]], one.manifest.model.task)
    photos = [fit(photo, Size(SIDE, SIDE)) for photo in found]
    outputs = []
    for bundle in (one, other):
        record = next(r for r in bundle.artifacts if r.key == key)
        runner = next(runner.name for runner, obstacle in runners_of(record) if obstacle is None)
        outputs.append(run_each(runner, bundle.artifact(record), [{"image": photo} for photo in photos], 1))
    return any(not np.array_equal(a["restored"], b["restored"]) for a, b in zip(*outputs, strict=True))


def candidates(bundle: Bundle) -> list[ArtifactRecord]:
    return [r for r in bundle.artifacts if r.target in faults.TARGETS and not r.variant]


def test_planted_faults_are_found(two_targets: Bundle, tmp_path: Path) -> None:
    """Each kind in a float and in an int8 file, by the limits alone: without what is kept of the export's outputs."""
    random = np.random.default_rng(4)
    records = candidates(two_targets)
    bare = two_targets.manifest.model_copy(
        update={"artifacts": tuple(a.model_copy(update={"replays": ()}) for a in two_targets.artifacts)}
    )
    source = Bundle(two_targets.folder, bare)
    for number, kind in enumerate([*faults.KINDS, *faults.KINDS]):
        record = records[(number + number // len(faults.KINDS)) % len(records)]
        spoiled = planted(source, tmp_path / str(number), record, kind, random)
        failed = [check for check in judged(spoiled, record.key) if check.passed is False]
        assert failed, (kind, record.key)
        if record.precision == "int8":
            steps = [check for check in failed if check.name.startswith("steps")]
            assert steps, (kind, record.key)
            assert all(check.message.startswith("step ") for check in steps)


def test_limits_that_a_liar_widened_are_not_believed(two_targets: Bundle, tmp_path: Path) -> None:
    record = next(r for r in two_targets.artifacts if r.key == "tflite/int8")
    spoiled = planted(two_targets, tmp_path / "b", record, "zero layer", np.random.default_rng(1))
    loose = spoiled.manifest
    goldens = tuple(g.model_copy(update={"tolerances": dict.fromkeys(g.tolerances, _NOTHING)}) for g in loose.goldens)
    lying = Bundle(spoiled.folder, loose.model_copy(update={"goldens": goldens}))
    (failed,) = [check for check in judged(lying, record.key) if check.passed is False and "probe" not in check.name][
        :1
    ]
    assert "QDQ reference" in failed.message
    assert "PyTorch" in failed.message


def test_weights_that_are_not_those_of_the_files_are_found(two_targets: Bundle, tmp_path: Path) -> None:
    """What ``eval`` compares with, and ``bench`` times, must be the network of the goldens."""
    copy = Bundle.load(Path(shutil.copytree(two_targets.folder, tmp_path / "b")))
    assert [(c.name, c.passed) for c in _run_weights(copy, 1)] == [("weights", True)]
    path = copy.path(WEIGHTS)
    with safe_open(path, "numpy") as kept:
        about = kept.metadata()
        tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118 - it is no mapping
    name = next(iter(sorted(tensors)))
    save_file({**tensors, name: tensors[name] * np.float32(1.02)}, path, about)
    model = copy.manifest.model.model_copy(update={"weights_sha256": files.file_sha256(path)})
    spoiled = write(copy.folder, copy.manifest.model_copy(update={"model": model}))
    failed = [check for check in clearport.verify(spoiled.folder) if check.passed is False]
    assert [(check.name, check.group) for check in failed] == [("weights", WEIGHTS)]
    assert "levels, allowed" in failed[0].message


def _of_before(record: ArtifactRecord) -> ArtifactRecord:
    """Its proofs as those of before: of 8-bit pictures, and not on the probe."""
    assert isinstance(record.parity, ParityReport)
    kept = [p for p in record.cross_checks if not (isinstance(p, ParityReport) and p.reference.endswith("probe"))]
    first, *others = [replace(p, basis="8-bit pictures") for p in (record.parity, *kept) if isinstance(p, ParityReport)]
    return record.model_copy(update={"parity": first, "cross_checks": tuple(others)})


def test_a_bundle_of_before_is_judged_by_what_it_has(two_targets: Bundle, tmp_path: Path) -> None:
    """Goldens without numbers and without a probe, int8 judged by the QDQ model alone, limits of those days."""
    old = [g for g in two_targets.manifest.goldens if g.input == "input"]
    goldens = tuple(
        g.model_copy(
            update={
                "values": None,
                "value_tolerances": {},
                "tolerances": {k: v for k, v in g.tolerances.items() if ("int8" in k) == (g.role == "int8")},
            }
        )
        for g in old
    )
    artifacts = tuple(map(_of_before, two_targets.artifacts))
    update = {"goldens": goldens, "artifacts": artifacts}
    bundle = Bundle(two_targets.folder, two_targets.manifest.model_copy(update=update))
    for record in candidates(bundle):
        (exam,) = exams_of(bundle, record)
        references = {criterion.reference.name for criterion in exam.criteria}
        assert references == ({"QDQ reference", "PyTorch fp32"} if record.precision == "int8" else {"PyTorch fp32"})
        checks = judged(bundle, record.key)
        assert all(check.passed is not False for check in checks), checks
        told = " ".join(check.message for check in checks)
        assert ("goldens with float values" in told) == (record.precision != "int8")


@pytest.mark.slow
@pytest.mark.parametrize(("network", "count"), [("ncnet", 36), ("mobilederain", 34), ("iagc", 30)])
def test_a_hundred_faults_at_random_places(network: str, count: int, tmp_path: Path) -> None:
    options = {"targets": faults.TARGETS, "size": f"{SIDE}x{SIDE}", "measure": False}
    source = clearport.export(network, tmp_path / network, **options)  # type: ignore[arg-type]
    random, records, kinds = np.random.default_rng(1), candidates(source), list(faults.KINDS)
    assert source.passed
    assert not [c for r in records for c in judged(source, r.key) if c.passed is False]
    found, missed, number = 0, [], 0
    while found < count and len(missed) < count:
        record, kind = records[number // len(kinds) % len(records)], kinds[number % len(kinds)]
        folder = tmp_path / "spoiled"
        spoiled = planted(source, folder, record, kind, random)
        if any(check.passed is False for check in judged(spoiled, record.key)):
            found += 1
        elif changes_something(source, spoiled, record.key):
            missed.append(f"{kind} in {record.key}")
        shutil.rmtree(folder)
        number += 1
    assert missed == []
