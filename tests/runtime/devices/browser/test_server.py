"""The server of the page, asked by a client that is no browser: who gets in, what comes out, what is refused."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clearport.errors import BadInput
from clearport.runtime.devices.browser.desk import OutputCame
from clearport.runtime.devices.browser.server import MOST_JSON, Place, reachable
from tests.runtime.devices.browser.cases import FACTS, SENT, Running, row, running, serve, the_record


def test_the_page_comes_isolated_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    async def case(server: Running) -> None:
        answer = await server.client.get(server.address)
        assert answer.status == 200
        assert "<title>page</title>" in await answer.text()
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
        assert not any("http" in sources or "unsafe-inline" in sources for sources in policy.values())

    serve(tmp_path, case)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html"),
        ("main.js", "text/javascript"),
        ("x.wasm", "application/wasm"),
        ("files/tflite/a.tflite", "application/octet-stream"),
    ],
)
def test_mime_types(tmp_path: Path, path: str, kind: str) -> None:
    async def case(server: Running) -> None:
        answer = await server.client.get(server.address + path)
        assert answer.status == 200
        assert answer.headers["Content-Type"].split(";")[0] == kind

    serve(tmp_path, case)


def test_webassembly_is_unpacked_on_the_way(tmp_path: Path) -> None:
    async def case(server: Running) -> None:
        answer = await server.client.get(server.address + "x.wasm")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.read() == b"\0asm" + bytes(8)

    serve(tmp_path, case)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("spoil", ["none", "wrong", "shorter", "longer", "other case"])
def test_without_the_token_there_is_nothing(tmp_path: Path, method: str, spoil: str) -> None:
    def spoilt(token: str) -> str:
        wrong = "A" * len(token)
        return {
            "none": "",
            "wrong": wrong,
            "shorter": token[:-1],
            "longer": token + "A",
            "other case": token.swapcase(),
        }[spoil]

    async def case(server: Running) -> None:
        base, token = server.address.rstrip("/").rsplit("/", 1)
        for path in ("", "device", "row", "alive", "main.js", "files/tflite/a.tflite"):
            answer = await server.client.request(method, f"{base}/{spoilt(token)}/{path}")
            assert answer.status == 404, path
            assert answer.headers["Content-Security-Policy"]
            assert token not in await answer.text()

    serve(tmp_path, case)


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "files/../secret",
        "files/tflite/../../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "files/%2e%2e%2f%2e%2e%2fsecret",
        "/secret",
        "//etc/passwd",
        "files//etc/passwd",
        "files/tflite/a.tflite/",
        "files/tflite/",
        "files/tflite/a.tflite%00",
        "..\\secret",
        "x.wasm.gz",
        "records",
    ],
)
def test_only_names_that_were_offered_lead_anywhere(tmp_path: Path, path: str) -> None:
    """Asked without a client library in between, which would tidy the path up."""
    (tmp_path / "secret").write_text("the secret")

    async def case(server: Running) -> None:
        host, port = server.address.split("/")[2].split(":")
        token = server.address.rstrip("/").rsplit("/", 1)[1]
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /{token}/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()
        assert answer.startswith(b"HTTP/1.1 404"), answer[:200]
        assert b"secret" not in answer
        assert b"root:" not in answer

    serve(tmp_path, case)


def test_oversized_bodies_are_refused_before_and_during_reading(tmp_path: Path) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield bytes(1 << 16)

    async def case(server: Running) -> None:
        await server.post("device", FACTS)
        large = bytes(MOST_JSON + 1)
        for path in ("device", "row", "run"):
            assert (await server.client.post(server.address + path, data=large, headers=SENT)).status == 413
            assert (await server.client.post(server.address + path, data=endless(), headers=SENT)).status == 413
        output = server.address + "output/0"
        assert (await server.client.post(output, data=bytes(65), headers=SENT)).status == 413
        assert (await server.client.post(output, data=endless(), headers=SENT)).status == 413
        assert (await server.client.post(output, data=bytes(64), headers=SENT)).status == 200
        assert (await server.client.post(server.address + "output/1", data=b"", headers=SENT)).status == 404
        assert [len(event.content) for event in server.events if isinstance(event, OutputCame)] == [64]

    serve(tmp_path, case)


WRONG: list[tuple[str, Any]] = [
    ("an unknown field", {"more": 1}),
    ("an unknown key", {"key": "tflite/int8 litert-js 9"}),
    ("no outcome", {"outcome": "done"}),
    ("a negative time", {"init_ms": -1.0}),
    ("text for a number", {"init_ms": "30"}),
    ("too many samples", {"samples_ms": [1.0] * 5001}),
    ("a number that is none", {"samples_ms": [float("nan")]}),
    ("an endless number", {"first_inference_ms": float("inf")}),
    ("a long word", {"unit_ran": "x" * 121}),
    ("too many facts", {"facts": {str(n): n for n in range(17)}}),
    ("a nested fact", {"facts": {"a": {"b": 1}}}),
    ("an impossible share", {"parity": {"psnr_db": 50.0, "max_abs": 1, "mean_lsb": 0.1, "exact_share": 1.5}}),
]


@pytest.mark.parametrize("changes", [case[1] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_malformed_row_is_refused_and_not_kept(tmp_path: Path, changes: dict[str, Any]) -> None:
    async def case(server: Running) -> None:
        await server.post("device", FACTS)
        data = json.dumps(row(1, **changes))
        answer = await server.client.post(server.address + "row", data=data, headers=SENT)
        assert answer.status == 400
        assert the_record(server).rows == {}

    serve(tmp_path, case)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000])
def test_anything_but_a_row_is_refused(tmp_path: Path, data: bytes) -> None:
    async def case(server: Running) -> None:
        await server.post("device", FACTS)
        for path in ("device", "row", "run"):
            assert (await server.client.post(server.address + path, data=data, headers=SENT)).status == 400

    serve(tmp_path, case)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    async def case(server: Running) -> None:
        port = int(server.address.split("/")[2].split(":")[1])
        with pytest.raises(BadInput, match=f"127.0.0.1:{port}: cannot listen on this address"):
            async with running(tmp_path, Place(port=port)):
                pass

    serve(tmp_path, case)


def test_https(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine to make a certificate with")
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(["openssl", *words.split(), *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))

    async def case(server: Running) -> None:
        assert server.address.startswith("https://127.0.0.1:")
        assert (await server.client.get(server.address, ssl=trusted)).status == 200

    serve(tmp_path, case, Place(tls=tls))


def test_a_named_host_is_reached_under_its_name_and_all_hosts_under_a_number() -> None:
    assert reachable("192.0.2.7") == "192.0.2.7"
    assert reachable("0.0.0.0") not in ("0.0.0.0", "")
