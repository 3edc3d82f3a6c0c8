"""Addresses of boards, and how their commands end."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("asyncssh", reason="the extra clearport[ssh] is not installed")

from clearport.errors import BadInput
from clearport.runtime.devices.device import Settings
from clearport.runtime.devices.ssh.access import Access
from clearport.runtime.devices.ssh.bridge import exit_code


@pytest.mark.parametrize(
    ("address", "user", "host", "port"),
    [
        ("ssh:board", None, "board", None),
        ("ssh:pi@raspberrypi.local", "pi", "raspberrypi.local", None),
        ("ssh:pi@10.0.0.7:2222", "pi", "10.0.0.7", 2222),
        ("ssh:[::1]:22", None, "::1", 22),
        ("ssh:root@[fe80::1%eth0]", "root", "fe80::1%eth0", None),
    ],
)
def test_addresses(address: str, user: str | None, host: str, port: int | None) -> None:
    access = Access.of(address, Settings())
    assert (access.user, access.host, access.port) == (user, host, port)
    assert Access(**json.loads(access.to_json())) == access


@pytest.mark.parametrize(
    "address",
    ["ssh:", "ssh:@host", "ssh:a b", "ssh:host:", "ssh:host:0", "ssh:host:65536", "ssh:u@h@h", "ssh:-oProxy", "adb:x"],
)
def test_an_invalid_address_is_reported_with_the_expected_form(address: str) -> None:
    with pytest.raises(BadInput, match=r"expected ssh:\[USER@\]HOST\[:PORT\]"):
        Access.of(address, Settings())


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        access = Access.of(f"ssh:{text}", Settings())
    except BadInput:
        return
    assert access.host
    assert not access.host.startswith("-")
    assert access.host in text


@pytest.mark.parametrize("field", ["identity", "known_hosts"])
def test_files_that_are_not_there(tmp_path: Path, field: str) -> None:
    with pytest.raises(BadInput, match=r"nothing: no such file"):
        Access.of("ssh:board", Settings(**{field: tmp_path / "nothing"}))


def test_signals_are_reported_as_by_a_shell() -> None:
    assert exit_code(3, None) == 3
    assert exit_code(None, ("KILL", False, "", "")) == 128 + signal.SIGKILL
    assert exit_code(None, ("NEW@example", False, "", "")) == 255
    assert exit_code(None, None) == 255
