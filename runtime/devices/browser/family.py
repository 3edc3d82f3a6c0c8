"""A headless browser on this machine: ``browser:chromium``.

It runs the page of ``clearport serve`` on the files of the jobs instead of those of a bundle. The CPU is WebAssembly,
the GPU is WebGPU: the machine's GPU if Chromium finds one, otherwise SwiftShader, whose rows are simulated.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from clearport.errors import BadInput, NotInstalled
from clearport.protocols import Progress
from clearport.registry import installed_versions, missing
from clearport.runtime.devices.browser.page import ensure_built, unbuilt
from clearport.runtime.devices.device import DeviceLost, DeviceSession, Found, Job, Row, Settings, Unit
from clearport.runtime.latency import conditions
from clearport.runtime.latency.host import cpu_name

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

    from clearport.runtime.devices.browser.desk import Event
    from clearport.runtime.devices.browser.jobs import Hall
    from clearport.runtime.latency.conditions import Conditions
    from clearport.runtime.latency.record import LatencyPlan

ADDRESS = "browser:chromium"
PACKAGES = ("aiohttp", "playwright")
EXTRA = "browser"
UNITS: tuple[Unit, ...] = ("cpu", "gpu")

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-background-timer-throttling",
)
_WEBGPU = ("--enable-unsafe-webgpu", "--enable-features=Vulkan")
_SOFTWARE_WEBGPU = (*_WEBGPU, "--use-webgpu-adapter=swiftshader")
_HAS_GPU = "navigator.gpu ? navigator.gpu.requestAdapter().then(Boolean) : false"
_POLL_MS = 50
_QUESTIONS = 4
"""Requests of a page to a runtime besides its rounds: load, run, warm up, facts."""

_START_S = 60.0


def executable() -> str | None:
    """The path of Chromium; None if it is not on the PATH."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class BrowserSession:
    """See ``clearport.runtime.devices.device.DeviceSession``."""

    def __init__(self, playwright: Playwright, settings: Settings) -> None:
        self._playwright, self._settings = playwright, settings
        self._browser = self._launch(_WEBGPU)
        self.page: Page | None = None

    def close(self) -> None:
        """Close the browser; no error if it has already exited."""
        with suppress(Exception):
            self._browser.close()

    def _launch(self, flags: Sequence[str]) -> Browser:
        from playwright.sync_api import Error

        root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        try:
            return self._playwright.chromium.launch(executable_path=executable(), args=[*_QUIET, *root, *flags])
        except Error as error:
            raise BadInput(f"{ADDRESS}: Chromium does not start: {_first_lines(error)}") from error

    def facts(self) -> Mapping[str, Any]:
        return {
            "browser": f"Chromium {self._browser.version}, headless",
            "cpu": cpu_name(),
            "cores": os.cpu_count() or 1,
        }

    def conditions(self) -> Conditions:
        return conditions.here()

    def measure(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        """Measure the jobs interleaved, one backend after the other, each job in its own web worker."""
        from clearport.runtime.devices.browser.jobs import Hall
        from clearport.runtime.devices.browser.offer import AT_ONCE

        heard: SimpleQueue[Event] = SimpleQueue()
        hall = Hall(ADDRESS, jobs, self._settings, plan, heard.put)
        yield from hall.refused
        if not hall.open_keys:
            return
        with hall.serving() as address:
            page = self._open(address, any(job.unit == "gpu" for job in jobs))
            silence_s = AT_ONCE * (_QUESTIONS * plan.timeout_s + plan.max_seconds)
            yield from self._rows(page, hall, heard, silence_s, progress)

    def _open(self, address: str, gpu: bool) -> Page:
        """The page in a browser, with a GPU if ``gpu``: a software one if there is no other."""
        from playwright.sync_api import Error

        if not self._browser.is_connected():
            self._browser = self._launch(_WEBGPU)
        try:
            page = self._browser.new_page()
            page.goto(f"{address}licenses.txt")
            if gpu and not page.evaluate(_HAS_GPU):
                self.close()
                self._browser = self._launch(_SOFTWARE_WEBGPU)
                page = self._browser.new_page()
            page.goto(address)
        except Error as error:
            raise DeviceLost(f"{ADDRESS}: {_first_lines(error)}") from error
        self.page = page
        return page

    def _rows(
        self, page: Page, hall: Hall, heard: SimpleQueue[Event], limit_s: float, progress: Progress
    ) -> Iterator[Row]:
        from playwright.sync_api import Error

        waited, limit = 0.0, _START_S
        while not hall.ended:
            try:
                event = heard.get_nowait()
            except Empty:
                if waited > limit:
                    raise DeviceLost(f"{ADDRESS}: the page sent nothing for {waited:.0f} s") from None
                try:
                    page.wait_for_timeout(_POLL_MS)  # lets playwright process the page's events meanwhile
                except Error as error:
                    raise DeviceLost(f"{ADDRESS}: the page closed or crashed: {_first_lines(error)}") from error
                waited += _POLL_MS / 1e3
                continue
            waited, limit = 0.0, limit_s
            row = hall.take(event)
            if row is not None:
                progress(f"{ADDRESS}: {row.artifact} on the {row.unit}", hall.done, len(hall.open_keys))
                yield row
        if hall.lost:
            raise DeviceLost(f"{ADDRESS}: {hall.lost}")


class BrowserDevice:
    """See ``clearport.runtime.devices.device.Device``."""

    name = "browser"
    title = "Browser on this machine"

    def found(self) -> Sequence[Found]:
        parts = {name: version for name, version in installed_versions(PACKAGES).items() if version}
        return [Found(ADDRESS, "headless Chromium: WASM and WebGPU", UNITS, parts, self._obstacle())]

    def _obstacle(self) -> str | None:
        absent = missing(PACKAGES)
        if absent:
            return str(NotInstalled(", ".join(absent), EXTRA))
        if executable() is None and not _own_chromium():
            return "no Chromium on the path; install it, or run: playwright install chromium"
        return unbuilt() if shutil.which("npm") is None else None

    def check(self, address: str, settings: Settings) -> None:
        del settings
        if address != ADDRESS:
            raise BadInput(f"--device {address}: unknown browser (available: {ADDRESS})")

    def open(self, address: str, settings: Settings) -> AbstractContextManager[DeviceSession]:
        self.check(address, settings)
        if (why := self._obstacle()) is not None:
            raise BadInput(f"{ADDRESS}: {why}")
        ensure_built()
        return _session(settings)


@contextmanager
def _session(settings: Settings) -> Iterator[DeviceSession]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        session = BrowserSession(playwright, settings)
        try:
            yield session
        finally:
            session.close()


def _own_chromium() -> bool:
    """Whether playwright has installed a Chromium."""
    place = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright"
    return any(Path(place).glob("chromium*"))


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split("\n")[:2]).strip()[:300]


DEVICE = BrowserDevice()
