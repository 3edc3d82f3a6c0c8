"""Servers that stores are read from, on loopback: of a folder, with the ways in which connections fail, and a hub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


class Files(BaseHTTPRequestHandler):
    """Files of ``root``. After ``cut`` bytes of an answer the connection closes; ``ranges``: Range is understood."""

    protocol_version = "HTTP/1.1"

    def __init__(self, root: Path, asked: list[str], cut: int | None, ranges: bool, *rest: object) -> None:
        self.root, self.asked, self.cut, self.ranges = root, asked, cut, ranges
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self.root / unquote(self.path).lstrip("/")
        self.asked.append(self.path)
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        first = 0
        if self.ranges and (asked := self.headers.get("Range")):
            first = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        rest = content[first:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest if self.cut is None else rest[: self.cut])
        self.close_connection = self.cut is not None and len(rest) > self.cut

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@contextmanager
def serving(handler: object) -> Iterator[str]:
    """The address of a server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def files(root: Path, asked: list[str] | None = None, cut: int | None = None, *, ranges: bool = True) -> Iterator[str]:
    """The address of a server of a folder; ``asked`` gets the path of each request."""
    with serving(partial(Files, root, [] if asked is None else asked, cut, ranges)) as address:
        yield address
