"""Proof by steps: files of a small network, correct and with faults, in every runtime that outputs tensors."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from clearport.base import Artifact, Graph, IODType, Options, Size, TensorSpec
from clearport.export.onnxruntime.target import onnx_form
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.pictures.probe import probe_picture
from clearport.pipeline.criteria import PHOTO, PROBE, QDQ, Exam
from clearport.pipeline.diagnosis.levels import Levels
from clearport.pipeline.diagnosis.steps import FileRun, Steps
from clearport.pipeline.goldens import Goldens, make_goldens
from clearport.pipeline.prove import Judged, judge, network_artifact
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.ranges import averages, ends
from clearport.registry import RUNNERS, TARGETS, missing
from clearport.runtime import overflow
from clearport.runtime.steps.taps import Taps
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
    with written(doubling_graph((SIDE, SIDE)), tmp_path_factory.mktemp("steps"), RUNS) as found:
        yield found


@contextmanager
def written(network: Graph, folder: Path, targets: Collection[str], io: IODType = "uint8") -> Iterator[Made]:
    """The int8 files of a network."""
    graph = averages.as_convolutions(ends.from_zero(network))
    picture = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    quantized = quantize(graph, [picture], QuantizeOptions(equalization=(0.0,), search=False, compensate=False))
    reference, kept = folder / "reference_qdq.onnx", folder / "network.onnx"
    reference.write_bytes(graphs.to_bytes(onnx_form(target_graph(graph, quantized, "int8"), Options(io="float32"))[0]))
    kept.write_bytes(graphs.to_bytes(graph.model))
    artifacts = {}
    for name in targets:
        target = TARGETS.get(name)
        if not missing(target.requires):
            (folder / name).mkdir()
            files = target.lower(target_graph(graph, quantized, "int8"), Options(SIZE, io=io), folder / name)
            artifacts[name] = next(each for each in files if isinstance(each, Artifact))
    own = network_artifact(reference, quantized.graph.inputs, quantized.graph.outputs)
    itself = network_artifact(kept, graph.inputs, graph.outputs)
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


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_output_of_real_values_is_a_step_too(tmp_path: Path, name: str) -> None:
    with written(doubling_graph((SIDE, SIDE)), tmp_path, [name], "float32") as made:
        (report,) = judged(made, name).steps
        assert (report.passed, report.steps, report.unseen) == (True, 5, 0), report.failures


def test_a_fault_behind_the_last_int8_tensor_is_found(tmp_path: Path) -> None:
    """The levels of the last tensor are right, and what is made of them is not."""
    with written(doubling_graph((SIDE, SIDE)), tmp_path, ["onnxruntime"], "float32") as made:
        artifact = made.artifacts["onnxruntime"]
        model = onnx.load(artifact.path)
        (last,) = (node for node in model.graph.node if node.output[0] == "restored")
        last.input[1] = _scaled(model, last.input[1], 0.97)
        onnx.save(model, artifact.path)
        (report,) = judged(made, "onnxruntime", exams=unjudged(made, artifact)).steps
        assert [failure.split(":")[0] for failure in report.failures] == [
            "output restored, from the levels before it"
        ] * 2


@pytest.mark.parametrize(("factor", "passes"), [(1.0, True), (1.02, False)])
def test_a_float_end_is_proven_from_the_levels_before_it(tmp_path: Path, factor: float, passes: bool) -> None:
    with written(with_float_end(), tmp_path, ["onnxruntime"]) as made:
        artifact = made.artifacts["onnxruntime"]
        model = onnx.load(artifact.path)
        (last,) = (node for node in model.graph.node if node.output[0] == "scores")
        last.input[1] = _scaled(model, last.input[1], factor)
        onnx.save(model, artifact.path)
        (report,) = judged(made, "onnxruntime", exams=unjudged(made, artifact)).steps
        assert report.steps > 0
        assert report.passed == passes, report.failures
        assert all("output scores, from the levels before it" in failure for failure in report.failures)


def with_float_end() -> Graph:
    """Conv, Relu, and scores that stay float: a Softmax and a product."""
    rng = np.random.default_rng(7)
    constants = {"w1": rng.normal(0, 0.01, (8, 3, 3, 3)), "b1": rng.normal(0, 1, 8), "three": np.array(3.0)}
    nodes = [
        onnx.helper.make_node("Conv", ["image", "w1", "b1"], ["conv1.out"], "conv1", pads=[1] * 4),
        onnx.helper.make_node("Relu", ["conv1.out"], ["relu1.out"], "relu1"),
        onnx.helper.make_node("Softmax", ["relu1.out"], ["softmax1.out"], "softmax1", axis=1),
        onnx.helper.make_node("Mul", ["softmax1.out", "three"], ["scores"], "mul1"),
    ]
    source = TensorSpec("image", (1, 3, SIDE, SIDE))
    result = TensorSpec("scores", (1, 8, SIDE, SIDE), kind="map", value_range=None)
    ends = [onnx.helper.make_tensor_value_info(s.name, onnx.TensorProto.FLOAT, list(s.shape)) for s in (source, result)]
    arrays = [onnx.numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in constants.items()]
    body = onnx.helper.make_graph(nodes, "small", ends[:1], ends[1:], arrays)
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", graphs.OPSET)], ir_version=10)
    return graphs.check(Graph(ir.from_proto(model), (source,), (result,), "small", 1))


def test_tensors_whose_axes_lie_otherwise_in_a_file_are_compared_in_the_order_of_the_graph(tmp_path: Path) -> None:
    """TFLite writes no Transpose, and what follows keeps the order: rows and columns of a square are not the same."""
    with written(turning(), tmp_path, ["tflite"]) as made:
        for report in judged(made, "tflite").steps:
            assert report.passed, report.failures
            assert (report.steps, report.unseen, report.differing) == (3, 2, 0)  # no tensor of the Transposes' own


def turning() -> Graph:
    """Conv, a transposition of rows and columns, factors that differ by column, and back."""
    rng = np.random.default_rng(7)
    constants = {"w1": rng.normal(0, 0.01, (3, 3, 3, 3)), "b1": rng.normal(0, 1, 3), "by": rng.random(SIDE) + 0.5}
    nodes = [
        onnx.helper.make_node("Conv", ["image", "w1", "b1"], ["conv1.out"], "conv1", pads=[1] * 4),
        onnx.helper.make_node("Transpose", ["conv1.out"], ["turned"], "turn", perm=[0, 1, 3, 2]),
        onnx.helper.make_node("Mul", ["turned", "by"], ["mul1.out"], "mul1"),
        onnx.helper.make_node("Mul", ["mul1.out", "by"], ["mul2.out"], "mul2"),
        onnx.helper.make_node("Transpose", ["mul2.out"], ["restored"], "back", perm=[0, 1, 3, 2]),
    ]
    specs = [TensorSpec(name, (1, 3, SIDE, SIDE)) for name in ("image", "restored")]
    ends = [onnx.helper.make_tensor_value_info(s.name, onnx.TensorProto.FLOAT, list(s.shape)) for s in specs]
    arrays = [onnx.numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in constants.items()]
    body = onnx.helper.make_graph(nodes, "turning", ends[:1], ends[1:], arrays)
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", graphs.OPSET)], ir_version=10)
    return graphs.check(Graph(ir.from_proto(model), (specs[0],), (specs[1],), "turning", 1))


def _scaled(model: onnx.ModelProto, name: str, factor: float) -> str:
    """A new constant of a file, ``factor`` times another one."""
    (old,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    array = onnx.numpy_helper.to_array(old) * np.float32(factor)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), f"{name}.scaled"))
    return f"{name}.scaled"


def unjudged(made: Made, artifact: Artifact) -> list[Exam]:
    """Exams whose ends pass whatever they are: steps alone are left."""
    return [replace(exam, criteria=(), beside=()) for exam in made.exams(artifact)]


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
    (report,) = judged(made, name, artifact, unjudged(made, artifact)).steps
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
    whole = judged(made, "tflite").steps
    monkeypatch.setattr("clearport.pipeline.diagnosis.steps.GROUP_BYTES", 1)
    assert judged(made, "tflite").steps == whole


@pytest.mark.parametrize("harmful", [{"conv1.out"}, {"conv1.out", "add1.out"}])
def test_tensors_whose_reading_changes_outputs_are_proven_with_later_steps(
    made: Made, monkeypatch: pytest.MonkeyPatch, harmful: set[str]
) -> None:
    def changing(run: FileRun, grids: Taps, read: Callable[..., Levels] = FileRun.read) -> Levels:
        found = read(run, grids)
        return replace(found, changed=("it changes",)) if found.levels.keys() & harmful else found

    monkeypatch.setattr(FileRun, "read", changing)
    (report,) = judged(made, "onnxruntime").steps
    assert (report.failures, report.steps, report.unseen) == ((), 5 - len(harmful), len(harmful))
    monkeypatch.setattr("clearport.pipeline.diagnosis.steps.MOST_HIDDEN", len(harmful) - 1)
    assert judged(made, "onnxruntime").steps[0].failures == ("it changes",)


def test_a_reference_that_failed_once_proves_the_next_file(made: Made) -> None:
    judged(made, "onnxruntime")
    opened = made.steps._opened
    assert opened is not None
    opened.worker.kill()
    assert [report.passed for report in judged(made, "onnxruntime").steps] == [False]
    assert [report.passed for report in judged(made, "onnxruntime").steps] == [True]


def test_a_file_that_hides_its_tensors_is_proven_by_the_one_beside_it_with_the_same_bits(
    made: Made, tmp_path: Path
) -> None:
    from clearport.export.onnxruntime.target import ort_bytes

    if missing(("onnxruntime",)):
        pytest.skip("onnxruntime is not installed")
    if overflow.onnxruntime_does():
        pytest.skip("this CPU has no VNNI instructions: int8 .ort files overflow on it")
    source, beside = made.artifacts["onnxruntime"], tmp_path / "small.onnx"
    hidden = replace(source, path=tmp_path / "small_ort.ort", variant="ort")
    hidden.path.write_bytes(ort_bytes(source.path.read_bytes()))
    doubted = strict(made.exams(hidden))
    assert judged(made, "onnxruntime", hidden, doubted).steps == (), "it is alone"
    beside.write_bytes(source.path.read_bytes())
    found = judged(made, "onnxruntime", hidden, doubted)
    assert [(report.sample, report.passed) for report in found.steps] == [(PHOTO, True), (PROBE, True)]
    assert found.steps[0].method.endswith("the .onnx file, whose bits it gives")
    assert all(report.passed for reports in found.reports for report in reports)
    assert judged(made, "onnxruntime", hidden).steps == (), "its ends leave no doubt"
    beside.write_bytes(spoiled(made, "onnxruntime", "wrong bias", tmp_path).path.read_bytes())
    assert judged(made, "onnxruntime", hidden, doubted).steps == (), "it gives other bits"
