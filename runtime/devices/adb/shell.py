"""A phone over adb: its shell, its files, and whether it is still connected.

It runs the ``adb`` program: the user's from the PATH, or the one in the package adbutils. Commands use adb's shell
protocol without a terminal: binary-safe, with exit codes from the phone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from clearport.disk.leftovers import Scratch
from clearport.errors import BadInput, NotInstalled, RuntimeFailure
from clearport.registry import missing
from clearport.runtime.devices.device import DeviceLost
from clearport.runtime.devices.remote.answer import asked, spoken
from clearport.runtime.devices.remote.shell import Outcome, Voice

EXTRA = "adb"
READY = "device"
ADVICE = {
    "unauthorized": "it does not trust this computer yet; unlock it, answer its question 'Allow USB debugging?', "
    "and if it does not ask, revoke USB debugging authorisations in its developer options",
    "authorizing": "it is about to ask whether it trusts this computer; unlock it and answer",
    "offline": "it does not answer; plug it in again, or switch USB debugging off and on "
    "(over the network: adb disconnect, then adb connect)",
    "no permissions": "this user may not open its USB port; install the udev rules of your distribution "
    "(Debian: android-sdk-platform-tools-common) and plug it in again",
    "recovery": "it is in recovery mode; let it start up",
    "sideload": "it is in sideload mode; let it start up",
    "bootloader": "it is in its bootloader; let it start up",
    "connecting": "adb is still connecting to it; try again in a moment",
}
"""adb state other than ``device`` -> advice to the user."""

_SOCKET, _PORT = "ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_PORT"  # adb's own variables
_QUICK_S = 20.0
_PROTOCOL = "shell_v2"
_PUSH_S = 600.0
_OWN_WORDS = re.compile(r"^(?:adb|error): ", re.MULTILINE)
_ADB_FAILED = 255
_NO_DEVICE = re.compile(r"device (?:'[^']*' )?not found|no devices")


@dataclass(frozen=True)
class Attached:
    """A line of ``adb devices -l``: serial, state and model."""

    serial: str
    state: str
    model: str

    @property
    def obstacle(self) -> str | None:
        """The reason that it cannot be used and a remedy, or None."""
        return None if self.state == READY else explain(self.state)


def explain(state: str) -> str:
    """The advice for a state of adb."""
    known = next((advice for name, advice in ADVICE.items() if state.startswith(name)), "")
    return f"adb says {state!r}" + (f": {known}" if known else "")


def program() -> str:
    """The path of ``adb``.

    Raises:
        NotInstalled: adb is not installed.
    """
    if own := shutil.which("adb"):
        return own
    if missing(("adbutils",)):
        raise NotInstalled("adbutils", EXTRA)
    import adbutils

    return str(adbutils.adb_path())


@contextlib.contextmanager
def server(adb: str) -> Iterator[tuple[str, ...]]:
    """The adb command with its server: the user's if one runs or is configured, otherwise a private one on a secret
    socket, which is stopped afterwards.

    Raises:
        BadInput: the server does not start.
    """
    if _SOCKET in os.environ or _server_runs() or os.name == "nt":
        yield (adb,)
        return
    with Scratch("adb") as folder:
        own = (adb, "-L", f"localfilesystem:{folder}/server")
        started = _call([*own, "start-server"])
        if started.code:
            raise BadInput(f"the adb server does not start: {started.words}")
        try:
            yield own
        finally:
            _call([*own, "kill-server"])


def _server_runs() -> bool:
    """Whether a server listens at adb's default address."""
    try:
        with socket.create_connection(("127.0.0.1", int(os.environ.get(_PORT, "5037"))), 1.0):
            return True
    except (OSError, ValueError):
        return False


def attached(adb: Sequence[str]) -> list[Attached]:
    """Every phone that the server lists, in any state.

    Raises:
        BadInput: adb fails.
    """
    listed = _call([*adb, "devices", "-l"])
    if listed.code:
        raise BadInput(f"adb does not work: {listed.words}")
    return read_listing(listed.out)


