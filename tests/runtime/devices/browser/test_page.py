"""The page's sources and its build, what it reads from a runtime's log, and what it calls browsers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clearport.errors import BadInput
from clearport.runtime.devices.browser import page as browser_page
from clearport.runtime.devices.browser.page import WEB
from tests.runtime.devices.browser.page_functions import Ask

AT = "[V:onnxruntime:, session_state.cc:1388 VerifyEachNodeIsAssignedToAnEp]"
SHARED = f"""
 {AT} Node placements
 {AT}  Node(s) placed on [CPUExecutionProvider]. Number of nodes: 3
 {AT}   QuantizeLinear (image_quantize)
 {AT}   QuantizeLinear (features_quantize)
 {AT}   Transpose (Transpose_token_1)
 {AT}  Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 1
 {AT}   Conv (conv_1)
 [V:onnxruntime:, session_state.cc:186 CreateGraphInfo] SaveMLValueNameIndexMapping
"""
ALONE = f" {AT}  All nodes placed on [WebGpuExecutionProvider]. Number of nodes: 13"


@pytest.mark.parametrize(
    ("log", "unit", "placed"),
    [
        (SHARED, "gpu+cpu", {"cpu": {"QuantizeLinear": 2, "Transpose": 1}, "gpu": {"Conv": 1}}),
        (ALONE, "gpu", {"gpu": {"node": 13}}),
        (ALONE.replace("WebGpu", "CPU"), "cpu", {"cpu": {"node": 13}}),
        (ALONE.replace("WebGpu", "WebNN"), "unknown", {"webnn": {"node": 13}}),
        ("nothing of it", "unknown", {}),
    ],
)
def test_where_operators_ran_is_read_from_the_log(ask: Ask, log: str, unit: str, placed: dict[str, Any]) -> None:
    code = "const found = page.parsePlacements(given.lines); return [found, page.unitOf(found)]"
    assert ask(code, lines=log.splitlines()) == [placed, unit]


PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1"


@pytest.mark.parametrize(
    ("agent", "brands", "name"),
    [
        (PHONE, [], "Safari 19.0"),
        ("Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", [], "Firefox 140"),
        ("", [["Not;A=Brand", "8"], ["Chromium", "142"], ["Google Chrome", "142"]], "Google Chrome 142"),
        ("", [["Chromium", "156"], ["Not)A;Brand", "24"]], "Chromium 156"),
        ("", [], "a browser"),
    ],
)
def test_browsers_are_called_by_their_names(ask: Ask, agent: str, brands: list[list[str]], name: str) -> None:
    found = [{"brand": brand, "version": version} for brand, version in brands]
    assert ask("return page.browserName(given.agent, given.brands)", agent=agent, brands=found) == name


def test_the_lock_file_names_no_host() -> None:
    lock = (WEB / "package-lock.json").read_text()
    assert "://" not in lock
    assert "resolved" not in lock
    assert all(p.get("integrity") for name, p in json.loads(lock)["packages"].items() if name)


def test_a_build_of_other_sources_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dist = tmp_path / "dist"
    monkeypatch.setattr(browser_page, "DIST", dist)
    assert "not built" in (browser_page.unbuilt() or "")
    with pytest.raises(BadInput, match="make web"):
        browser_page.page_files()
    dist.mkdir()
    (dist / "index.html").write_text("page")
    (dist / "x.wasm.gz").write_bytes(b"packed")
    (dist / browser_page.STAMP).write_text("0" * 64)
    assert "older than its sources" in (browser_page.unbuilt() or "")
    (dist / browser_page.STAMP).write_text(browser_page.sources_digest() + "\n")
    assert browser_page.unbuilt() is None
    assert {name: c.encoding for name, c in browser_page.page_files().items()} == {"index.html": None, "x.wasm": "gzip"}


def test_without_npm_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_page, "DIST", tmp_path / "dist")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"needs Node\.js 20"):
        browser_page.ensure_built()
