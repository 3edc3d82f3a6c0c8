"""Clients that misbehave, on raw sockets: the server stays quiet, and serves the next one."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from clearport.runtime.devices.browser import server as browser_server
from clearport.runtime.devices.browser.desk import Desk, Event, Fault
from clearport.runtime.devices.browser.page import content_of
from clearport.runtime.devices.browser.records import Records
from clearport.runtime.devices.browser.server import BrowserServer, Place
from tests.runtime.devices.browser.cases import DEVICE, FACTS, SENT, Running, contents, offer, serve

BIG = 16 << 20


def post(path: str, length: int | str) -> bytes:
    return f"POST /TOKEN/{path} HTTP/1.1\r\nHost: x\r\nX-Device: {DEVICE}\r\nContent-Length: {length}\r\n\r\n".encode()


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET /TOKEN/{path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


CHUNKED = post("row", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
SENDS: dict[str, bytes] = {
    "nothing": b"",
    "half a line": b"GET /",
    "half a head": b"GET /TOKEN/ HTTP/1.1\r\nHost:",
    "noise": bytes(range(256)) * 2,
    "a handshake of TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n\r\n",
    "an address that is none": b"GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes that are no text": b"GET /TOKEN/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a host that is none": get("").replace(b"Host: x", b"Host: [::"),
    "a long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(20_000)) + b"\r\n",
    "a negative length": post("row", -5),
    "half a row": post("row", 1000) + b'{"outcome":',
    "half a greeting": post("device", 1000) + b"{",
    "half an output": post("output/0", 60) + b"abc",
    "a huge length": post("row", 10**18),
    "a huge row": post("row", 10**18) + bytes(1 << 20),
    "a huge output": post("output/0", 10**9) + bytes(1 << 20),
    "half a chunk": CHUNKED + b"5\r\nab",
    "a chunk that is none": CHUNKED + b"zz\r\n",
    "endless chunks": CHUNKED + b"10000\r\n" + bytes(1 << 16) + b"\r\n10000\r\n",
    "bad JSON": post("row", 2) + b"{]",
    "deep JSON": post("row", 400_000) + b"[" * 400_000,
    "half a character": post("device", 8) + b'"\\ud800"',
    "no gzip": post("row", 4).replace(b"Content-Length", b"Content-Encoding: gzip\r\nContent-Length") + b"abcd",
    "an expectation": post("row", 4).replace(b"Content-Length", b"Expect: nonsense\r\nContent-Length") + b"abcd",
    "a page": get(""),
    "a large file": get("big"),
    "a range that is none": get("files/tflite/a.tflite", "Range: bytes=99-1"),
    "an upgrade": get("", "Connection: Upgrade", "Upgrade: websocket"),
    "a line that stays": get(f"alive?device={DEVICE}"),
}


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half_close(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)
    read_a_little(client)


def read_a_little(client: socket.socket) -> None:
    client.settimeout(0.05)
    client.recv(100)


def read_and_reset(client: socket.socket) -> None:
    read_a_little(client)
    reset(client)


ENDS: dict[str, Callable[[socket.socket], Any]] = {
    "closed": lambda _: None,
    "reset": reset,
    "half closed": half_close,
    "reset while it reads": read_and_reset,
}


def knock(server: Running, data: bytes, end: Callable[[socket.socket], Any]) -> None:
    """Send bytes and go away in one way or another."""
    host, port = server.address.split("/")[2].split(":")
    token = server.address.rstrip("/").rsplit("/", 1)[1].encode()
    with socket.create_connection((host, int(port)), 10) as client, suppress(OSError):
        client.sendall(data.replace(b"TOKEN", token))
        end(client)


def is_quiet(server: Running, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> bool:
    said = [event for event in server.events if isinstance(event, Fault)]
    return not said and not caplog.records and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("how", ENDS)
def test_whatever_clients_send_nobody_is_told(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING)

    async def case(server: Running) -> None:
        await server.post("device", FACTS)
        for name, data in SENDS.items():
            await asyncio.to_thread(knock, server, data, ENDS[how])
            assert is_quiet(server, caplog, capfd), name
        await asyncio.sleep(0.2)
        assert (await server.client.get(server.address)).status == 200
        assert is_quiet(server, caplog, capfd)

    with_big(tmp_path, case)


def with_big(folder: Path, case: Callable[[Running], Any]) -> None:
    """A server that has a file which no socket buffer takes whole."""
    (folder / "big").write_bytes(os.urandom(BIG))
    with pytest.MonkeyPatch.context() as patch:
        files = {**contents(folder), "big": content_of(folder / "big", "big")}
        patch.setattr("tests.runtime.devices.browser.cases.contents", lambda _: files)
        serve(folder, case)


def test_many_clients_at_once_that_all_go_away(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def case(server: Running) -> None:
        await server.post("device", FACTS)
        each = [asyncio.to_thread(knock, server, get("big"), read_and_reset) for _ in range(40)]
        await asyncio.gather(*each)
        assert (await server.client.get(server.address)).status == 200

    with_big(tmp_path, case)
    assert capfd.readouterr() == ("", "")


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_server, "PATIENCE_S", 0.3)

    async def endless() -> Any:
        yield b"{"
        await asyncio.sleep(60)

    async def case(server: Running) -> None:
        answer = await server.client.post(server.address + "device", data=endless(), headers=SENT)
        assert (answer.status, await answer.text()) == (400, "the request did not arrive whole")

    serve(tmp_path, case)


def test_plain_http_where_https_is_spoken(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def case(server: Running) -> None:
        for data in (get(""), b"\x16\x03\x01\x00\x05hello", b""):
            await asyncio.to_thread(knock, server, data, read_a_little)

    serve(tmp_path, case, Place(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)))
    assert capfd.readouterr() == ("", "")


def test_errors_of_the_server_are_reported_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that fails stands for a mistake of ours."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    faults: list[Event] = []

    def listen(event: Event) -> None:
        if isinstance(event, Fault):
            faults.append(event)
        else:
            raise LookupError("what the listener looked for")  # noqa: TRY004  it stands for any

    async def case() -> None:
        desk = Desk(offer(), Records(None, "b" * 64, {}), listen)
        server = BrowserServer(desk, contents(tmp_path), {}, Place())
        async with server.running() as address, aiohttp.ClientSession() as client:
            answer = await client.post(f"{address}device", json=FACTS, headers=SENT)
            assert answer.status == 500
            assert (await client.get(address)).status == 200

    asyncio.run(case())
    (fault,) = faults
    assert isinstance(fault, Fault)
    assert "unexpected LookupError: what the listener looked for (traceback: " in fault.message
    assert "\n" not in fault.message
    assert capfd.readouterr() == ("", "")
