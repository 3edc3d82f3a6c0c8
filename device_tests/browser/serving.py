"""``clearport serve`` as a process, and a small bundle for it."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from clearport.runtime.devices.browser.records import BrowserRecord

BRIEFLY = ("--runs", "4", "--seconds", "0")


@dataclass
class Server:
    """The command while it runs."""

    process: subprocess.Popen[str]
    records: Path
    said: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return next(line.strip() for line in self.said if line.strip().startswith("http"))

    @property
    def port(self) -> str:
        return self.address.split("/")[2].rpartition(":")[2]

    def wait_for(self, words: str) -> str:
        """Read on until a line holds ``words``."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"it ended without {words!r}: {''.join(self.said)}")

    def record(self) -> BrowserRecord:
        (path,) = self.records.glob("*.json")
        return BrowserRecord.model_validate_json(path.read_bytes())

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)


def started(bundle: Path, records: Path, *words: str) -> Server:
    line = [sys.executable, "-u", "-m", "clearport", "serve", str(bundle), "--port", "0", "--records", str(records)]
    process = subprocess.Popen([*line, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    server = Server(process, records)
    server.wait_for("Ctrl-C ends")
    return server


def ended(server: Server) -> None:
    assert server.process.stdout is not None
    if server.process.poll() is None:
        assert server.stop() == 0
    server.process.stdout.close()
