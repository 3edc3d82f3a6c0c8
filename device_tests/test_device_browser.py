"""``browser:chromium``: files of a bundle in a real browser, against the same files on this machine's own runtimes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

import clearport
from clearport.base import BadInput, Skipped, no_progress
from clearport.bundle import Bundle
from clearport.images import load_rgb
from clearport.pipeline_prove import run_once
from clearport.runtime import pixels
from clearport.runtime.browser_offer import AT_ONCE
from clearport.runtime.device import DeviceLost, Job, Row, Settings, SimulatedReport, Unit
from clearport.runtime.latency_record import LatencyPlan, LatencyReport
from clearport.runtime.latency_stats import LEAST_ROUNDS, paired_ratio, rounds_of
from clearport.runtime.on_browser import ADDRESS, DEVICE, BrowserSession
from device_tests.conftest import SIZE

if TYPE_CHECKING:
    from playwright.sync_api import Page, Worker

PLAN = LatencyPlan(rounds=2, runs=2, warmup=1, min_seconds=0.0, max_seconds=60.0, timeout_s=120.0)
LSB = 1.0


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """What browsers run of NCNet x3; not to be changed by a test."""
    place = tmp_path_factory.mktemp("web") / "ncnet"
    targets = ("tflite", "onnxruntime")
    return clearport.export("ncnet", place, size=SIZE, targets=targets, calibration=few_photos, measure=False)


@pytest.fixture(scope="module")
def session() -> Iterator[BrowserSession]:
    (found,) = DEVICE.found()
    if found.obstacle is not None:
        pytest.skip(f"{ADDRESS}: {found.obstacle}")
    with DEVICE.open(ADDRESS, Settings()) as opened:
        assert isinstance(opened, BrowserSession)
        yield opened


def job(bundle: Bundle, key: str, unit: Unit = "cpu") -> Job:
    artifact = next(bundle.artifact(record) for record in bundle.artifacts if record.key == key)
    picture = load_rgb(bundle.path(bundle.golden("input")))
    return Job(artifact, unit, {artifact.inputs[0].name: pixels.to_tensor(picture, artifact.inputs[0])})


def measure(session: BrowserSession, *jobs: Job, plan: LatencyPlan = PLAN) -> list[Row]:
    return list(session.measure(jobs, plan, no_progress))


def levels_off(row: Row, of: Job, golden: Path) -> float:
    """The largest difference to a golden picture, in 8-bit levels."""
    (output,) = row.outputs.values()
    picture = pixels.to_image(output, of.artifact.outputs[0])
    return float(np.abs(picture.astype(int) - load_rgb(golden)).max())


def test_it_is_listed() -> None:
    (found,) = DEVICE.found()
    assert found.address == ADDRESS
    assert found.units == ("cpu", "gpu")


def test_another_browser_is_refused() -> None:
    with pytest.raises(BadInput, match="browser:lynx: no such browser; there is browser:chromium"):
        DEVICE.open("browser:lynx", Settings())


def test_tflite_int8_in_webassembly_is_the_native_one_to_the_bit(session: BrowserSession, web: Bundle) -> None:
    mine = job(web, "tflite/int8")
    (row,) = measure(session, mine)
    picture = load_rgb(web.path(web.golden("input")))
    native = run_once("litert", mine.artifact, picture, 1)
    (output,) = row.outputs.values()
    assert output.dtype == native.dtype
    assert np.array_equal(output, native)
    assert isinstance(row.cell, LatencyReport)
    assert (row.runner, row.cell.unit_ran, row.cell.threads) == ("litert-js", "cpu", 1)


def test_onnxruntime_qdq_in_webassembly_is_within_its_tolerance(session: BrowserSession, web: Bundle) -> None:
    keys = ("onnxruntime/int8", "onnxruntime/int8/ort")
    jobs = [job(web, key) for key in keys]
    golden = web.golden("int8")
    rows = measure(session, *jobs)
    assert [row.artifact for row in rows] == list(keys)
    for row, mine in zip(rows, jobs, strict=True):
        limit = golden.tolerances[row.artifact].max_abs
        assert limit is not None
        assert levels_off(row, mine, web.path(golden)) <= min(limit, 2.0)
        assert row.runner == "onnxruntime-web"


def test_every_file_that_browsers_run_is_within_a_step_of_its_golden_picture(
    session: BrowserSession, web: Bundle
) -> None:
    keys = [r.key for r in web.artifacts if r.target in ("tflite", "onnxruntime")]
    jobs = [job(web, key) for key in keys]
    rows = measure(session, *jobs, plan=replace(PLAN, rounds=1, runs=1))
    assert [row.artifact for row in rows] == keys
    for row, mine in zip(rows, jobs, strict=True):
        role = "int8" if mine.artifact.precision == "int8" else "float"
        assert levels_off(row, mine, web.path(web.golden(role))) <= LSB, row.key


def test_a_latency_record_is_complete(session: BrowserSession, web: Bundle) -> None:
    (row,) = measure(session, job(web, "tflite/int8"))
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


def test_threads_are_used_where_asked(session: BrowserSession, web: Bundle) -> None:
    rows = measure(session, job(web, "tflite/int8"), job(web, "onnxruntime/int8"), plan=replace(PLAN, threads=2))
    assert [row.cell.threads for row in rows if isinstance(row.cell, LatencyReport)] == [2, 2]
    assert isinstance(rows[0].cell, LatencyReport)
    assert rows[0].cell.facts["build"] == "threaded"


def test_webgpu_is_within_a_step_and_says_that_it_is_emulated(session: BrowserSession, web: Bundle) -> None:
    mine = job(web, "tflite/fp32", "gpu")
    (row,) = measure(session, mine)
    assert levels_off(row, mine, web.path(web.golden("float"))) <= LSB
    if isinstance(row.cell, LatencyReport):
        pytest.skip("this machine has a GPU of its own: its rows are measured")
    assert isinstance(row.cell, SimulatedReport)
    assert "SwiftShader" in row.cell.why
    assert (row.cell.unit_asked, row.cell.unit_ran) == ("gpu", "gpu")


@pytest.mark.slow
def test_onnxruntime_on_webgpu_tells_which_operators_ran_where(session: BrowserSession, web: Bundle) -> None:
    """QDQ files share: onnxruntime-web 1.30 has no WebGPU kernel for QuantizeLinear to uint8."""
    jobs = [job(web, key, "gpu") for key in ("onnxruntime/fp32", "onnxruntime/int8")]
    float_row, int8_row = measure(session, *jobs)
    for row, mine, role in ((float_row, jobs[0], "float"), (int8_row, jobs[1], "int8")):
        assert levels_off(row, mine, web.path(web.golden(role))) <= LSB
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
        ("onnxruntime/int8/ort", "gpu", "an .ort file is optimised for the CPU"),
    ],
)
def test_what_no_browser_runs_is_skipped_with_its_reason(
    session: BrowserSession, web: Bundle, key: str, unit: Unit, reason: str
) -> None:
    (row,) = measure(session, job(web, key, unit))
    assert isinstance(row.cell, Skipped)
    assert reason in row.cell.reason


def test_a_target_that_no_browser_knows_is_skipped_with_its_reason(session: BrowserSession, web: Bundle) -> None:
    mine = job(web, "tflite/int8")
    (row,) = measure(session, replace(mine, artifact=replace(mine.artifact, target="coreml")))
    assert isinstance(row.cell, Skipped)
    assert row.cell.reason == "no runtime for browsers takes coreml files"


def spoilt(of: Job, folder: Path, content: bytes) -> Job:
    path = folder / of.artifact.path.name
    path.write_bytes(content)
    return replace(of, artifact=replace(of.artifact, path=path), label=f"spoilt {of.artifact.target}")


def test_a_file_that_a_runtime_refuses_is_a_row_and_the_others_go_on(
    session: BrowserSession, web: Bundle, tmp_path: Path
) -> None:
    good = job(web, "tflite/int8")
    bad = [spoilt(job(web, key), tmp_path, b"no model" * 99) for key in ("tflite/int8", "onnxruntime/int8")]
    rows = {row.artifact: row.cell for row in measure(session, bad[0], good, bad[1])}
    refused = rows["spoilt onnxruntime"]
    assert isinstance(refused, Skipped)
    assert "protobuf" in refused.reason.lower()
    assert isinstance(rows["spoilt tflite"], Skipped)
    assert isinstance(rows["tflite/int8"], LatencyReport)


def test_an_answer_that_does_not_come_is_a_row(session: BrowserSession, web: Bundle) -> None:
    """Each question has its time: here one that no runtime can keep."""
    (row,) = measure(session, job(web, "onnxruntime/fp32"), plan=replace(PLAN, timeout_s=0.001))
    assert isinstance(row.cell, Skipped)
    assert "no answer to 'open' within 0.001 s" in row.cell.reason


def test_only_the_runners_that_were_asked_for(web: Bundle, session: BrowserSession) -> None:
    narrow = BrowserSession.__new__(BrowserSession)
    narrow.__dict__.update(session.__dict__, _settings=Settings(runners=("litert-js",)))
    rows = measure(narrow, job(web, "onnxruntime/int8"), job(web, "tflite/int8"))
    kinds = {row.artifact: type(row.cell) for row in rows}
    assert kinds == {"onnxruntime/int8": Skipped, "tflite/int8": LatencyReport}


def test_a_file_and_its_baseline_take_turns(session: BrowserSession, web: Bundle) -> None:
    """Their ratio is that of the same rounds: the samples of both rows, paired."""
    old = replace(job(web, "tflite/int8"), label="old")
    new = replace(old, label="new", baseline="old")
    plan = replace(PLAN, rounds=LEAST_ROUNDS)
    rows = {row.artifact: row.cell for row in measure(session, new, job(web, "onnxruntime/int8"), old, plan=plan)}
    first, second = rows["new"], rows["old"]
    assert isinstance(first, LatencyReport)
    assert isinstance(second, LatencyReport)
    turns = [rounds_of(report.samples_ms, plan.runs) for report in (first, second)]
    assert [len(rounds) for rounds in turns] == [LEAST_ROUNDS, LEAST_ROUNDS]
    assert first.ratio is not None
    assert first.ratio == paired_ratio("old litert-js wasm", *turns)
    assert second.ratio is None


def test_a_baseline_that_is_refused_costs_the_ratio_only(session: BrowserSession, web: Bundle, tmp_path: Path) -> None:
    old = spoilt(job(web, "tflite/int8"), tmp_path, b"no model" * 99)
    new = replace(job(web, "tflite/int8"), label="new", baseline=old.name)
    rows = {row.artifact: row.cell for row in measure(session, new, old)}
    assert isinstance(rows[old.name], Skipped)
    report = rows["new"]
    assert isinstance(report, LatencyReport)
    assert report.ratio is None


class Watch:
    """Counts the runtimes that a page has loaded at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def on(self, page: Page) -> Page:
        page.on("worker", self._came)
        return page

    def _came(self, worker: Worker) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        worker.on("close", self._went)

    def _went(self, _: Worker) -> None:
        self.now -= 1


