"""GPUs of this machine, by every runtime that knows them; in CI by Vulkan drivers in software, which have no speed.

Each file runs on each of its GPU runtimes, and its golden picture is judged as on the CPU. Where there is no such GPU,
driver or wheel the test is skipped with the runner's own reason.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearport
from clearport.base import Skipped
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput, NotInstalled, RuntimeFailure
from clearport.export.ncnn.file import NcnnFile
from clearport.pipeline.bench import bench_bundle
from clearport.pipeline.benching.values import BenchOutcome, BenchRequest
from clearport.pipeline.exams import exam_of
from clearport.pipeline.isolated.workers import open_worker
from clearport.registry import RUNNERS, missing
from clearport.runtime import pixels, vulkan
from clearport.runtime.devices.device import Settings, SimulatedReport
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.usable import obstacle_of, units_of
from clearport.runtime.worker.worker import Worker
from device_tests.conftest import once

SIDE = 64
GPU_RUNNERS = [RUNNERS.get(name) for name in RUNNERS.names() if "gpu" in units_of(RUNNERS.get(name))]
SLOW = {"onnxruntime_webgpu"}
"""Compiles its shaders for a minute in software."""
FILES = {
    "tflite": ("tflite/fp32", "tflite/fp16", "tflite/int8"),
    "onnxruntime": ("onnxruntime/fp32", "onnxruntime/int8"),
    "openvino": ("openvino/fp32", "openvino/fp16", "openvino/int8"),
    "ncnn": ("ncnn/fp32", "ncnn/fp16"),
}
NOWHERE = "/nonexistent/driver.json"
_ON_LINUX = pytest.mark.skipif(not vulkan.on_linux(), reason="Vulkan is how GPUs are reached on Linux")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """NCNet x3 in the formats that GPUs take; not to be changed by a test."""
    options: dict[str, Any] = {"size": f"{SIDE}x{SIDE}", "calibration": few_photos}
    return once(tmp_path_factory, "gpu", targets=tuple(t for t in FILES if not absent(t)), **options)


def absent(target: str) -> bool:
    return bool(missing(clearport.registry.TARGETS.get(target).requires))


def require(name: str) -> None:
    """Skip where a runner cannot be used, with its own reason."""
    reason = obstacle_of(RUNNERS.get(name))
    if reason is not None:
        pytest.skip(reason)


CELLS = [
    pytest.param(runner.name, key, marks=[pytest.mark.slow] * (runner.name in SLOW), id=f"{runner.name}-{key}")
    for runner in GPU_RUNNERS
    for target in runner.targets
    for key in FILES.get(target, ())
]


@pytest.mark.parametrize(("name", "key"), CELLS)
def test_what_a_gpu_gives_is_the_golden_picture(name: str, key: str, small: Bundle) -> None:
    require(name)
    record = next(found for found in small.artifacts if found.key == key)
    exam = exam_of(small, record)
    assert exam is not None
    artifact = small.artifact(record)
    with open_worker(name, artifact, 1, 300.0) as worker:
        outputs = worker.run(pixels.tensors(exam.sample, artifact.inputs))
        facts = worker.facts()
    reports = exam.judge(outputs, artifact, RUNNERS.get(name).method)
    assert all(report.passed for report in reports), [report.failures for report in reports]
    assert facts["unit"].split("+")[0] == "gpu"
    assert sum(facts["operators_per_unit"]["gpu"].values()) >= 8  # convolutions
    if vulkan.on_linux() and not any(d.kind != "cpu" for d in vulkan.installed().devices) and "cuda" not in name:
        assert facts["emulated"].endswith("(software Vulkan)")


@pytest.mark.parametrize("target", ["ncnn", "tflite"])
def test_rows_of_a_bench_say_what_ran_and_its_golden(target: str, small: Bundle) -> None:
    """Without times where software stands in for the GPU."""
    name = {"ncnn": "ncnn_vulkan", "tflite": "litert_gpu"}[target]
    require(name)
    (row,) = [row for row in bench(small, target, name).rows if row.artifact == f"{target}/fp32"]
    assert (row.unit, row.runner) == ("gpu", name)
    assert row.golden is not None
    assert row.golden.passed
    assert isinstance(row.cell, LatencyReport | SimulatedReport)
    assert row.cell.unit_ran == "gpu"
    assert row.cell.operators_per_unit.keys() == {"gpu"}
    if isinstance(row.cell, SimulatedReport):
        assert row.cell.why.endswith("(software Vulkan)")


def bench(bundle: Bundle, target: str, *runners: str, units: tuple[str, ...] = ("gpu",)) -> BenchOutcome:
    settings = Settings(runners=runners)
    return bench_bundle(
        BenchRequest(
            bundle.folder, units=units, runs=1, seconds=0, targets=(target,), precisions=("fp32",), settings=settings
        )
    )


@_ON_LINUX
def test_without_a_driver_rows_say_so_and_the_cpu_goes_on(small: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vulkan.VARIABLE, NOWHERE)
    rows = {row.runner: row for row in bench(small, "ncnn", units=("cpu", "gpu")).rows if row.artifact == "ncnn/fp32"}
    assert isinstance(rows["ncnn"].cell, LatencyReport)
    lost = rows["ncnn_vulkan"].cell
    assert isinstance(lost, Skipped)
    assert "no Vulkan driver" in lost.reason
    assert "mesa-vulkan-drivers" in lost.reason


@_ON_LINUX
@pytest.mark.parametrize(("name", "key"), [("ncnn_vulkan", "ncnn/fp32"), ("litert_gpu", "tflite/fp32")])
def test_a_worker_without_a_driver_never_falls_back_to_the_cpu(
    name: str, key: str, small: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(vulkan.VARIABLE, NOWHERE)
    artifact = small.artifact(next(found for found in small.artifacts if found.key == key))
    with pytest.raises(RuntimeFailure, match="no Vulkan driver"), Worker(name, artifact.path):
        pass


@pytest.fixture
def broken_driver(tmp_path: Path) -> Path:
    """A Vulkan driver that aborts the process that loads it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a broken driver with")
    source, library, driver = tmp_path / "broken.c", tmp_path / "libbroken.so", tmp_path / "broken.json"
    source.write_text("#include <stdlib.h>\n__attribute__((constructor)) static void gone(void) { abort(); }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    driver.write_text(
        json.dumps({"file_format_version": "1.0.0", "ICD": {"library_path": str(library), "api_version": "1.1.0"}})
    )
    return driver


