"""A real OpenSSH server on loopback, with keys and a configuration of its own: a board for tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

import psutil

SSHD = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")

_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
SetEnv XDG_CACHE_HOME={cache}
{more}
"""


@dataclass(frozen=True)
class Board:
    """Where the server listens; ``folder`` has ``identity``, ``known`` (hosts) and ``host.pub``."""

    folder: Path
    cache: Path
    port: int
    pid: int

    @property
    def address(self) -> str:
        return f"ssh:{getuser()}@127.0.0.1:{self.port}"

    @property
    def identity(self) -> Path:
        return self.folder / "identity"

    @property
    def known(self) -> Path:
        return self.folder / "known"

    def connections(self) -> list[psutil.Process]:
        """The server's process of each connection, the oldest first."""
        return sorted(psutil.Process(self.pid).children(), key=lambda p: p.create_time())

    def processes(self) -> list[psutil.Process]:
        """All that runs on the board: the server's, and what came of it."""
        return psutil.Process(self.pid).children(recursive=True)


@contextmanager
def board(folder: Path, cache: Path | None = None, more: str = "") -> Iterator[Board]:
    """A server until the block ends; ``cache`` is what it calls the user's cache, ``more`` goes into its settings."""
    assert SSHD is not None
    cache = cache or folder / "cache"
    for name in ("host", "identity"):
        make_key(folder / name)
    shutil.copy(folder / "identity.pub", folder / "authorized")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where the server's unprivileged part lives
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "sshd_config"
    config.write_text(_CONFIG.format(folder=folder, port=port, cache=cache, more=more))
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log, start_new_session=True)
    try:
        _wait_for(port, server, folder / "log")
        yield Board(folder, cache, port, server.pid)
    finally:
        left = psutil.Process(server.pid).children(recursive=True)
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=120)
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


def make_key(path: Path) -> None:
    """A new key pair without a passphrase: ``path`` and ``path.pub``."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"sshd does not listen: {log.read_text()}")
