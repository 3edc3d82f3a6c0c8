"""Errors between the server and its pages.

Clients reset connections and send truncated or malformed requests: phones lose their network, scanners probe. They are
answered if possible and not reported. Internal errors of the server are reported in one line that names the log with
the traceback.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from clearport.problems import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BROKEN = (ConnectionError, RequestPayloadError, asyncio.IncompleteReadError, TimeoutError)
"""Exceptions while reading a request that the client did not send completely."""

_CLIENTS = (*BROKEN, HttpProcessingError, ssl.SSLError, asyncio.CancelledError)
_DURING = "answering a browser"


def server_log(tell: Callable[[str], None]) -> logging.Logger:
    """A logger for aiohttp without a parent: records go to ``tell`` or are dropped."""
    log = logging.Logger("clearport pages", logging.ERROR)  # noqa: LOG001  the root logger must not print it, too
    log.addHandler(_Told(tell))
    return log


@contextmanager
def loop_errors(tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block, unhandled errors of the running event loop go to ``tell`` or are dropped."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None:
            tell(str(context["message"]))
        elif isinstance(error, OSError) and not isinstance(error, _CLIENTS):
            tell(f"{context['message']}: {error.strerror or error}")  # such as too many open connections
        else:
            _tell(error, tell)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


class _Told(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            self._tell(record.getMessage())
        else:
            _tell(error, self._tell)


def _tell(error: BaseException, tell: Callable[[str], None]) -> None:
    if not isinstance(error, _CLIENTS):
        tell(told(error, _DURING))