@_ON_LINUX
def test_a_driver_that_aborts_takes_its_worker_alone(
    small: Bundle, broken_driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(vulkan.VARIABLE, str(broken_driver))
    found = vulkan.installed()
    if found.obstacle and "libvulkan" in found.obstacle:
        pytest.skip(found.obstacle)
    assert "signal 6" in (found.obstacle or "")
    rows = {row.runner: row for row in bench(small, "ncnn", units=("cpu", "gpu")).rows if row.artifact == "ncnn/fp32"}
    assert isinstance(rows["ncnn"].cell, LatencyReport)
    lost = rows["ncnn_vulkan"].cell
    assert isinstance(lost, Skipped)
    assert "signal 6" in lost.reason
    artifact = small.artifact(next(found for found in small.artifacts if found.key == "ncnn/fp32"))
    with pytest.raises(RuntimeFailure, match="signal 6"), Worker("ncnn_vulkan", artifact.path):
        pass


def test_layers_without_a_vulkan_form_are_counted_on_the_cpu(tmp_path: Path) -> None:
    require("ncnn_vulkan")
    file = NcnnFile()
    file.layer("Input", "image", (), "image")
    file.layer("MatMul", "product", ["image", "image"], "product", {0: 1})
    file.layer("ReLU", "restored", ["product"], "restored")
    (tmp_path / "case.param").write_text(file.param(["restored"]))
    (tmp_path / "case.bin").write_bytes(b"")
    image = np.random.default_rng(0).standard_normal((1, 3, 5, 7)).astype(np.float32)
    with Worker("ncnn_vulkan", tmp_path) as worker:
        output, facts = worker.run({"image": image})["restored"], worker.facts()
    np.testing.assert_allclose(output, np.maximum(image @ image.swapaxes(2, 3), 0), atol=1e-5)
    assert (facts["unit"], facts["partitions"]) == ("gpu+cpu", 2)
    assert facts["operators_per_unit"] == {"gpu": {"ReLU": 1}, "cpu": {"MatMul": 1}}


def test_a_file_that_the_gpu_takes_in_part_is_shared_with_the_cpu(tmp_path: Path) -> None:
    """LiteRT's GPU has no mirror that repeats the edge."""
    require("litert_gpu")
    path = tmp_path / "edges.tflite"
    path.write_bytes(mirrored())
    image = np.random.default_rng(0).standard_normal((1, 8, 8, 3)).astype(np.float32)
    with Worker("litert_gpu", path) as worker:
        output, facts = worker.run({"image": image})["restored"], worker.facts()
    wanted = np.pad(np.abs(image), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    np.testing.assert_allclose(output, wanted, atol=1e-6)
    assert (facts["unit"], facts["partitions"], facts["operators_per_unit"]) == ("gpu+cpu", None, {})
    with pytest.raises(RuntimeFailure), Worker("litert_gpu", path, options={"cpu": False}) as worker:
        worker.run({"image": image})


def mirrored() -> bytes:
    """A .tflite file: absolute values, then a pixel more on each side."""
    from clearport.export.tflite.file import FlatFile

    file = FlatFile("edges")
    image = file.tensor("image", (1, 8, 8, 3), "float32", None, ())
    inner = file.tensor("inner", (1, 8, 8, 3), "float32", None, ())
    result = file.tensor("restored", (1, 10, 10, 3), "float32", None, ())
    file.operator("ABS", [image], inner)
    pads = file.constant("pads", np.array([(0, 0), (1, 1), (1, 1), (0, 0)], np.int32))
    file.operator("MIRROR_PAD", [inner, pads], result, mode=1)
    return file.to_bytes({"image": image}, {"restored": result}, {})


@pytest.mark.parametrize("name", ["onnxruntime_webgpu", "onnxruntime_cuda"])
def test_a_python_without_the_wheel_is_told_from_one_that_is_not_there(
    name: str, small: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variable = {"onnxruntime_webgpu": "CLEARPORT_ORT_WEBGPU_PYTHON", "onnxruntime_cuda": "CLEARPORT_ORT_CUDA_PYTHON"}[
        name
    ]
    runner, artifact = RUNNERS.get(name), small.artifact(small.find("onnxruntime", "fp32"))
    monkeypatch.setenv(variable, str(tmp_path / "python"))
    with pytest.raises(BadInput, match=f"{variable}=.*no such file"):
        obstacle_of(runner)
    monkeypatch.setenv(variable, sys.executable)
    if missing(runner.requires):
        with pytest.raises(NotInstalled, match=runner.requires[0]), open_worker(name, artifact, 1, 60.0):
            pass
    monkeypatch.delenv(variable)
    if missing(runner.requires):
        assert variable in (obstacle_of(runner) or "")


def test_every_gpu_that_cannot_be_used_says_why() -> None:
    for runner in GPU_RUNNERS:
        reason = obstacle_of(runner)
        assert reason is None or len(reason) > 20, (runner.name, reason)
