"""A hub in memory with the part of Hugging Face's protocol that its client needs for one repository."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.core.stores.servers import serving

LFS_FROM = 1000
"""Bytes from which a file is stored by its SHA-256."""


@dataclass
class Hub:
    """Commits (oid, files by path), the newest last; ``before_commit`` is called before one is taken."""

    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    before_commit: Callable[[], None] = lambda: None
    cut: int | None = None
    exists: bool = False

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1][1]

    def at(self, revision: str) -> dict[str, bytes]:
        return next((files for oid, files in self.commits if oid == revision), self.files)

    def commit(self, files: dict[str, bytes]) -> str:
        oid = hashlib.sha1(f"{len(self.commits)}".encode()).hexdigest()
        self.commits.append((oid, {**(self.files if self.commits else {}), **files}))
        return oid


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *rest: Any) -> None:
        self.hub = hub
        super().__init__(*rest)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            self._create()
        elif path == "/api/validate-yaml":
            yaml.safe_load(json.loads(body)["content"].split("---")[1])
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            self._answer({"files": [self._mode(file) for file in json.loads(body)["files"]]})
        elif path.endswith("/objects/batch"):
            self._answer({"transfer": "basic", "objects": [self._upload(one) for one in json.loads(body)["objects"]]})
        elif "/commit/" in path:
            self._commit([json.loads(line) for line in body.splitlines() if line])
        elif "/paths-info/" in path:
            files = self.hub.at(path.rpartition("/")[2])
            asked = parse_qs(body.decode())["paths"]
            self._answer([self._info(name, files[name]) for name in asked if name in files])
        else:
            self._error(404, "EntryNotFound")

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.blobs[hashlib.sha256(content).hexdigest()] = content
        self._answer({})

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if not self.hub.exists:
            self._error(404, "RepoNotFound")
        elif "/tree/" in path:
            revision, _, below = path.partition("/tree/")[2].partition("/")
            self._answer(self._tree(self.hub.at(revision), below))
        elif "/resolve/" in path:
            self._file(path.partition("/resolve/")[2])
        else:
            oid = self.hub.commits[-1][0]
            self._answer({"id": "me/nets", "sha": oid, "siblings": [], "tags": [], "private": False, "downloads": 0})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _create(self) -> None:
        code = 409 if self.hub.exists else 200
        if not self.hub.exists:
            self.hub.exists = True
            self.hub.commit({".gitattributes": b"*.onnx filter=lfs\n"})
        address = {"url": f"http://{self.headers['Host']}/me/nets"}
        self._send(code, json.dumps(address).encode(), {"Content-Type": "application/json"})

    def _mode(self, file: dict[str, Any]) -> dict[str, Any]:
        mode = "lfs" if file["size"] >= LFS_FROM else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}

    def _upload(self, one: dict[str, Any]) -> dict[str, Any]:
        if one["oid"] in self.hub.blobs:
            return one
        href = f"http://{self.headers['Host']}/blobs/{one['oid']}"
        return {**one, "actions": {"upload": {"href": href, "header": {}}}}

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        self.hub.before_commit()
        if lines[0]["value"].get("parentCommit") not in {None, self.hub.commits[-1][0]}:
            self._error(412, "", "A commit has happened since. Please refresh and try again.")
            return
        files = {}
        for line in lines[1:]:
            value = line["value"]
            lfs = line["key"] == "lfsFile"
            files[value["path"]] = self.hub.blobs[value["oid"]] if lfs else base64.b64decode(value["content"])
        oid = self.hub.commit(files)
        address = f"http://{self.headers['Host']}/me/nets/commit/{oid}"
        self._answer({"success": True, "commitOid": oid, "commitUrl": address, "hookOutput": ""})

    def _info(self, name: str, content: bytes) -> dict[str, Any]:
        oid = hashlib.sha1(content).hexdigest()
        return {"type": "file", "path": name, "size": len(content), "oid": oid}

    def _tree(self, files: dict[str, bytes], below: str) -> list[dict[str, Any]]:
        start = f"{below}/" if below else ""
        found: dict[str, dict[str, Any]] = {}
        for name, content in files.items():
            if name.startswith(start):
                first, slash, _ = name.removeprefix(start).partition("/")
                folder = {"type": "directory", "path": start + first, "size": 0, "oid": "0" * 40}
                found[first] = folder if slash else self._info(name, content)
        return list(found.values())

    def _file(self, path: str) -> None:
        revision, _, name = path.partition("/")
        files = self.hub.at(revision)
        if name not in files:
            self._error(404, "EntryNotFound")
            return
        content, headers = files[name], {"ETag": '"x"', "X-Repo-Commit": self.hub.commits[-1][0]}
        code = 200
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            content, code = content[int(first) : int(last or len(content)) + 1], 206
        self._send(code, content, headers)

    def _answer(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, code: int, kind: str, message: str = "no") -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": kind} if kind else {})}
        self._send(code, json.dumps({"error": message}).encode(), {"Content-Type": "application/json", **headers})

    def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.cut is not None and len(content) > self.hub.cut
        self.wfile.write(content[: self.hub.cut] if cut else content)
        self.close_connection = cut

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@contextmanager
def running(hub: Hub) -> Iterator[str]:
    """The address of a hub."""
    with serving(partial(Handler, hub)) as address:
        yield address
