"""A phone for the tests of adb: Debian's ``adbd`` and an adb server of our own, in a network namespace of their own.

``adbd`` listens on every interface and asks nobody, so nothing outside the namespace may reach it. The server listens
on a Unix socket, which ``ADB_SERVER_SOCKET`` names for the clients outside. What the phone calls ``python3`` is this
machine's, which starts fast, or an aarch64 one under QEMU, whose runtimes are those of a phone. In the namespace this
file is run as a program: it starts what it is told to, and ends all of it when it is told nothing more.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PORT = 6543  # outside 5555 to 5585, which adb servers try by themselves
SERIAL = f"127.0.0.1:{PORT}"
ADBD = "usr/lib/android-sdk/platform-tools/adbd"
SMALL_MIB = 3
ARCHIVE = b"clearport-worker.pyz"
_SIOCSIFFLAGS, _UP_RUNNING = 0x8914, 0x41
_PATIENCE_S = 60.0


@dataclass
class LoopbackPhone:
    """See the module. ``folder`` holds all that it needs; ``small`` is a nearly full file system on the phone."""

    folder: Path
    tools: Path
    adb: str
    inside: subprocess.Popen[str]
    daemon: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def small(self) -> Path:
        return self.folder / "small"

    def use(self, python: Sequence[str]) -> None:
        """Let the phone call this command ``python3``."""
        launcher = self.folder / "bin/python3"
        launcher.parent.mkdir(exist_ok=True)
        launcher.write_text(f'#!/bin/sh\nunset LD_LIBRARY_PATH\nexec {shlex.join(python)} "$@"\n')
        launcher.chmod(0o755)

    def start(self) -> None:
        """Switch it on and connect."""
        libraries = self.tools / "usr/lib" / f"{os.uname().machine}-linux-gnu"
        environment = {
            "ADBD_PORT": str(PORT),
            "LD_LIBRARY_PATH": f"{libraries}:{libraries}/android",
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
        }
        self.daemon = self._begin([str(self.tools / ADBD)], environment, "adbd.log")
        self._until(lambda: "connected" in self.call("connect", SERIAL), "connect")
        self._until(lambda: self.call("-s", SERIAL, "get-state").strip() == "device", "get-state")

    def stop(self) -> None:
        """Pull the cable: the daemon is killed in the midst of whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.daemon, signal.SIGKILL)
        self._until(lambda: self.call("-s", SERIAL, "get-state").strip() != "device", "get-state")

    def call(self, *words: str) -> str:
        """What adb says, on either stream."""
        line = [self.adb, *words]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
        return done.stdout + (done.stderr if done.returncode else "")

    def running(self) -> list[int]:
        """The processes of workers on the phone: guards, and what they guard."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                whose = (entry / "environ").read_bytes()
                if str(self.folder).encode() in whose and ARCHIVE in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def serve(self, socket_name: str) -> None:
        environment = {"ADB_SERVER_SOCKET": socket_name, "HOME": str(self.folder)}
        self._begin([self.adb, "server", "nodaemon"], environment, "server.log")
        self._until(lambda: _listens(socket_name.partition(":")[2]), "the server")  # or a client would start its own

    def _begin(self, argv: Sequence[str], environment: dict[str, str], log: str) -> int:
        assert self.inside.stdin is not None
        assert self.inside.stdout is not None
        order = {"argv": list(argv), "environment": environment, "log": str(self.folder / log)}
        self.inside.stdin.write(json.dumps(order) + "\n")
        self.inside.stdin.flush()
        return int(self.inside.stdout.readline())

    def _until(self, holds: Any, what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the phone's {what} did not come within {_PATIENCE_S:g} s")
            time.sleep(0.1)


def _listens(place: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.connect(place)
        return True
    return False


def missing(tools: Path, adb: str | None) -> str | None:
    """Why there can be no such phone here; None: there can."""
    if not (tools / ADBD).is_file():
        return "adbd is not there; to have it: python -m clearport.runtime.devices.qemu.arm64_setup --tool adbd"
    if adb is None:
        return "there is no adb; to have one: pip install 'clearport[adb]'"
    if not shutil.which("unshare"):
        return "there is no unshare, which keeps adbd off the network"
    tried = subprocess.run([*_NAMESPACE, "true"], capture_output=True, text=True, check=False)
    return f"no namespace of our own: {tried.stderr.strip()}" if tried.returncode else None


_NAMESPACE = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


@contextlib.contextmanager
def loopback_phone(tools: Path, adb: str) -> Iterator[LoopbackPhone]:
    """A phone that is switched on."""
    with tempfile.TemporaryDirectory(prefix="clearport-adb-") as name:
        folder = Path(name)
        (folder / "small").mkdir()
        inside = subprocess.Popen(
            [*_NAMESPACE, sys.executable, __file__, str(folder / "small")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        phone = LoopbackPhone(folder, tools, adb, inside)
        try:
            phone.use([sys.executable])
            phone.serve(os.environ["ADB_SERVER_SOCKET"])
            phone.start()
            yield phone
        finally:
            assert inside.stdin is not None
            inside.stdin.close()
            inside.wait(_PATIENCE_S)
            assert inside.stdout is not None
            inside.stdout.close()
            for process in phone.running():  # what a failed test left
                os.kill(process, signal.SIGKILL)


def main(small: str) -> None:
    """Inside the namespace; see the module."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP_RUNNING))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m", "tmpfs", small], check=True)
    started = []
    for line in sys.stdin:
        order = json.loads(line)
        with Path(order["log"]).open("ab") as log:
            started.append(
                subprocess.Popen(
                    order["argv"],
                    env={**os.environ, **order["environment"]},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        print(started[-1].pid, flush=True)
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    main(sys.argv[1])