def read_listing(text: str) -> list[Attached]:
    """Parse the output of ``adb devices -l``: serial, state (may be several words), properties."""
    found = []
    for line in text.splitlines():
        match = re.match(r"(\S+)\s+(no permissions|[a-z]+)(.*)", line)
        if match and not line.startswith(("*", "List of")):
            model = re.search(r"\bmodel:(\S+)", match[3])
            found.append(Attached(match[1], match[2], model[1].replace("_", " ") if model else ""))
    return found


class AdbShell:
    """See ``clearport.runtime.devices.remote.shell.Shell``."""

    def __init__(self, adb: Sequence[str], serial: str) -> None:
        self.address = f"adb:{serial}"
        self._adb = (*adb, "-s", serial)

    def check(self) -> None:
        """Check that the phone supports the shell protocol (exit codes, binary-safe streams).

        Raises:
            BadInput: it does not, since it is older than Android 7.
            DeviceLost: it is disconnected.
        """
        told = _call([*self._adb, "features"])
        if told.code:
            self._check(told)
        if _PROTOCOL not in told.out.split():
            raise BadInput(f"{self.address}: its adb lacks the protocol {_PROTOCOL}: Android 7 or newer is required")

    def run(self, command: str, timeout_s: float) -> Outcome:
        told = asked(command)
        said = _said([*self._adb, "shell", "-T", told.line], timeout_s, command)
        done = told.outcome(*said)
        if done is None or (done.code and (done.code == _ADB_FAILED or _OWN_WORDS.search(_text(said[2])))):
            self._check(Outcome(said[0], *map(_text, said[1:])))
        if done is None:
            raise DeviceLost(f"{self.address}: {told.refusal(*said)}")
        return done

    def push(self, local: Path, remote: str) -> None:
        self._copy("push", str(local), remote)

    def pull(self, remote: str, local: Path) -> None:
        self._copy("pull", remote, str(local))

    def speak(self, command: str) -> Voice:
        told = spoken(command)
        return Voice((*self._adb, "shell", "-T", told.line), told.mark)

    def lost(self) -> str | None:
        asked = _call([*self._adb, "get-state"])
        state = asked.out.strip()
        if asked.code == 0 and state == READY:
            return None
        if _NO_DEVICE.search(asked.err):
            return f"{self.address}: disconnected (unplugged, or the connection broke)"
        named = state or next((name for name in ADVICE if name in asked.err), asked.words)
        return f"{self.address} cannot be used any more: {explain(named)}"

    def _copy(self, *words: str) -> None:
        done = _call([*self._adb, *words], _PUSH_S)
        if done.code:
            self._check(done)
            self._refuse(done.words)

    def _check(self, done: Outcome) -> None:
        """Raise DeviceLost if adb's message means that the phone was disconnected, even if it is back."""
        if why := self.lost():
            raise DeviceLost(why)
        if done.code == _ADB_FAILED or "closed" in done.err:
            raise DeviceLost(f"{self.address}: the connection broke ({done.words})")

    def _refuse(self, words: str) -> NoReturn:
        raise RuntimeFailure(f"{self.address}: {words}")


def _call(command: Sequence[str], timeout_s: float = _QUICK_S) -> Outcome:
    """Run adb; returns its outcome."""
    code, out, err = _said(command, timeout_s, command[-1])
    return Outcome(code, _text(out), _text(err))


def _said(command: Sequence[str], timeout_s: float, what: str) -> tuple[int, bytes, bytes]:
    """Run adb; on a timeout it raises RuntimeFailure, and the command on the phone receives a hang-up."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise RuntimeFailure(f"adb: {what!r} gave no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise BadInput(f"{command[0]} cannot be started: {error.strerror}") from error
    return done.returncode, done.stdout, done.stderr


def _text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\r\n", "\n")
