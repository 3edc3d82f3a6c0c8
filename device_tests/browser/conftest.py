"""A bundle for browsers, its page in Chromium, and Chromium as a device, for a whole file of tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clearport.bundle.folder import Bundle
from clearport.runtime.devices.browser.family import ADDRESS, DEVICE, BrowserSession, executable
from clearport.runtime.devices.browser.page import unbuilt
from clearport.runtime.devices.device import Settings
from device_tests.browser.opened import ELSEWHERE, Opened, visit
from device_tests.browser.serving import BRIEFLY, Server, ended, started
from device_tests.conftest import once
from device_tests.test_report_browser import QUIET

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def web(int8_pair: Bundle) -> Bundle:
    """NCNet x3 as browsers run it in int8; not to be changed by a test."""
    return int8_pair


@pytest.fixture(scope="session")
def wide(two_targets: Bundle) -> Bundle:
    """More than a page loads at once."""
    return two_targets


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


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """What browsers run of NCNet x3; not to be changed by a test."""
    return once(tmp_path_factory, "files", targets=("tflite", "onnxruntime"), calibration=few_photos)


@pytest.fixture(scope="module")
def chromium() -> Iterator[BrowserSession]:
    (found,) = DEVICE.found()
    if found.obstacle is not None:
        pytest.skip(f"{ADDRESS}: {found.obstacle}")
    with DEVICE.open(ADDRESS, Settings()) as opened:
        assert isinstance(opened, BrowserSession)
        yield opened
