"""What the page of ``clearport serve`` measures: rows that are checked, kept, and put in relation to each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clearport.bundle.folder import Bundle
from clearport.pictures.images import load_rgb, save_png
from device_tests.browser.opened import ELSEWHERE, ROW_MS, Opened, Watch, arrive, measured
from device_tests.browser.serving import Server, ended, started

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_it_checks_measures_and_keeps(server: Server, opened: Opened) -> None:
    page = opened.page
    assert page.locator("h1").inner_text() == "ncnet ×3"
    measured(page)
    rows = page.locator("#rows tbody tr")
    states = rows.evaluate_all("lines => lines.map(l => [l.cells[0].innerText, l.cells[3].innerText])")
    assert [state[0] for state in states] == ["tflite/int8", "onnxruntime/int8", "onnxruntime/int8/ort"]
    assert all(state[1].startswith("✓ passed") for state in states)
    record = server.record()
    assert record.device.isolated
    assert record.device.wasm_threads
    assert sorted(record.rows) == [
        "onnxruntime/int8 onnxruntime-web wasm",
        "onnxruntime/int8/ort onnxruntime-web wasm",
        "tflite/int8 litert-js wasm",
    ]
    for row in record.rows.values():
        assert row.outcome == "measured"
        assert row.passed
        assert len(row.samples_ms) >= 4
        assert row.unit_ran == "cpu"
    assert [run.outcome for run in record.runs] == ["finished"]
    shown = json.loads(page.locator("#json").text_content() or "")
    assert sorted(shown["rows"]) == sorted(record.rows)
    server.wait_for("finished")
    assert any("tflite/int8 litert-js wasm" in line and "golden passed" in line for line in server.said)


def test_the_golden_picture_that_is_not_met_fails(browser: Browser, make_wrong: Path, tmp_path: Path) -> None:
    server = started(make_wrong, tmp_path / "records", "--precision", "int8", "--target", "tflite", "--runs", "1")
    context = browser.new_context()
    page = context.new_page()
    arrive(page, server.address)
    measured(page)
    assert "✗ failed" in page.locator("#rows tbody tr").first.inner_text()
    (row,) = server.record().rows.values()
    assert row.passed is False
    assert "largest difference" in row.failures[0]
    server.wait_for("golden FAILED")
    context.close()
    ended(server)


@pytest.fixture
def make_wrong(spoilable: Bundle) -> Path:
    """A bundle that is sound, and whose int8 golden picture is another one."""
    from clearport.bundle import folder as bundles
    from clearport.disk.files import digest

    golden = spoilable.golden("int8")
    save_png(spoilable.folder / golden.path, 255 - load_rgb(spoilable.folder / golden.path))
    changed = golden.model_copy(update={"sha256": digest(spoilable.folder / golden.path)})
    goldens = tuple(changed if g.name == golden.name else g for g in spoilable.manifest.goldens)
    bundles.write(spoilable.folder, spoilable.manifest.model_copy(update={"goldens": goldens}))
    return spoilable.folder


def test_files_are_put_in_relation_to_fp32_of_the_same_rounds(wide_server: Server, wide_opened: Opened) -> None:
    page = wide_opened.page
    measured(page)
    rows = wide_server.record().rows
    assert len(rows) == 6
    for row in rows.values():
        assert row.outcome == "measured"
        artifact = row.key.split(" ")[0]
        if artifact.endswith("/fp32"):
            assert row.ratio is None
            continue
        assert row.ratio is not None, row.key
        assert row.ratio.baseline.startswith(f"{artifact.split('/')[0]}/fp32 ")
        assert row.ratio.low <= row.ratio.value <= row.ratio.high
        line = page.locator("#rows tbody tr", has=page.locator("code", has_text=re.compile(f"^{artifact}$")))
        assert f"{row.ratio.value:.2f} (" in line.locator("td[data-label='Median ms']").inner_text()


LITTLE_MEMORY = "Object.defineProperty(navigator, 'deviceMemory', { get: () => 0.01 })"


def test_where_memory_is_short_no_more_than_a_pair_is_loaded(browser: Browser, wide_server: Server) -> None:
    context = browser.new_context()
    context.add_init_script(LITTLE_MEMORY)
    watch = Watch()
    page = watch.on(context.new_page())
    arrive(page, wide_server.address)
    measured(page)
    record = wide_server.record()
    assert record.device.memory_gib == 0.01
    assert len(record.rows) == 6
    assert all(row.outcome == "measured" for row in record.rows.values())
    assert sum(row.outcome == "measured" and row.ratio is not None for row in record.rows.values()) == 4
    assert watch.most == 2
    context.close()


SECOND_ROUND_HIDDEN = """
let asked = 0;
Object.defineProperty(document, "hidden", { get: () => { asked += 1; return 5 <= asked && asked <= 8; } });
"""


def test_a_page_that_was_in_the_background_for_a_while_says_so(browser: Browser, wide_server: Server) -> None:
    """While the first four took their second turns; the two that came after them know nothing of it."""
    context = browser.new_context()
    context.add_init_script(SECOND_ROUND_HIDDEN)
    page = context.new_page()
    arrive(page, wide_server.address)
    measured(page)
    hidden = [row.outcome == "measured" and row.facts["hidden"] for row in wide_server.record().rows.values()]
    assert hidden == [True] * 4 + [False] * 2
    context.close()


def test_a_tab_that_is_closed_keeps_its_rows_and_the_next_one_goes_on(wide_server: Server, wide_opened: Opened) -> None:
    page = wide_opened.page
    page.get_by_role("button", name="Measure", exact=True).click()
    wide_server.wait_for("1/6 ")
    page.close()
    ended = wide_server.wait_for("the page was closed after")
    assert re.search(r"after [1-4] of 6 rows", ended)
    kept = len(wide_server.record().rows)
    again = wide_opened.context.new_page()
    arrive(again, wide_server.address)
    assert "✓ passed" in again.locator("#rows tbody tr").first.inner_text()
    measured(again)
    record = wide_server.record()
    assert len(record.rows) == 6
    assert [(run.outcome, run.asked) for run in record.runs][1:] == [("finished", 6 - kept)]


def test_the_stop_button_ends_a_run_and_measure_goes_on(wide_server: Server, wide_opened: Opened) -> None:
    page = wide_opened.page
    page.get_by_role("button", name="Measure", exact=True).click()
    wide_server.wait_for("1/6 ")
    page.get_by_role("button", name="Stop", exact=True).first.click()
    page.locator("#stage", has_text="Stopped").wait_for(timeout=ROW_MS)
    wide_server.wait_for("stopped by the user")
    measured(page)
    assert len(wide_server.record().rows) == 6


def test_plain_http_from_elsewhere_says_what_is_withheld_and_measures_on_one_thread(
    browser: Browser, server: Server
) -> None:
    context = browser.new_context()
    page = context.new_page()
    arrive(page, server.address.replace("127.0.0.1", ELSEWHERE))
    assert "threads need https or localhost" in page.locator("#missing").inner_text()
    assert "WebGPU needs https or localhost" in page.locator("#missing").inner_text()
    assert f"adb reverse tcp:{server.port}" in page.locator("#missing").inner_text()
    assert page.locator("#threads option").count() == 1
    measured(page)
    record = server.record()
    assert not record.device.secure
    assert all(row.outcome == "measured" and row.passed and row.threads == 1 for row in record.rows.values())
    context.close()
