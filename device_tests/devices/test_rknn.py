"""Rockchip NPUs by Rockchip's own toolkit and its simulator, in the Python that CLEARPORT_RKNN_PYTHON names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

import clearport
from clearport.base import Precision, Skipped
from clearport.bundle.folder import Bundle
from clearport.errors import RuntimeFailure
from clearport.pictures.images import load_rgb
from clearport.pipeline.bench import bench_bundle
from clearport.pipeline.benching.values import BenchRequest
from clearport.runtime import pixels
from clearport.runtime.devices.device import Job, Row, Settings, SimulatedReport
from clearport.runtime.devices.rknn import family as on_rknn
from clearport.runtime.devices.rknn import form as rknn_form
from clearport.runtime.devices.rknn import toolkit as rknn_toolkit
from clearport.runtime.latency.record import LatencyPlan
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from clearport.base import Array

THERE = rknn_toolkit.environment()
pytestmark = pytest.mark.skipif(
    THERE.obstacle is not None, reason=f"{rknn_toolkit.VARIABLE} names no Python with {rknn_toolkit.PACKAGE}"
)
RESTORED = "restored"


def export(name: str, folder: Path, photos: Path) -> Bundle:
    return clearport.export(
        name,
        folder / name,
        targets=("onnxruntime",),
        precisions=("fp32", "int8"),
        size="64x64",
        calibration=photos,
        measure=False,
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """NCNet x3; not to be changed by a test."""
    return export("ncnet", tmp_path_factory.mktemp("rknn"), few_photos)


def job(bundle: Bundle, precision: Precision = "int8") -> Job:
    """An artifact and its golden picture."""
    artifact = bundle.artifact(bundle.find("onnxruntime", precision, ""))
    source = artifact.inputs[0]
    return Job(artifact, "npu", {source.name: pixels.to_tensor(load_rgb(bundle.path(bundle.golden("input"))), source)})


def simulated(address: str, task: Job, settings: Settings | None = None) -> tuple[SimulatedReport, Row]:
    with on_rknn.DEVICE.open(address, settings or Settings()) as session:
        assert session.facts()["chip"] == address.partition(":")[2]
        [row] = session.measure([task], LatencyPlan(), lambda *_: None)
    assert isinstance(row.cell, SimulatedReport), row.cell
    return row.cell, row


def as_written(path: Path, inputs: Mapping[str, Array]) -> Array:
    with Worker("onnxruntime", path, options={"optimize": False}) as worker:
        return worker.run(inputs)[RESTORED]


@pytest.mark.parametrize("chip", ["rk3588", "rk3566", "rk3576"])
def test_int8_is_the_reference_to_the_bit(small: Bundle, chip: str, tmp_path: Path) -> None:
    task = job(small)
    report, row = simulated(f"rknn:{chip}", task, Settings(keep=tmp_path))
    assert np.array_equal(row.outputs[RESTORED], as_written(task.artifact.path, task.inputs))
    assert report.facts["executed_precision"] == "int8"
    assert report.facts["optimization_level"] == 2
    assert "bit-identical" in report.facts["form_proof"]
    assert "simulator" in report.why
    assert report.operators_per_unit["npu"]["Conv"] == 8
    kept = Path(report.facts["kept"])
    assert kept == tmp_path / f"ncnet_x3_int8_{chip}.rknn"
    assert kept.read_bytes().startswith(b"RKNN")
    assert report.facts["memory_kib"]["weight"] * 1024 < kept.stat().st_size


def test_what_the_npu_does_not_take_is_the_toolkits_word(small: Bundle) -> None:
    """The RK3588's NPU leaves a DepthToSpace of 27 channels to the CPU, that of the RK3576 does not."""
    left, _ = simulated("rknn:rk3588", job(small))
    assert left.facts["left_to_cpu"] == ["DepthToSpace depth_to_space1"]
    assert left.operators_per_unit["cpu"] == {"DepthToSpace": 1}
    assert left.unit_ran == "npu+cpu"
    whole, _ = simulated("rknn:rk3576", job(small))
    assert whole.facts["left_to_cpu"] == []
    assert (whole.unit_ran, set(whole.operators_per_unit)) == ("npu", {"npu"})


