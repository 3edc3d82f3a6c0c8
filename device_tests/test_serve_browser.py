"""``clearport serve`` as people meet it: the command, and its page in Chromium."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from clearport.bundle import Bundle
from clearport.images import load_rgb, save_png
from clearport.models import samples
from clearport.pipeline_run import RunRequest, restore_picture
from clearport.runtime.browser_page import unbuilt
from clearport.runtime.on_browser import executable
from device_tests.serving import BRIEFLY, Server, ended, exported_for_browsers, started
from device_tests.test_report_browser import CONTRAST, QUIET, SCHEMES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ROW_MS, RUN_MS = 60_000, 200_000
NO_GPU = "No available adapters."
"""What Chromium itself says where a page asks for a GPU and there is none."""

ELSEWHERE = "phone.test"
"""A name that Chromium is told to look for on this machine, and that it does not trust as it trusts localhost."""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """Not to be changed by a test."""
    return exported_for_browsers(tmp_path_factory.mktemp("web") / "ncnet", few_photos)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """More than a page loads at once; not to be changed by a test."""
    return exported_for_browsers(tmp_path_factory.mktemp("wide") / "ncnet", few_photos, ("fp32", "int8"))


@pytest.fixture
def spoilable(web: Bundle, tmp_path: Path) -> Bundle:
    """A copy of it that a test may spoil."""
    shutil.copytree(web.folder, tmp_path / "bundle")
    return Bundle.load(tmp_path / "bundle")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if (why := unbuilt()) is not None:
        pytest.skip(why)
    if executable() is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = [*QUIET, f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=executable(), args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shared_server(browser: Browser, web: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for tests that do not look at what it says."""
    server = started(web.folder, tmp_path_factory.mktemp("records"), *BRIEFLY)
    yield server
    ended(server)


@pytest.fixture
def server(browser: Browser, web: Bundle, tmp_path: Path) -> Iterator[Server]:
    server = started(web.folder, tmp_path / "records", *BRIEFLY)
    yield server
    ended(server)


