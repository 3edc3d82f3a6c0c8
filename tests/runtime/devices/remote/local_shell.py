"""This machine as a device: a ``Shell`` whose commands run here, for tests of code shared by phones and boards."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from clearport.errors import RuntimeFailure
from clearport.runtime.devices.remote.shell import Outcome, Voice


@dataclass
class LocalShell:
    """See ``clearport.runtime.devices.remote.shell.Shell``; ``commands`` and ``pushed`` are what was asked of it."""

    address: str = "test:here"
    commands: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)

    def run(self, command: str, timeout_s: float) -> Outcome:
        self.commands.append(command)
        try:
            done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise RuntimeFailure(f"no answer within {timeout_s:g} s") from error
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    def push(self, local: Path, remote: str) -> None:
        self.pushed.append(remote)
        shutil.copyfile(local, remote)

    def pull(self, remote: str, local: Path) -> None:
        shutil.copyfile(remote, local)

    def speak(self, command: str) -> Voice:
        """The command is out of reach of who kills this: as on a device, all that it sees is the end of its input."""
        return Voice(("bash", "-c", 'exec 3<&0; setsid --wait sh -c "$0" < <(cat <&3) 3<&-', command))

    def lost(self) -> str | None:
        return None
