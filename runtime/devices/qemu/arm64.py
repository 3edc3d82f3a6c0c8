"""An aarch64 userland on this machine: Debian's Python with aarch64 wheels, run by QEMU's user emulation.

``python -m clearport.runtime.devices.qemu.arm64_setup`` makes it. ``CLEARPORT_ARM64_ROOT`` names its folder; without
the variable it lies in the user's cache::

    root/     the userland: root/usr/bin/python3.*
    tools/    programs of this machine: tools/usr/bin/qemu-aarch64
    made.json what was put there, as the setup recorded it
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearport.errors import BadInput
from clearport.runtime.worker import boot as worker_boot
from clearport.runtime.worker.launch import Launch, package_folders

VARIABLE = "CLEARPORT_ARM64_ROOT"
SETUP = "python -m clearport.runtime.devices.qemu.arm64_setup"
RECORD = "made.json"


@dataclass(frozen=True)
class Userland:
    """A finished one.

    Attributes:
        root: its root folder, QEMU's ``-L``.
        python: its interpreter.
        qemu: the emulator.
        record: what the setup put there: ``versions`` of the wheels, ``python``, ``qemu``.
    """

    root: Path
    python: Path
    qemu: Path
    record: dict[str, Any]

    def command(self, cpu: str, *words: str) -> tuple[str, ...]:
        """Arguments that run the interpreter on a processor.

        The processor is always named: QEMU's ``max`` has instructions for which XNNPACK's kernels gave wrong pixels.
        """
        return (str(self.qemu), "-L", str(self.root), "-cpu", cpu, str(self.python), *words)

    def launch(self, cpu: str, artifact: Path) -> Launch:
        """How a worker is started there; it reads this machine's files where they are."""
        boot = ("-P", str(Path(worker_boot.__file__)), json.dumps(package_folders()))
        return Launch(self.command(cpu, *boot), str(artifact))


def place() -> Path:
    """The folder of the userland, whether it is there or not."""
    named = os.environ.get(VARIABLE)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(named).absolute() if named else Path(cache, "clearport", "arm64")


def userland() -> Userland:
    """The userland of this machine.

    Raises:
        BadInput: there is none, or no emulator for it; the message says how to get there.
    """
    folder = place()
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        raise BadInput(f"no aarch64 userland in {folder}; to set one up: {SETUP}") from None
    pythons = sorted((folder / "root/usr/bin").glob("python3.[0-9]*"))
    own = folder / "tools/usr/bin/qemu-aarch64"
    found = str(own) if own.is_file() else shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if not pythons or found is None:
        raise BadInput(f"{folder} holds no {'emulator' if pythons else 'Python'}; to set it up again: {SETUP} --force")
    return Userland(folder / "root", pythons[0], Path(found), record)
