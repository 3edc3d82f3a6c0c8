"""NPUs that are not here: by the compiler (Arm Ethos-U) and by the simulator (Qualcomm HTP) of their makers."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearport
from clearport.base import Precision, Skipped
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput, NotInstalled, RuntimeFailure
from clearport.pictures.images import load_rgb
from clearport.registry import missing
from clearport.runtime.devices.device import EstimateReport, Job, Row, Settings, SimulatedReport, Unit
from clearport.runtime.devices.ethosu.family import DEVICE as ETHOS_U
from clearport.runtime.devices.ethosu.graph import FlatGraph
from clearport.runtime.devices.ethosu.report import ACCELERATED
from clearport.runtime.devices.htp.family import DEVICE as HTP
from clearport.runtime.latency.record import LatencyPlan
from clearport.runtime.sessions import qnn_library
from clearport.runtime.worker.worker import Worker
from device_tests.conftest import once

needs_qnn = pytest.mark.skipif(
    bool(missing((qnn_library.PACKAGE,))), reason="onnxruntime-qnn is not installed: pip install 'clearport[qnn]'"
)
CHIPS = ("u55-256", "u65-512", "u85-1024")


@pytest.fixture(scope="module")
def small(two_targets: Bundle) -> Bundle:
    """What NPUs take."""
    return two_targets


def job(bundle: Bundle, unit: Unit = "npu", target: str = "tflite", precision: Precision = "int8") -> Job:
    """An artifact and its golden picture."""
    artifact = bundle.artifact(bundle.find(target, precision, ""))
    source = artifact.inputs[0]
    picture = load_rgb(bundle.path(bundle.golden("input")))[None]
    return Job(artifact, unit, {source.name: picture.astype(source.dtype)})


def rows(address: str, jobs: Sequence[Job], settings: Settings | None = None) -> list[Row]:
    family = HTP if address.startswith("htp") else ETHOS_U
    with family.open(address, settings or Settings()) as session:
        assert session.facts()
        return list(session.measure(jobs, LatencyPlan(), lambda *_: None))


@pytest.mark.parametrize("chip", CHIPS)
def test_all_of_ncnet_runs_on_an_ethos_u(small: Bundle, chip: str, tmp_path: Path) -> None:
    [row] = rows(f"ethos-u:{chip}", [job(small)], Settings(keep=tmp_path))
    report = row.cell
    assert isinstance(report, EstimateReport), report
    assert (row.runner, row.device, row.artifact) == ("vela", f"ethos-u:{chip}", "tflite/int8")
    assert set(report.operators_per_unit) == {"npu"}
    assert report.fallbacks == ()
    assert report.facts["partitions"] == 1
    assert report.estimated_ms == report.npu_ms > 0
    assert "bit-identical" in report.facts["form_proof"]
    compiled = FlatGraph(Path(report.facts["kept"]))
    assert [compiled.kind(op) for op in compiled.operators] == [ACCELERATED]
    assert [p.name for p in tmp_path.iterdir()] == [f"ncnet_x3_int8_{chip}_vela.tflite"]


def test_larger_chips_are_faster(small: Bundle) -> None:
    estimates = [rows(f"ethos-u:{chip}", [job(small)])[0].cell for chip in CHIPS]
    times = [cell.estimated_ms for cell in estimates if isinstance(cell, EstimateReport)]
    assert len(times) == len(CHIPS)
    assert times == sorted(times, reverse=True)


def test_an_arena_that_does_not_fit_is_a_warning(small: Bundle) -> None:
    [row] = rows("ethos-u:u55-256,sram=20000", [job(small)])
    assert isinstance(row.cell, EstimateReport)
    [warning] = row.cell.warnings
    assert "MiB of SRAM" in warning
    assert "will not run" in warning


def test_an_arena_is_made_to_fit_where_vela_can(small: Bundle) -> None:
    [free] = rows("ethos-u:u55-256", [job(small)])
    assert isinstance(free.cell, EstimateReport)
    limit = free.cell.memory_bytes["sram"] - 1
    [tight] = rows(f"ethos-u:u55-256,sram={limit}", [job(small)])
    assert isinstance(tight.cell, EstimateReport)
    assert tight.cell.memory_bytes["sram"] <= limit
    assert tight.cell.warnings == ()
    assert tight.cell.estimated_ms >= free.cell.estimated_ms


def test_float_ends_are_left_to_the_cpu_and_priced(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> None:
    options: dict[str, Any] = {"targets": ("tflite",), "precisions": ("int8",), "calibration": few_photos}
    bundle = once(tmp_path_factory, "float_ends", io="float32", **options)
    [row] = rows("ethos-u:u85-256", [job(bundle)])
    report = row.cell
    assert isinstance(report, EstimateReport)
    assert report.operators_per_unit["cpu"] == {"DEQUANTIZE": 1, "QUANTIZE": 1}
    assert {f.operator for f in report.fallbacks} == {"DEQUANTIZE", "QUANTIZE"}
    assert all(f.priced_ms is not None and f.priced_ms > 0 and f.reason for f in report.fallbacks)
    assert report.estimated_ms == pytest.approx(report.npu_ms + sum(f.priced_ms or 0 for f in report.fallbacks))
    assert any("run on the CPU" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"unit": "gpu"}, "not a gpu"),
        ({"precision": "fp32"}, "int8 TFLite files"),
        ({"target": "onnxruntime"}, "int8 TFLite files"),
    ],
)
def test_what_an_ethos_u_does_not_take(small: Bundle, change: dict[str, str], reason: str) -> None:
    [row] = rows("ethos-u:u55-128", [job(small, **change)])  # type: ignore[arg-type]
    assert isinstance(row.cell, Skipped)
    assert reason in row.cell.reason


def test_a_setting_that_vela_does_not_know_is_its_own_words(small: Bundle) -> None:
    [row] = rows("ethos-u:u55-128,system=No_Such_System", [job(small)])
    assert isinstance(row.cell, Skipped)
    assert "No_Such_System" in row.cell.reason


@pytest.mark.slow
def test_ncnet_at_360x640_on_u85_1024_is_below_the_bar(tmp_path: Path, few_photos: Path) -> None:
    """24.7 ms is what the converters of others get to, whose DEPTH_TO_SPACE is left to the CPU and not counted."""
    bundle = clearport.export(
        "ncnet", tmp_path / "x3", targets=("tflite",), precisions=("int8",), calibration=few_photos, measure=False
    )
    [row] = rows("ethos-u:u85-1024", [job(bundle)])
    assert isinstance(row.cell, EstimateReport)
    assert row.cell.fallbacks == ()
    assert row.cell.estimated_ms < 24.7


def test_golden_inputs_are_what_the_files_take(small: Bundle) -> None:
    """The proof of a changed form is only worth something on a picture, not on a flat gray."""
    [picture] = job(small).inputs.values()
    assert np.ptp(picture) > 100


def uint8_job(bundle: Bundle) -> Job:
    """The QDQ file and its golden picture, channels first."""
    plain = job(bundle, target="onnxruntime")
    return Job(plain.artifact, "npu", {name: a.transpose(0, 3, 1, 2).copy() for name, a in plain.inputs.items()})


@needs_qnn
def test_the_htp_simulator_runs_all_of_ncnet(small: Bundle, tmp_path: Path) -> None:
    task = uint8_job(small)
    [row] = rows("htp:v75", [task], Settings(keep=tmp_path))
    report = row.cell
    assert isinstance(report, SimulatedReport), report
    assert "HTP simulator" in report.why
    assert (report.unit_asked, report.unit_ran) == ("npu", "npu")
    assert report.facts["partitions"] == 1
    assert set(report.operators_per_unit) == {"npu"}
    assert report.operators_per_unit["npu"]["Conv"] == 8
    kept = [Path(path) for path in report.facts["kept"]]
    assert sorted(p.suffix for p in kept) == [".bin", ".onnx"]
    assert report.facts["context_bytes"] == next(p for p in kept if p.suffix == ".bin").stat().st_size > 10_000
    with Worker("onnxruntime", task.artifact.path) as worker:
        [on_cpu] = worker.run(task.inputs).values()
    [on_htp] = row.outputs.values()
    assert np.abs(on_htp.astype(int) - on_cpu.astype(int)).mean() < 1.0


@needs_qnn
def test_the_htp_simulator_runs_sixteen_bit_activations(wide: Bundle) -> None:
    artifact = wide.artifact(wide.find("onnxruntime", "int8a16", ""))
    picture = load_rgb(wide.path(wide.golden("input")))[None].transpose(0, 3, 1, 2).astype(np.float32)
    image = picture * np.float32(1 if artifact.inputs[0].value_range == (0.0, 255.0) else 1 / 255)
    [row] = rows("htp:v75", [Job(artifact, "npu", {artifact.inputs[0].name: image})])
    assert isinstance(row.cell, SimulatedReport), row.cell
    assert set(row.cell.operators_per_unit) == {"npu"}
    with Worker("onnxruntime", artifact.path) as worker:
        there = worker.run({artifact.inputs[0].name: image})
    (mine,), (theirs,) = row.outputs.values(), there.values()
    assert 10 * np.log10(np.square(theirs).mean() / np.square(mine - theirs).mean()) > 45


@needs_qnn
def test_the_htp_takes_nothing_over_by_half(small: Bundle, tmp_path: Path) -> None:
    """A file with an operator that the HTP does not have is refused, not shared with the CPU."""
    import onnx
    from onnx import helper

    model = onnx.load(small.path(small.find("onnxruntime", "int8", "")))
    final = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Det", [final], ["det"], domain=""))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("det", onnx.TensorProto.FLOAT, None))
    path = tmp_path / "mixed.onnx"
    onnx.save(model, path)
    with pytest.raises(RuntimeFailure), Worker("onnxruntime_qnn", path):
        pass


@needs_qnn
def test_what_the_htp_does_not_take(small: Bundle) -> None:
    tflite, gpu = rows("htp:v73", [job(small), job(small, "gpu", "onnxruntime")])
    assert isinstance(tflite.cell, Skipped)
    assert isinstance(gpu.cell, Skipped)
    assert "requires .onnx files" in tflite.cell.reason
    assert "not a gpu" in gpu.cell.reason


@pytest.mark.parametrize("address", ["htp:v42", "htp:", "htp:v", "hexagon:v73"])
def test_architectures_that_are_none(address: str) -> None:
    with pytest.raises(BadInput, match=r"unknown HTP architecture|expected htp:v73"), HTP.open(address, Settings()):
        pass


@pytest.mark.skipif(not missing((qnn_library.PACKAGE,)), reason="onnxruntime-qnn is installed")
def test_without_the_extra_the_htp_says_how_to_get_it() -> None:
    assert all("pip install 'clearport[qnn]'" in str(found.obstacle) for found in HTP.found())
    with pytest.raises(NotInstalled), HTP.open("htp:v73", Settings()):
        pass


def litert_npu_python() -> str | None:
    return importlib.import_module("clearport.runtime.runners.litert_npu").interpreter()


@pytest.mark.skipif(
    litert_npu_python() is None, reason="CLEARPORT_LITERT_NPU_PYTHON names no Python with OpenVINO 2026.3"
)
def test_litert_hands_all_of_ncnet_to_its_npu_dispatch(small: Bundle) -> None:
    task = job(small)
    with Worker("litert_npu", task.artifact.path, python=litert_npu_python(), options={"device": "cpu"}) as worker:
        [by_dispatch] = worker.run(task.inputs).values()
        facts = worker.facts()
    assert (facts["unit"], facts["openvino_device"], facts["partitions"]) == ("npu", "CPU", 1)
    assert "in place of an NPU" in facts["emulated"]
    assert facts["operators_per_unit"]["npu"]["CONV_2D"] == 8
    with Worker("litert", task.artifact.path) as worker:
        [on_cpu] = worker.run(task.inputs).values()
    difference = np.abs(by_dispatch.astype(int) - on_cpu.astype(int))
    assert difference.max() <= 4
    assert difference.mean() < 0.5


@pytest.mark.skipif(
    litert_npu_python() is None, reason="CLEARPORT_LITERT_NPU_PYTHON names no Python with OpenVINO 2026.3"
)
def test_litert_without_an_npu_says_so(small: Bundle) -> None:
    """Asked for the NPU by name, there is no silent way to the CPU."""
    if importlib.import_module("clearport.runtime.runners.openvino_npu").RUNNER.unavailable() is None:
        pytest.skip("there is an NPU here")
    path = job(small).artifact.path
    with (
        pytest.raises(RuntimeFailure),
        Worker("litert_npu", path, python=litert_npu_python(), options={"device": "npu"}),
    ):
        pass


def test_openvino_without_an_npu_says_why(small: Bundle) -> None:
    runner = importlib.import_module("clearport.runtime.runners.openvino_npu").RUNNER
    assert runner.units == ("npu",)
    reason = runner.unavailable()
    if reason is None:
        pytest.skip("there is an NPU here")
    assert "NPU" in reason
    with pytest.raises(RuntimeFailure, match=r"openvino_npu: .*NPU"), Worker("openvino_npu", small.folder):
        pass
