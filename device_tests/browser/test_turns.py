"""``browser:chromium``: files take turns, and one that fails, hangs or goes away leaves the others."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from clearport.base import Skipped
from clearport.bundle.folder import Bundle
from clearport.protocols import no_progress
from clearport.runtime.devices.browser.family import BrowserSession
from clearport.runtime.devices.browser.offer import AT_ONCE
from clearport.runtime.devices.device import DeviceLost, Row
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.latency.stats import LEAST_ROUNDS, paired_ratio, rounds_of
from device_tests.browser.jobs import PLAN, job, measure, spoilt
from device_tests.browser.opened import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_file_that_a_runtime_refuses_is_a_row_and_the_others_go_on(
    chromium: BrowserSession, files: Bundle, tmp_path: Path
) -> None:
    good = job(files, "tflite/int8")
    bad = [spoilt(job(files, key), tmp_path, b"no model" * 99) for key in ("tflite/int8", "onnxruntime/int8")]
    rows = {row.artifact: row.cell for row in measure(chromium, bad[0], good, bad[1])}
    refused = rows["spoilt onnxruntime"]
    assert isinstance(refused, Skipped)
    assert "protobuf" in refused.reason.lower()
    assert isinstance(rows["spoilt tflite"], Skipped)
    assert isinstance(rows["tflite/int8"], LatencyReport)


def test_an_answer_that_does_not_come_is_a_row(chromium: BrowserSession, files: Bundle) -> None:
    """Each question has its time: here one that no runtime can keep."""
    (row,) = measure(chromium, job(files, "onnxruntime/fp32"), plan=replace(PLAN, timeout_s=0.001))
    assert isinstance(row.cell, Skipped)
    assert "no answer to 'open' within 0.001 s" in row.cell.reason


def test_a_file_and_its_baseline_take_turns(chromium: BrowserSession, files: Bundle) -> None:
    """Their ratio is that of the same rounds: the samples of both rows, paired."""
    old = replace(job(files, "tflite/int8"), label="old")
    new = replace(old, label="new", baseline="old")
    plan = replace(PLAN, rounds=LEAST_ROUNDS)
    rows = {row.artifact: row.cell for row in measure(chromium, new, job(files, "onnxruntime/int8"), old, plan=plan)}
    first, second = rows["new"], rows["old"]
    assert isinstance(first, LatencyReport)
    assert isinstance(second, LatencyReport)
    turns = [rounds_of(report.samples_ms, plan.runs) for report in (first, second)]
    assert [len(rounds) for rounds in turns] == [LEAST_ROUNDS, LEAST_ROUNDS]
    assert first.ratio is not None
    assert first.ratio == paired_ratio("old litert-js wasm", *turns)
    assert second.ratio is None


def test_a_baseline_that_is_refused_costs_the_ratio_only(
    chromium: BrowserSession, files: Bundle, tmp_path: Path
) -> None:
    old = spoilt(job(files, "tflite/int8"), tmp_path, b"no model" * 99)
    new = replace(job(files, "tflite/int8"), label="new", baseline=old.name)
    rows = {row.artifact: row.cell for row in measure(chromium, new, old)}
    assert isinstance(rows[old.name], Skipped)
    report = rows["new"]
    assert isinstance(report, LatencyReport)
    assert report.ratio is None


def test_some_are_loaded_at_once_and_not_more(
    chromium: BrowserSession, files: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, new_page = Watch(), chromium._browser.new_page
    monkeypatch.setattr(chromium._browser, "new_page", lambda: watch.on(new_page()))
    jobs = [replace(job(files, "tflite/int8"), label=str(n)) for n in range(AT_ONCE + 2)]
    rows = measure(chromium, *jobs, plan=replace(PLAN, rounds=1, runs=1))
    assert [row.artifact for row in rows] == [job.label for job in jobs]
    assert all(isinstance(row.cell, LatencyReport) for row in rows)
    assert watch.most == AT_ONCE


ENDS_LATE = """
const request = navigator.locks.request.bind(navigator.locks);
navigator.locks.request = async (name, ...rest) => {
  await request(name, ...rest);
  await new Promise((resolve) => setTimeout(resolve, 500));
  console.log(`gone ${name}`);
};
globalThis.Worker = class extends Worker {
  constructor(url, options) {
    super(url, options);
    this.called = options.name;
    console.log(`new ${this.called}`);
  }
  terminate() {
    super.terminate();
    console.log(`ended ${this.called}`);
  }
};
"""


def test_the_next_are_loaded_when_those_before_are_gone(
    chromium: BrowserSession, files: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone, and not only told to end: a browser may keep what they hold for a while."""
    said: list[tuple[str, str]] = []
    new_page = chromium._browser.new_page

    def heard() -> Page:
        page = new_page()
        page.add_init_script(ENDS_LATE)
        page.on("console", lambda message: said.append(split(message.text)))
        return page

    monkeypatch.setattr(chromium._browser, "new_page", heard)
    jobs = [replace(job(files, "tflite/int8"), label=str(n)) for n in range(AT_ONCE + 1)]
    rows = measure(chromium, *jobs, plan=replace(PLAN, rounds=1, runs=1))
    assert all(isinstance(row.cell, LatencyReport) for row in rows)
    names = [name for what, name in said if what == "new"]
    assert len(set(names)) == len(names) == AT_ONCE + 1
    for name in names[:AT_ONCE]:
        assert said.index(("new", name)) < said.index(("ended", name)) < said.index(("gone", name))
        assert said.index(("gone", name)) < said.index(("new", names[AT_ONCE]))


def split(said: str) -> tuple[str, str]:
    what, _, name = said.partition(" ")
    return what, name


def go_away(chromium: BrowserSession, what: str) -> None:
    if what == "tab":
        assert chromium.page is not None
        chromium.page.close()
        return
    (browser,) = (p for p in psutil.Process().children(recursive=True) if is_browser(p))
    os.kill(browser.pid, signal.SIGKILL)


def is_browser(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:  # one of its helpers, which has just ended
        return False
    return any("--headless" in word for word in words) and not any(word.startswith("--type=") for word in words)


@pytest.mark.parametrize("what", ["tab", "browser"])
def test_what_goes_away_loses_no_row_that_arrived(chromium: BrowserSession, files: Bundle, what: str) -> None:
    """Those that took turns with the first may have come with it; what was to follow them did not."""
    jobs = [replace(job(files, "tflite/int8"), label=str(n)) for n in range(AT_ONCE + 1)]
    rows: list[Row] = []
    with pytest.raises(DeviceLost, match=r"closed or crashed|was closed"):
        for row in chromium.measure(jobs, PLAN, no_progress):
            rows.append(row)
            if len(rows) == 1:
                go_away(chromium, what)
    assert rows[0].artifact == "0"
    assert {row.artifact for row in rows} <= {job.label for job in jobs[:AT_ONCE]}
    assert all(isinstance(row.cell, LatencyReport) for row in rows)
    (again,) = measure(chromium, jobs[-1])
    assert isinstance(again.cell, LatencyReport)
