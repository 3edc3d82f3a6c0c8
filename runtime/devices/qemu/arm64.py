"""An aarch64 userland on this machine: Debian's Python with aarch64 wheels, run by QEMU's user emulation.

``python -m clearport.runtime.devices.qemu.arm64_setup`` creates it. ``CLEARPORT_ARM64_ROOT`` names its folder, by
default one in the user's cache::

    root/     the userland: root/usr/bin/python3.*
    tools/    programs of this machine: tools/usr/bin/qemu-aarch64
    made.json record of the setup: versions of everything installed
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
    """A complete userland.

    Attributes:
        root: its root folder, QEMU's ``-L``.
        python: its interpreter.
        qemu: the emulator.
        record: the setup's record: ``versions`` of the wheels, ``python``, ``qemu``.
    """

    root: Path
    python: Path
    qemu: Path
    record: dict[str, Any]

    def command(self, cpu: str, *words: str) -> tuple[str, ...]:
        """Arguments that run the interpreter on a processor.

        The processor is always named: with instructions of QEMU's ``max``, XNNPACK's kernels computed wrong pixels.
        """
        return (str(self.qemu), "-L", str(self.root), "-cpu", cpu, str(self.python), *words)

    def launch(self, cpu: str, artifact: Path) -> Launch:
        """The launch of a worker in it; the worker reads this machine's files directly."""
        boot = ("-P", str(Path(worker_boot.__file__)), json.dumps(package_folders()))
        return Launch(self.command(cpu, *boot), str(artifact))


def place() -> Path:
    """The folder of the userland, which need not exist."""
    named = os.environ.get(VARIABLE)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(named).absolute() if named else Path(cache, "clearport", "arm64")


def userland() -> Userland:
    """The userland of this machine.

    Raises:
        BadInput: the userland or its emulator is missing; the message names a remedy.
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