def test_some_are_loaded_at_once_and_not_more(
    session: BrowserSession, web: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, new_page = Watch(), session._browser.new_page
    monkeypatch.setattr(session._browser, "new_page", lambda: watch.on(new_page()))
    jobs = [replace(job(web, "tflite/int8"), label=str(n)) for n in range(AT_ONCE + 2)]
    rows = measure(session, *jobs, plan=replace(PLAN, rounds=1, runs=1))
    assert [row.artifact for row in rows] == [job.label for job in jobs]
    assert all(isinstance(row.cell, LatencyReport) for row in rows)
    assert watch.most == AT_ONCE


def go_away(session: BrowserSession, what: str) -> None:
    if what == "tab":
        assert session.page is not None
        session.page.close()
        return
    (browser,) = (p for p in psutil.Process().children(recursive=True) if is_browser(p))
    os.kill(browser.pid, signal.SIGKILL)


def is_browser(process: psutil.Process) -> bool:
    words = process.cmdline()
    return any("--headless" in word for word in words) and not any(word.startswith("--type=") for word in words)


@pytest.mark.parametrize("what", ["tab", "browser"])
def test_what_goes_away_loses_no_row_that_arrived(session: BrowserSession, web: Bundle, what: str) -> None:
    """Those that took turns with the first may have come with it; what was to follow them did not."""
    jobs = [replace(job(web, "tflite/int8"), label=str(n)) for n in range(AT_ONCE + 1)]
    rows: list[Row] = []
    with pytest.raises(DeviceLost, match=r"closed or crashed|went away"):
        for row in session.measure(jobs, PLAN, no_progress):
            rows.append(row)
            if len(rows) == 1:
                go_away(session, what)
    assert rows[0].artifact == "0"
    assert {row.artifact for row in rows} <= {job.label for job in jobs[:AT_ONCE]}
    assert all(isinstance(row.cell, LatencyReport) for row in rows)
    (again,) = measure(session, jobs[-1])
    assert isinstance(again.cell, LatencyReport)