def test_fp32_files_run_in_float16(small: Bundle) -> None:
    task = job(small, "fp32")
    report, row = simulated("rknn:rk3588", task)
    assert report.facts["executed_precision"] == "float16"
    difference = row.outputs[RESTORED] - as_written(task.artifact.path, task.inputs)
    assert 0 < np.abs(difference).max() < 3
    assert 10 * np.log10(255**2 / np.mean(difference**2)) > 55


@pytest.mark.parametrize(
    "network",
    ["ncnet", pytest.param("mobilederain", marks=pytest.mark.slow), pytest.param("iagc", marks=pytest.mark.slow)],
)
def test_golden_pictures_hold(small: Bundle, network: str, tmp_path: Path, few_photos: Path) -> None:
    bundle = small if network == "ncnet" else export(network, tmp_path, few_photos)
    outcome = bench_bundle(BenchRequest(bundle.folder, ("rknn:rk3588",)))
    assert outcome.failures() == []
    golden = {row.artifact: row.golden for row in outcome.rows if not isinstance(row.cell, Skipped)}
    assert set(golden) == {"onnxruntime/fp32", "onnxruntime/int8"}
    assert not any(isinstance(verdict, Skipped) for verdict in golden.values())
    assert {row.artifact for row in outcome.rows} - set(golden) == {"onnxruntime/fp32/ort", "onnxruntime/int8/ort"}
    assert not any(name.partition(".")[0] == "rknn" for name in sys.modules)


def test_an_operator_on_the_cpu_fails_where_the_npu_is_required(small: Bundle) -> None:
    request = BenchRequest(small.folder, ("rknn:rk3588",), precisions=("int8",))
    assert any("ran on: cpu+npu" in failure for failure in bench_bundle(request).failures("npu"))


def test_a_chip_without_float_says_so(small: Bundle) -> None:
    with on_rknn.DEVICE.open("rknn:rv1106", Settings()) as session:
        floating, whole = session.measure([job(small, "fp32"), job(small)], LatencyPlan(), lambda *_: None)
    assert isinstance(floating.cell, Skipped)
    assert "rv1106" in floating.cell.reason
    assert "not support do_quantization = False" in floating.cell.reason
    assert "\n" not in floating.cell.reason
    assert isinstance(whole.cell, SimulatedReport)


def test_the_toolkit_is_given_no_more_time_than_it_has(small: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second is too short for the import of PyTorch alone."""
    monkeypatch.setattr(on_rknn.RknnSession, "_form", lambda _, task, __: (task.artifact.path, {}))
    with on_rknn.DEVICE.open("rknn:rk3588", Settings(timeout_s=0.5)) as session:
        [row] = session.measure([job(small)], LatencyPlan(), lambda *_: None)
    assert isinstance(row.cell, Skipped)
    assert "rknn, opening" in row.cell.reason
    assert "gave no answer within 0.5 s" in row.cell.reason


def convert(path: Path, inputs: Mapping[str, Array]) -> Array:
    """What the simulator gives for a file as it is."""
    options: dict[str, Any] = {"chip": "rk3588"}
    with Worker("rknn", path, python=THERE.python, plugin=on_rknn.PLUGIN, options=options) as worker:
        return worker.run(inputs)[RESTORED]


@pytest.mark.parametrize("step", ["_shift", "_cut_lowest_level"])
def test_why_int8_zero_points_are_not_zero(
    small: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Where this fails the toolkit has learned to keep such tensors, and the form can do without this step."""
    task = job(small)
    assert simulated("rknn:rk3588", task)[0].facts["lowest_level_cut"], "nothing here has the zero point 128"
    monkeypatch.setattr(rknn_form, step, lambda *_: 0 if step == "_shift" else ())
    path = tmp_path / "from_zero.onnx"
    onnx.save(rknn_form.in_its_form(onnx.load(task.artifact.path), cut=True).model, path)
    difference = np.abs(convert(path, task.inputs).astype(int) - as_written(task.artifact.path, task.inputs))
    assert difference.mean() > (0.2 if step == "_shift" else 0.02)


def test_why_files_are_labeled_with_an_older_opset(small: Bundle) -> None:
    with pytest.raises(RuntimeFailure, match="Unsupport onnx opset 20, need <= 19"):
        convert(job(small).artifact.path, {})
