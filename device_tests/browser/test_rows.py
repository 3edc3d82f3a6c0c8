"""``browser:chromium``: files of a bundle in a real browser, against the same files on this machine's own runtimes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clearport.base import Skipped
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pictures.images import load_rgb
from clearport.pipeline.prove import run_once
from clearport.runtime.devices.browser.family import ADDRESS, DEVICE, BrowserSession
from clearport.runtime.devices.device import Settings, SimulatedReport, Unit
from clearport.runtime.latency.record import LatencyReport
from device_tests.browser.jobs import LSB, PLAN, job, levels_off, measure


def test_it_is_listed() -> None:
    (found,) = DEVICE.found()
    assert found.address == ADDRESS
    assert found.units == ("cpu", "gpu")


def test_another_browser_is_refused() -> None:
    with pytest.raises(BadInput, match=r"browser:lynx: unknown browser \(available: browser:chromium\)"):
        DEVICE.open("browser:lynx", Settings())


def test_tflite_int8_in_webassembly_is_the_native_one_to_the_bit(chromium: BrowserSession, files: Bundle) -> None:
    mine = job(files, "tflite/int8")
    (row,) = measure(chromium, mine)
    picture = load_rgb(files.path(files.golden("input")))
    native = run_once("litert", mine.artifact, {"image": picture}, 1)["restored"]
    (output,) = row.outputs.values()
    assert output.dtype == native.dtype
    assert np.array_equal(output, native)
    assert isinstance(row.cell, LatencyReport)
    assert (row.runner, row.cell.unit_ran, row.cell.threads) == ("litert-js", "cpu", 1)


def test_onnxruntime_qdq_in_webassembly_is_within_its_tolerance(chromium: BrowserSession, files: Bundle) -> None:
    keys = ("onnxruntime/int8", "onnxruntime/int8/ort")
    jobs = [job(files, key) for key in keys]
    golden = files.golden("int8")
    rows = measure(chromium, *jobs)
    assert [row.artifact for row in rows] == list(keys)
    for row, mine in zip(rows, jobs, strict=True):
        limit = golden.tolerances[row.artifact].max_abs
        assert limit is not None
        assert levels_off(row, mine, files.path(golden)) <= min(limit, 2.0)
        assert row.runner == "onnxruntime-web"


def test_every_file_that_browsers_run_is_within_a_step_of_its_golden_picture(
    chromium: BrowserSession, files: Bundle
) -> None:
    keys = [r.key for r in files.artifacts if r.target in ("tflite", "onnxruntime")]
    jobs = [job(files, key) for key in keys]
    rows = measure(chromium, *jobs, plan=replace(PLAN, rounds=1, runs=1))
    assert [row.artifact for row in rows] == keys
    for row, mine in zip(rows, jobs, strict=True):
        role = "int8" if mine.artifact.precision == "int8" else "float"
        assert levels_off(row, mine, files.path(files.golden(role))) <= LSB, row.key


def test_a_latency_record_is_complete(chromium: BrowserSession, files: Bundle) -> None:
    (row,) = measure(chromium, job(files, "tflite/int8"))
    report = row.cell
    assert isinstance(report, LatencyReport)
    assert len(report.samples_ms) == PLAN.rounds * PLAN.runs
    assert all(0 < sample < 60_000 for sample in report.samples_ms)
    assert min(report.init_ms, report.first_inference_ms) > 0
    assert report.runtime_versions == {"litert-js": "2.5.3"}
    assert report.peak_memory_mib is not None
    assert report.peak_memory_mib > 1
    assert report.facts["clock_step_ms"] <= 0.1  # Chromium: 5 µs where pages are isolated, 100 µs elsewhere
    assert report.facts["build"] == "plain"
    assert report.fell_back is False


def test_threads_are_used_where_asked(chromium: BrowserSession, files: Bundle) -> None:
    rows = measure(chromium, job(files, "tflite/int8"), job(files, "onnxruntime/int8"), plan=replace(PLAN, threads=2))
    assert [row.cell.threads for row in rows if isinstance(row.cell, LatencyReport)] == [2, 2]
    assert isinstance(rows[0].cell, LatencyReport)
    assert rows[0].cell.facts["build"] == "threaded"


def test_webgpu_is_within_a_step_and_says_that_it_is_emulated(chromium: BrowserSession, files: Bundle) -> None:
    mine = job(files, "tflite/fp32", "gpu")
    (row,) = measure(chromium, mine)
    assert levels_off(row, mine, files.path(files.golden("float"))) <= LSB
    if isinstance(row.cell, LatencyReport):
        pytest.skip("this machine has a GPU of its own: its rows are measured")
    assert isinstance(row.cell, SimulatedReport)
    assert "SwiftShader" in row.cell.why
    assert (row.cell.unit_asked, row.cell.unit_ran) == ("gpu", "gpu")


@pytest.mark.slow
def test_onnxruntime_on_webgpu_tells_which_operators_ran_where(chromium: BrowserSession, files: Bundle) -> None:
    """QDQ files share: onnxruntime-web 1.30 has no WebGPU kernel for QuantizeLinear to uint8."""
    jobs = [job(files, key, "gpu") for key in ("onnxruntime/fp32", "onnxruntime/int8")]
    float_row, int8_row = measure(chromium, *jobs)
    for row, mine, role in ((float_row, jobs[0], "float"), (int8_row, jobs[1], "int8")):
        assert levels_off(row, mine, files.path(files.golden(role))) <= LSB
        assert isinstance(row.cell, (SimulatedReport, LatencyReport))
        assert set(row.cell.unit_ran.split("+")) == set(row.cell.operators_per_unit)
    assert isinstance(float_row.cell, (SimulatedReport, LatencyReport))
    assert isinstance(int8_row.cell, (SimulatedReport, LatencyReport))
    assert float_row.cell.unit_ran == "gpu"
    assert int8_row.cell.unit_ran == "gpu+cpu"
    assert int8_row.cell.operators_per_unit["gpu"]["Conv"] > 0


@pytest.mark.parametrize(
    ("key", "unit", "reason"),
    [
        ("tflite/int8", "npu", "no runtime for browsers runs it on the npu"),
        ("onnxruntime/int8/ort", "gpu", "an .ort file is optimized for the CPU"),
    ],
)
def test_what_no_browser_runs_is_skipped_with_its_reason(
    chromium: BrowserSession, files: Bundle, key: str, unit: Unit, reason: str
) -> None:
    (row,) = measure(chromium, job(files, key, unit))
    assert isinstance(row.cell, Skipped)
    assert reason in row.cell.reason


def test_a_target_that_no_browser_knows_is_skipped_with_its_reason(chromium: BrowserSession, files: Bundle) -> None:
    mine = job(files, "tflite/int8")
    (row,) = measure(chromium, replace(mine, artifact=replace(mine.artifact, target="coreml")))
    assert isinstance(row.cell, Skipped)
    assert row.cell.reason == "no browser runtime accepts coreml files"


def test_only_the_runners_that_were_asked_for(files: Bundle, chromium: BrowserSession) -> None:
    narrow = BrowserSession.__new__(BrowserSession)
    narrow.__dict__.update(chromium.__dict__, _settings=Settings(runners=("litert-js",)))
    rows = measure(narrow, job(files, "onnxruntime/int8"), job(files, "tflite/int8"))
    kinds = {row.artifact: type(row.cell) for row in rows}
    assert kinds == {"onnxruntime/int8": Skipped, "tflite/int8": LatencyReport}
