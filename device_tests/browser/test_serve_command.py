"""``clearport serve`` on the command line: how it ends, and what it refuses."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearport.bundle.folder import Bundle
from clearport.runtime.devices.browser.page import unbuilt
from device_tests.browser.serving import BRIEFLY, Server, ended, started
from device_tests.conftest import called


@pytest.fixture(scope="module", autouse=True)
def page() -> None:
    if (why := unbuilt()) is not None:
        pytest.skip(why)


@pytest.fixture
def server(web: Bundle, tmp_path: Path) -> Iterator[Server]:
    server = started(web.folder, tmp_path / "records", *BRIEFLY)
    yield server
    ended(server)


def test_ctrl_c_ends_it_without_an_error(server: Server) -> None:
    assert server.stop() == 0
    assert server.process.stdout is not None
    assert server.process.stdout.read().strip().endswith("stopped; received records are kept")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.address, timeout=5)


def test_termination_ends_it_too(server: Server) -> None:
    assert server.stop(signal.SIGTERM) == 0


def test_a_port_that_is_taken_is_bad_input(server: Server, web: Bundle) -> None:
    outcome = called("serve", web.folder, "--port", server.port)
    assert outcome.code == 2
    assert f"127.0.0.1:{server.port}: cannot listen on this address" in outcome.err


def test_bad_input_is_named(spoilable: Bundle, tmp_path: Path) -> None:
    nothing = called("serve", tmp_path / "nothing")
    assert (nothing.code, "not a bundle" in nothing.err) == (2, True)
    alone = called("serve", spoilable.folder, "--key", "key.pem")
    assert (alone.code, "--key without --certificate" in alone.err) == (2, True)
    (tmp_path / "cert.pem").write_text("no certificate")
    broken = called("serve", spoilable.folder, "--certificate", tmp_path / "cert.pem")
    assert (broken.code, "not a certificate" in broken.err) == (2, True)
    path = spoilable.path(spoilable.find("tflite", "int8"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    changed = called("serve", spoilable.folder)
    assert changed.code == 2
    assert "a modified bundle is not served" in changed.err
