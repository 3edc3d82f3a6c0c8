"""Proof by steps: files of a small network in every runtime that shows its tensors, right and with faults."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from clearport.base import Artifact, Options, Size
from clearport.export.onnxruntime.target import onnx_form
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.pipeline.criteria import PHOTO, PROBE, QDQ, Exam
from clearport.pipeline.diagnosis.steps import Steps
from clearport.pipeline.goldens import Goldens, make_goldens, probe_picture
from clearport.pipeline.prove import Judged, judge, network_artifact
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.ranges import averages, ends
from clearport.registry import RUNNERS, TARGETS, missing
from clearport.runtime.tolerance import Tolerance
from device_tests import faults
from tests.export.conftest import doubling_graph

SIDE = 24
SIZE = Size(SIDE, SIDE)
RUNS = {
    "tflite": "litert",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "coreml": "milref",
    "coreai": "coreai",
}
SLOW = pytest.mark.slow
FAST = {("tflite", "wrong scale"), ("onnxruntime", "swapped channels"), ("openvino", "wrong bias")}
NOT_EQUAL = Tolerance("an end that is never near enough", max_abs=0.0, min_exact_share=1.0)


@dataclass(frozen=True)
class Made:
    """The int8 files of a network by target, the reference of its steps, and what the ends are judged by."""

    artifacts: dict[str, Artifact]
    steps: Steps
    goldens: Goldens

    def exams(self, artifact: Artifact) -> list[Exam]:
        return [found.exam(artifact) for found in self.goldens.all]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("steps")
    graph = averages.as_convolutions(ends.from_zero(doubling_graph((SIDE, SIDE))))
    picture = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    quantized = quantize(graph, [picture], QuantizeOptions(equalization=(0.0,), search=False, compensate=False))
    reference, network = folder / "reference_qdq.onnx", folder / "network.onnx"
    reference.write_bytes(graphs.to_bytes(onnx_form(target_graph(graph, quantized, "int8"), Options(io="float32"))[0]))
    network.write_bytes(graphs.to_bytes(graph.model))
    artifacts = {}
    for name in RUNS:
        target = TARGETS.get(name)
        if not missing(target.requires):
            (folder / name).mkdir()
            written = target.lower(target_graph(graph, quantized, "int8"), Options(SIZE), folder / name)
            artifacts[name] = next(each for each in written if isinstance(each, Artifact))
    own = network_artifact(reference, quantized.graph.inputs, quantized.graph.outputs)
    itself = network_artifact(network, graph.inputs, graph.outputs)
    pictures = {PHOTO: picture, PROBE: probe_picture(SIZE)}
    goldens = make_goldens(pictures, graph, itself, own, 1)
    with Steps(reference, 1) as steps:
        yield Made(artifacts, steps, goldens)


def judged(made: Made, name: str, artifact: Artifact | None = None, exams: list[Exam] | None = None) -> Judged:
    if name not in made.artifacts:
        pytest.skip(f"{name} is not installed")
    found = artifact or made.artifacts[name]
    return judge(RUNNERS.get(RUNS[name]), found, exams or made.exams(found), 1, made.steps)


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW if name == "coreml" else ()) for name in RUNS])
def test_every_step_of_a_right_file_is_proven(made: Made, name: str) -> None:
    found = judged(made, name)
    (report,) = found.steps
    assert report.passed, report.failures
    assert (report.sample, report.steps, report.unseen, report.output_equal) == (PROBE, 5, 0, 1.0)
    assert report.levels <= 1
    assert report.values == SIDE * SIDE * (8 + 12 + 12 + 12 + 12)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=() if (name, kind) in FAST else SLOW)
        for name in faults.TARGETS
        for kind in faults.KINDS
    ],
)
def test_a_fault_is_found_in_its_step_and_in_no_other(made: Made, name: str, kind: str, tmp_path: Path) -> None:
    """Also where the end would be judged by its distance to PyTorch alone."""
    artifact = spoiled(made, name, kind, tmp_path)
    loose = [replace(exam, criteria=(), beside=()) for exam in made.exams(artifact)]
    (report,) = judged(made, name, artifact, loose).steps
    assert not report.passed
    steps = {failure.split(":")[0] for failure in report.failures}
    assert steps == {"step conv2.out"}, report.failures


def spoiled(made: Made, name: str, kind: str, folder: Path) -> Artifact:
    """A copy of a file with a fault in its second convolution."""
    if name not in made.artifacts:
        pytest.skip(f"{name} is not installed")
    source = made.artifacts[name]
    path = folder / source.path.name
    (shutil.copytree if source.path.is_dir() else shutil.copy)(source.path, path)
    layers, save = faults.LAYERS[name](path)
    layer = next(layer for layer in layers if layer.name.startswith("conv2"))
    faults.KINDS[kind](layer, 3, 7)
    save()
    return replace(source, path=path)


def strict(exams: list[Exam]) -> list[Exam]:
    """Exams whose ends fail the QDQ model's limits: its picture is taken to be another one."""
    return [
        replace(
            exam,
            criteria=tuple(
                replace(c, reference=replace(c.reference, levels=255 - c.reference.levels), tolerance=NOT_EQUAL)
                if c.reference.name == QDQ
                else c
                for c in exam.criteria
            ),
        )
        for exam in exams
    ]


def test_proven_steps_take_the_place_of_limits_against_the_reference_only(made: Made) -> None:
    """Both pictures then have their steps proven; the distance to PyTorch is judged on both, also on the probe."""
    exams = strict(made.exams(made.artifacts["tflite"]))
    found = judged(made, "tflite", exams=exams)
    assert [report.sample for report in found.steps] == [PHOTO, PROBE]
    assert all(report.passed for reports in found.reports for report in reports)
    assert {report.reference for report in found.reports[1]} == {QDQ, "ONNX file"}
    far = [replace(e, beside=tuple(replace(c, tolerance=NOT_EQUAL) for c in e.beside)) for e in exams]
    found = judged(made, "tflite", exams=far)
    assert [[report.passed for report in reports] for reports in found.reports] == [[True, False], [True, False]]


def test_a_fault_that_only_a_step_shows_keeps_the_end_failed(made: Made, tmp_path: Path) -> None:
    artifact = spoiled(made, "tflite", "wrong bias", tmp_path)
    exams = [replace(exam, beside=()) for exam in strict(made.exams(artifact))]
    found = judged(made, "tflite", artifact, exams)
    assert not any(report.passed for report in found.steps)
    assert not any(report.passed for reports in found.reports for report in reports if report.reference == QDQ)


def test_tensors_in_groups_are_proven_alike(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = judged(made, "tflite").steps
    monkeypatch.setattr("clearport.pipeline.diagnosis.steps.GROUP_BYTES", 1)
    assert judged(made, "tflite").steps == (whole,)


def test_a_file_that_hides_its_tensors_has_no_steps(made: Made, tmp_path: Path) -> None:
    from clearport.export.onnxruntime.target import ort_bytes

    source = made.artifacts["onnxruntime"]
    path = tmp_path / "small.ort"
    path.write_bytes(ort_bytes(source.path.read_bytes()))
    assert judged(made, "onnxruntime", replace(source, path=path)).steps == ()
