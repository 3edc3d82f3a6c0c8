"""The page of ``clearport serve`` in Chromium, with what it asked for and what went wrong in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Worker

ROW_MS, RUN_MS = 180_000, 200_000
NO_GPU = "No available adapters."
"""What Chromium itself says where a page asks for a GPU and there is none."""

ELSEWHERE = "phone.test"
"""A name that Chromium is told to look for on this machine, and that it does not trust as it trusts localhost."""


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