@dataclass
class Opened:
    """A page in a context of its own, what it asked for, and what went wrong in it."""

    context: BrowserContext
    page: Page
    sent: list[tuple[str, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def visit(browser: Browser, address: str) -> Iterator[Opened]:
    """The page as a new device sees it; a complaint of the browser fails the test when it is over."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = Opened(context, context.new_page())
    watch(found)
    arrive(found.page, address)
    yield found
    context.close()
    assert found.complaints == []
    assert all(url.startswith(address) for _, url in found.sent)


@pytest.fixture
def wide_server(browser: Browser, wide: Bundle, tmp_path: Path) -> Iterator[Server]:
    server = started(wide.folder, tmp_path / "records", *BRIEFLY)
    yield server
    ended(server)


@pytest.fixture
def wide_opened(browser: Browser, wide_server: Server) -> Iterator[Opened]:
    with visit(browser, wide_server.address) as found:
        yield found


@pytest.fixture
def opened(browser: Browser, server: Server) -> Iterator[Opened]:
    with visit(browser, server.address) as found:
        yield found


@pytest.fixture
def visitor(browser: Browser, shared_server: Server) -> Iterator[Opened]:
    with visit(browser, shared_server.address) as found:
        yield found


def watch(found: Opened) -> None:
    page = found.page
    page.on("console", lambda said: found.complaints.append(said.text) if said.text != NO_GPU else None)
    page.on("pageerror", lambda error: found.complaints.append(f"page error: {error}"))
    page.on("request", lambda sent: found.sent.append((sent.method, sent.url)) if sent.url[:5] != "blob:" else None)


def arrive(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#main").wait_for(timeout=ROW_MS)


def measured(page: Page) -> None:
    page.get_by_role("button", name="Measure", exact=True).click()
    page.locator("#stage", has_text=re.compile(r"^Done: ")).wait_for(timeout=RUN_MS)


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
    from clearport import bundle as bundles
    from clearport.files import digest

    golden = spoilable.golden("int8")
    save_png(spoilable.folder / golden.path, 255 - load_rgb(spoilable.folder / golden.path))
    changed = golden.model_copy(update={"sha256": digest(spoilable.folder / golden.path)})
    goldens = tuple(changed if g.role == "int8" else g for g in spoilable.manifest.goldens)
    bundles.write(spoilable.folder, spoilable.manifest.model_copy(update={"goldens": goldens}))
    return spoilable.folder


def test_a_photo_is_restored_as_on_the_command_line_and_stays_here(
    visitor: Opened, web: Bundle, tmp_path: Path
) -> None:
    """Larger than the artifact, so that it is cut into tiles; to the bit, as int8 TFLite files are everywhere."""
    photo = tmp_path / "photo.png"
    save_png(photo, np.ascontiguousarray(load_rgb(samples.golden())[:61, :103]))
    request = RunRequest(web.folder, photo, tmp_path / "native.png", "tflite", "int8")
    native = restore_picture(request)
    assert native.tiles > 1
    page = visitor.page
    before = len(visitor.sent)
    page.get_by_label("Choose a photo").set_input_files(photo)
    page.locator("#photo-stage", has_text=re.compile("^Restored in")).wait_for(timeout=RUN_MS)
    assert "183 pixels" in page.locator("#photo-stage").inner_text()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as PNG").click()
    saved.value.save_as(tmp_path / "page.png")
    assert np.array_equal(load_rgb(tmp_path / "page.png"), load_rgb(tmp_path / "native.png"))
    assert {method for method, _ in visitor.sent[before:]} == {"GET"}
    assert "sent nowhere" in page.locator("#picture-note").inner_text()


def test_a_file_that_is_no_picture_is_told_of(visitor: Opened, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("no picture")
    visitor.page.get_by_label("Choose a photo").set_input_files(tmp_path / "photo.png")
    visitor.page.locator("#photo-stage", has_text="cannot read that file as a picture").wait_for(timeout=ROW_MS)


def test_the_slider_moves_by_keyboard(visitor: Opened) -> None:
    page = visitor.page
    measured(page)
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    clip = page.locator(".before").evaluate("e => getComputedStyle(e).clipPath")
    assert clip == "inset(0px 100% 0px 0px)"
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "100 % before, the rest after"


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


def test_a_tab_that_is_closed_keeps_its_rows_and_the_next_one_goes_on(wide_server: Server, wide_opened: Opened) -> None:
    page = wide_opened.page
    page.get_by_role("button", name="Measure", exact=True).click()
    wide_server.wait_for("1/6 ")
    page.close()
    ended = wide_server.wait_for("the page went away after")
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
    assert "give threads only to https and to localhost" in page.locator("#missing").inner_text()
    assert "give WebGPU only to https and to localhost" in page.locator("#missing").inner_text()
    assert f"adb reverse tcp:{server.port}" in page.locator("#missing").inner_text()
    assert page.locator("#threads option").count() == 1
    measured(page)
    record = server.record()
    assert not record.device.secure
    assert all(row.outcome == "measured" and row.passed and row.threads == 1 for row in record.rows.values())
    context.close()


def test_it_fits_every_width_and_is_readable_in_light_and_dark(visitor: Opened) -> None:
    page = visitor.page
    measured(page)
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    for width in (320, 390, 700, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CONTRAST) == []


def test_every_control_has_a_name(visitor: Opened) -> None:
    nameless = visitor.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select")]
          .filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.[0]?.textContent.trim()))
          .map(e => e.outerHTML)"""
    )
    assert nameless == []


def test_the_licences_of_what_is_in_the_page_are_there(visitor: Opened) -> None:
    text = visitor.page.evaluate("fetch('licenses.txt').then(a => a.text())")
    for name in ("@litertjs/core 2.5.3: Apache-2.0", "onnxruntime-web 1.30.0: MIT", "fast-png 8.0.0: MIT"):
        assert name in text
    assert "Copyright (c) Microsoft Corporation" in text
