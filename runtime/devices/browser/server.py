"""The server of ``clearport serve``: the page and the offered files only.

Every path begins with a random token, compared in constant time; other paths answer 404. Names are looked up in a
table, never on disk, so that path traversal is impossible. The size of data from pages is limited before reading. Pages
are cross-origin isolated (COOP, COEP), as WASM threads require, and load nothing from other origins (CSP).
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from clearport.errors import BadInput, ClearportError
from clearport.runtime.devices.browser.faults import BROKEN, loop_errors, server_log
from clearport.runtime.devices.browser.page import INDEX, Content
from clearport.runtime.devices.browser.records import DEVICE_ID
from clearport.runtime.devices.browser.wire import DeviceFacts, RunState, SentRow

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from clearport.runtime.devices.browser.desk import Desk

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

T = TypeVar("T", bound=BaseModel)

MOST_JSON = 512 * 1024
HEARTBEAT_S = 1.0
PATIENCE_S = 60.0
"""Timeout of a page's request, in seconds."""

_CHUNK = 1 << 16
_SENT_ROW: TypeAdapter[SentRow] = TypeAdapter(SentRow)
_CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Place:
    """The address on which the server listens. Port 0 chooses a free one; ``tls`` enables HTTPS."""

    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(18))


class BrowserServer:
    """Answers pages. ``contents``: path below the token -> content; ``INDEX`` is the page itself."""

    def __init__(self, desk: Desk, contents: Mapping[str, Content], limits: Mapping[str, int], place: Place) -> None:
        """``limits``: path for a raw output -> its maximum bytes."""
        self._desk, self._contents, self._limits, self._place = desk, contents, limits, place
        self._lines: dict[str, int] = {}
        self._closing = asyncio.Event()
        self._token = place.token.encode()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve within the block; yields the page's address.

        Raises:
            BadInput: the port is in use, or the host is not an address of this machine.
        """
        tell = self._desk.fault
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=2.0, logger=server_log(tell))
        await runner.setup()
        place = self._place
        try:
            site = web.TCPSite(runner, place.host, place.port, ssl_context=place.tls, reuse_address=True)
            await site.start()
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that no encoding takes
            await runner.cleanup()
            reason = getattr(error, "strerror", None) or error
            raise BadInput(f"{place.host}:{place.port}: cannot listen on this address: {reason}") from error
        port = runner.addresses[0][1]
        with loop_errors(tell):
            try:
                yield address(place, place.host, port)
            finally:
                self._closing.set()
                await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=MOST_JSON)
        app.router.add_get("/{token}/alive", self._alive)
        app.router.add_post("/{token}/device", self._greet)
        app.router.add_post("/{token}/run", self._run)
        app.router.add_post("/{token}/row", self._row)
        app.router.add_post("/{token}/{path:output/[0-9]+}", self._output)
        app.router.add_get("/{token}/{path:.*}", self._fetch)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the token, then set the headers of every response, including errors."""
        given = request.path.lstrip("/").partition("/")[0].encode()
        try:
            if not hmac.compare_digest(given, self._token):
                raise web.HTTPNotFound(text="not found")
            answer = await handler(request)
        except web.HTTPException as refusal:
            refusal.headers.update(_HEADERS)
            raise
        except ClearportError as error:
            return web.Response(status=400, text=str(error), headers=_HEADERS)
        except BROKEN:
            return web.Response(status=400, text="the request did not arrive whole", headers=_HEADERS)
        if not answer.prepared:
            answer.headers.update(_HEADERS)
        return answer

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        content = self._contents.get(request.match_info["path"] or INDEX)
        if content is None:
            raise web.HTTPNotFound(text="not found")
        # The token, and so every URL, is new each time: a cached response cannot become stale.
        headers = {"Content-Type": content.type, "Cache-Control": "private, max-age=86400, immutable"}
        if content.encoding is not None:
            headers["Content-Encoding"] = content.encoding
        if isinstance(content.source, bytes):
            return web.Response(body=content.source, headers=headers)
        if content.changed:
            raise web.HTTPConflict(text="this file was changed since the server started: start the server again")
        return web.FileResponse(content.source, headers=headers, chunk_size=_CHUNK)

    async def _greet(self, request: web.Request) -> web.Response:
        facts = await _json(request, DeviceFacts)
        return _answer(self._desk.greet(_device(request), facts))

    async def _run(self, request: web.Request) -> web.Response:
        self._desk.run(_device(request), await _json(request, RunState))
        return web.json_response({})

    async def _row(self, request: web.Request) -> web.Response:
        try:
            row = _SENT_ROW.validate_json(await _body(request, MOST_JSON))
        except ValidationError as error:
            raise _unfit(error) from error
        return _answer(self._desk.row(_device(request), row))

    async def _output(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if path not in self._limits:
            raise web.HTTPNotFound(text="not found")
        self._desk.output(_device(request), path, await _body(request, self._limits[path]))
        return web.json_response({})

    async def _alive(self, request: web.Request) -> web.StreamResponse:
        """A connection that stays open: when the last one of a device breaks, its page was closed."""
        device = request.query.get("device", "")
        if not DEVICE_ID.fullmatch(device):
            raise web.HTTPBadRequest(text="no device")
        line = web.StreamResponse(
            headers={**_HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await line.prepare(request)
        self._lines[device] = self._lines.get(device, 0) + 1
        try:
            while not self._closing.is_set():
                await line.write(b": here\n\n")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), HEARTBEAT_S)
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._lines[device] -= 1
            if not self._lines[device]:
                del self._lines[device]
                self._desk.gone(device)
        return line


def address(place: Place, host: str, port: int) -> str:
    """The page's URL for users, with a host name or IP address of this machine."""
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if place.tls else 'http'}://{shown}:{port}/{place.token}/"


def reachable(host: str) -> str:
    """The IP address under which phones on the network reach this machine if it listens on all addresses."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104  # compared with, not bound to
        return host
    family, elsewhere = (socket.AF_INET6, "2001:db8::1") if host == "::" else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))  # sends nothing: only selects this machine's outgoing address
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def _device(request: web.Request) -> str:
    device = request.headers.get("X-Device", "")
    if not DEVICE_ID.fullmatch(device):
        raise web.HTTPBadRequest(text="no device")
    return device


async def _body(request: web.Request, limit: int) -> bytes:
    """The request's body; refused before reading if its declared length exceeds the limit, otherwise while reading."""
    if (request.content_length or 0) > limit:
        raise web.HTTPRequestEntityTooLarge(limit, request.content_length or 0)
    parts, size = [], 0
    async with asyncio.timeout(PATIENCE_S):
        async for part in request.content.iter_chunked(_CHUNK):
            size += len(part)
            if size > limit:
                raise web.HTTPRequestEntityTooLarge(limit, size)
            parts.append(part)
    return b"".join(parts)


async def _json(request: web.Request, kind: type[T]) -> T:
    try:
        return kind.model_validate_json(await _body(request, MOST_JSON))
    except ValidationError as error:
        raise _unfit(error) from error


def _unfit(error: ValidationError) -> web.HTTPBadRequest:
    first = error.errors(include_input=False, include_url=False)[0]
    return web.HTTPBadRequest(text=f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def _answer(content: BaseModel) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(text=content.model_dump_json(), content_type="application/json", headers=headers)
