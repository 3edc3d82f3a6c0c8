"""Who may log in to a board, and which boards are trusted, against a real OpenSSH server on loopback."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

pytest.importorskip("asyncssh", reason="the extra clearport[ssh] is not installed")

from clearport.errors import BadInput
from clearport.runtime.devices.device import DeviceLost
from clearport.runtime.devices.ssh.access import Access
from clearport.runtime.devices.ssh.family import DEVICE
from clearport.runtime.devices.ssh.shell import SshShell
from device_tests.ssh.boards import settings
from device_tests.ssh.sshd import SSHD, Board, make_key

pytestmark = pytest.mark.skipif(SSHD is None, reason="there is no sshd here (Debian: apt install openssh-server)")


def fingerprint(public: Path) -> str:
    told = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True)
    return told.stdout.split()[1]


def test_an_unknown_host_is_refused_until_its_key_is_pinned_as_the_message_says(site: Board, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("# nobody\n")
    with pytest.raises(BadInput, match="the host's key is not known") as refusal, refused(site, known_hosts=known):
        pass
    assert fingerprint(site.folder / "host.pub") in str(refusal.value)
    assert known.read_text() == "# nobody\n"
    follow(str(refusal.value))
    with DEVICE.open(site.address, settings(site, known_hosts=known)) as session:
        assert session.facts()


def test_a_changed_host_key_is_refused_until_it_is_pinned_anew(site: Board, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    make_key(tmp_path / "other")
    known.write_text(f"[127.0.0.1]:{site.port} {(tmp_path / 'other.pub').read_text()}")
    with pytest.raises(BadInput, match="THE HOST'S KEY HAS CHANGED") as refusal, refused(site, known_hosts=known):
        pass
    assert fingerprint(site.folder / "host.pub") in str(refusal.value)
    assert fingerprint(tmp_path / "other.pub") in str(refusal.value)
    follow(str(refusal.value))
    with DEVICE.open(site.address, settings(site, known_hosts=known)) as session:
        assert session.facts()


def follow(message: str) -> None:
    """Type what a message says at its end."""
    lines = message[message.index(": ssh-keygen -f" if "CHANGED" in message else ": echo") + 2 :].split(", then ")
    for line in lines:
        subprocess.run(["sh", "-ec", line], check=True, capture_output=True)


def test_a_host_that_shows_another_kind_of_key_has_changed(site: Board, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", tmp_path / "rsa"], check=True)
    known.write_text(f"[127.0.0.1]:{site.port} {(tmp_path / 'rsa.pub').read_text()}")
    with pytest.raises(BadInput, match="HAS CHANGED") as refusal, refused(site, known_hosts=known):
        pass
    assert fingerprint(site.folder / "host.pub") in str(refusal.value)


def test_the_bridge_does_not_trust_a_host_either(site: Board, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("# nobody\n")
    access = Access.of(site.address, settings(site, known_hosts=tmp_path / "known_hosts"))
    done = subprocess.run(SshShell(access, 60).speak("echo in").argv, capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert done.stdout == ""
    assert "the host's key is not known" in done.stderr


def test_a_key_that_the_board_does_not_take(site: Board, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    said = rf"accepts none of your keys \(.*stranger\).*ssh-copy-id -i .*stranger -p {site.port} "
    with pytest.raises(BadInput, match=said), refused(site, identity=tmp_path / "stranger"):
        pass


def test_a_key_with_a_passphrase_or_none_at_all(site: Board, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", locked], check=True)
    with pytest.raises(BadInput, match=r"locked cannot be used .*ssh-add"), refused(site, identity=locked):
        pass
    (tmp_path / "text").write_text("no key\n")
    with pytest.raises(BadInput, match="text cannot be used"), refused(site, identity=tmp_path / "text"):
        pass


def test_nobody_answers(site: Board) -> None:
    for address in ("ssh:127.0.0.1:9", "ssh:no-such-board.invalid"):
        with pytest.raises(DeviceLost, match=f"{address} does not answer"), DEVICE.open(address, settings(site)):
            pass


def refused(site: Board, **chosen: object) -> AbstractContextManager[object]:
    return DEVICE.open(site.address, settings(site, **chosen))  # type: ignore[arg-type]
