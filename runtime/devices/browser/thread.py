"""The page server in its own thread, for callers that wait for rows."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clearport.runtime.devices.browser.server import BrowserServer


@contextmanager
def serving(server: BrowserServer) -> Iterator[str]:
    """Serve within the block; yields the page's address.

    Raises:
        BadInput: see ``BrowserServer.running``.
    """
    told: SimpleQueue[str | BaseException] = SimpleQueue()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        try:
            async with server.running() as address:
                told.put(address)
                await stop.wait()
        except BaseException as error:  # the caller's thread raises it
            told.put(error)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="pages", daemon=True)
    thread.start()
    first = told.get()
    try:
        if isinstance(first, BaseException):
            raise first
        yield first
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
