"""A store behind HTTP or HTTPS: any server of static files, read only."""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from clearport.errors import BadInput
from clearport.stores.store import Missing, Restart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from clearport.stores.index import StoredVersion

_CHUNK = 1 << 16
_TIMEOUT_S = 30.0
_IDLE_TRIES = 5
"""Maximum consecutive attempts without progress."""
_RANGE = re.compile(r"bytes (\d+)-")
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class _NoDowngrade(HTTPRedirectHandler):
    """Redirects stay with HTTP, and never lead from HTTPS to HTTP."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        kind = urlsplit(newurl).scheme
        if kind != "https" and (kind != "http" or req.type == "https"):
            raise BadInput(f"{req.full_url}: it leads to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class WebStore:
    """A store of static files at URLs below its address."""

    promise = "it can be read only"

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
            raise BadInput(f"{address}: expected http(s)://SERVER/PATH, without '?', '#' and a user's name")
        self.address = address.rstrip("/")
        self._opener = build_opener(_NoDowngrade)

    def read(self, path: str, most: int) -> bytes:
        """A file of unknown size and checksum: complete and of a single revision, even if the connection breaks."""
        content, mark, idle, why = b"", "", 0, ""
        while idle < _IDLE_TRIES:
            before = len(content)
            try:
                with self._open(path, before, mark) as answer:
                    resumed = before > 0 and self._begins_at(answer, before)
                    content = content if resumed else b""
                    mark, total = answer.headers.get("ETag", ""), self._total(answer, len(content))
                    content += answer.read(most + 1 - len(content))
            except http.client.IncompleteRead as error:
                content += error.partial
            except (OSError, http.client.HTTPException) as error:
                why = str(error)
                idle += 1
                continue
            except Restart:
                content, mark, total = b"", "", None
            if len(content) > most:
                raise BadInput(f"{self.address}/{path}: longer than {most >> 20} MiB, the most that is read of it")
            if total is not None and len(content) >= total:
                return content
            idle = idle + 1 if len(content) <= before else 0
            why = "the connection ended early"
        raise BadInput(f"{self.address}/{path}: {why}")

    def _total(self, answer: http.client.HTTPResponse, start: int) -> int | None:
        """The length of the whole file; if the server does not report it, the received length."""
        length = answer.headers.get("Content-Length")
        return start + int(length) if length and length.isdigit() else 0

    def stream(self, path: str, start: int) -> Iterator[bytes]:
        with self._open(path, start) as answer:
            if start and not self._begins_at(answer, start):
                raise Restart
            try:
                while chunk := answer.read1(_CHUNK):
                    yield chunk
            except http.client.HTTPException as error:
                raise ConnectionError(f"the connection was lost ({error!r})") from error

    def _open(self, path: str, start: int, mark: str = "") -> http.client.HTTPResponse:
        """A file from ``start`` on; from its beginning if its ETag is no longer ``mark``."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "clearport"}
        if start:
            headers |= {"Range": f"bytes={start}-", **({"If-Range": mark} if mark else {})}
        url = f"{self.address}/{quote(path)}"
        try:
            request = Request(url, headers=headers)  # noqa: S310  http and https alone
            answer: http.client.HTTPResponse = self._opener.open(request, timeout=_TIMEOUT_S)
        except HTTPError as error:
            with error:
                self._refuse(url, error.code, error.reason, path)
        except URLError as error:
            raise ConnectionError(f"the server cannot be reached: {error.reason}") from error
        except http.client.HTTPException as error:
            raise ConnectionError(f"the connection was lost ({error!r})") from error
        return answer

    def _refuse(self, url: str, code: int, reason: str, path: str) -> NoReturn:
        if code in {404, 410}:
            raise Missing(path)
        if code == 416:
            raise Restart
        if code in _RETRIED:
            raise ConnectionError(f"the server answers {code} ({reason})")
        raise BadInput(f"{url}: the server answers {code} ({reason})")

    def _begins_at(self, answer: http.client.HTTPResponse, start: int) -> bool:
        found = _RANGE.match(answer.headers.get("Content-Range", ""))
        return answer.status == 206 and found is not None and int(found[1]) == start

    def publish(self, record: StoredVersion, folder: Path, card: str) -> None:
        raise BadInput(
            f"{self.address}: HTTP(S) stores are read only; push {record.name} to the folder or bucket that it serves"
        )
