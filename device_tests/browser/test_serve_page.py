"""The page of ``clearport serve`` as people see it: their own photo, every width, a keyboard, light and dark."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from clearport.bundle.folder import Bundle
from clearport.models import samples
from clearport.pictures.images import load_rgb, save_png
from clearport.pipeline.run import RunRequest, restore_picture
from device_tests.browser.opened import ROW_MS, RUN_MS, Opened, measured
from device_tests.test_report_browser import CONTRAST, SCHEMES


def test_a_photo_is_restored_as_on_the_command_line_and_stays_here(
    visitor: Opened, web: Bundle, tmp_path: Path
) -> None:
    """Larger than the artifact, so that it is cut into tiles; to the bit, as int8 TFLite files are everywhere."""
    photo = tmp_path / "photo.png"
    save_png(photo, np.ascontiguousarray(load_rgb(samples.golden())[:61, :103]))
    request = RunRequest(web.folder, (photo,), tmp_path / "native.png", "tflite", "int8")
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


def test_the_licenses_of_what_is_in_the_page_are_there(visitor: Opened) -> None:
    text = visitor.page.evaluate("fetch('licenses.txt').then(a => a.text())")
    for name in ("@litertjs/core 2.5.3: Apache-2.0", "onnxruntime-web 1.30.0: MIT", "fast-png 8.0.0: MIT"):
        assert name in text
    assert "Copyright (c) Microsoft Corporation" in text
