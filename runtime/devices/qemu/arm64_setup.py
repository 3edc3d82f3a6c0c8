"""Creates the aarch64 userland of ``arm64.py``: ``python -m clearport.runtime.devices.qemu.arm64_setup``.

For Debian and its derivatives. Packages come from apt's sources, wheels from pip's, in the versions of this
environment. Nothing is installed on the machine and root is not needed: a private apt state downloads packages, which
are unpacked into the folder. QEMU is taken from the release's backports if possible, since Debian 12's version (7.2)
shows programs the host's /proc/cpuinfo, with which XNNPACK crashes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clearport import problems
from clearport.errors import BadInput, ClearportError
from clearport.registry import installed_versions
from clearport.runtime.devices.qemu.apt_packages import Apt, call
from clearport.runtime.devices.qemu.arm64 import RECORD, place

ARM64_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
WHEELS = ("numpy", "ai-edge-litert", "onnxruntime")
_PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)))
_OTHER_EMULATORS = "qemu-*"
_CPU = "cortex-a76"


def make(folder: Path, tools: Sequence[str], *, force: bool = False) -> dict[str, Any]:
    """Create the userland in ``folder``, atomically; an existing one of the same versions is kept.

    Args:
        folder: its location.
        tools: packages of this machine to unpack beside QEMU.
        force: replace an existing one.

    Raises:
        ClearportError: a package or wheel cannot be downloaded; quotes apt or pip.
    """
    asked = {"versions": _versions(), "tools": sorted({"qemu-user-static", *tools})}
    there = _record(folder)
    if not force and there is not None and {key: there.get(key) for key in asked} == asked:
        return there
    if there is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: exists and is not a userland of clearport: move it away")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
        new = Path(name, "new")
        record = asked | _fill(new, asked)
        (new / RECORD).write_text(json.dumps(record, indent=1))
        if folder.exists():
            folder.rename(Path(name, "old"))
        new.rename(folder)
    return record


def _versions() -> dict[str, str]:
    found = installed_versions(WHEELS)
    absent = [name for name, version in found.items() if version is None]
    if absent:
        raise BadInput(f"{', '.join(absent)} is not installed here, so the version for aarch64 is unknown")
    return {name: version for name, version in found.items() if version is not None}


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return None
    return found


def _fill(new: Path, asked: dict[str, Any]) -> dict[str, str]:
    """Fill ``new``; returns the versions of Python and QEMU."""
    apt = Apt(new / "apt", "arm64")
    apt.unpack([f"{name}:arm64" for name in ARM64_PACKAGES], new / "root", architecture="arm64")
    apt.unpack(asked["tools"], new / "tools", newest=True)
    shutil.rmtree(new / "apt")
    qemu = new / "tools/usr/bin/qemu-aarch64"
    if not qemu.exists():
        qemu.symlink_to("qemu-aarch64-static")  # if the package has only that one
    for other in qemu.parent.glob(_OTHER_EMULATORS):
        if other.name not in {qemu.name, qemu.resolve().name}:
            other.unlink()
    python = sorted((new / "root/usr/bin").glob("python3.[0-9]*"))[0]
    _wheels(new / "root/usr/lib/python3/dist-packages", python.name.removeprefix("python"), asked["versions"])
    version = _first_line([str(qemu), "--version"]).partition(" version ")[2].split()[0]
    return {"qemu": version, "python": _try(new / "root", qemu, python)}


def _wheels(target: Path, python: str, versions: dict[str, str]) -> None:
    """Unpack the wheels without dependencies, which workers do not need."""
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    fixed = ["--quiet", "--no-deps", "--no-compile", "--only-binary=:all:", "--implementation=cp"]
    pins = [f"{name}=={version}" for name, version in versions.items()]
    pip = [sys.executable, "-m", "pip", "install", *fixed, *platforms, f"--python-version={python}"]
    call([*pip, f"--target={target}", *pins])


def _try(root: Path, qemu: Path, python: Path) -> str:
    """Import the unpacked packages, which also compiles their modules; returns Python's version."""
    code = "import platform, numpy, onnxruntime, ai_edge_litert.interpreter; print(platform.python_version())"
    return _first_line([str(qemu), "-L", str(root), "-cpu", _CPU, str(python), "-c", code])


def _first_line(command: Sequence[str]) -> str:
    return call(command).splitlines()[0].strip()


def main(words: Sequence[str] | None = None) -> int:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(prog="python -m clearport.runtime.devices.qemu.arm64_setup", description=__doc__)
    parser.add_argument("--tool", action="append", default=[], help="a package to unpack beside QEMU, such as adbd")
    parser.add_argument("--force", action="store_true", help="replace an existing one")
    given = parser.parse_args(words)
    try:
        record = make(place(), given.tool, force=given.force)
    except problems.UNEXPECTED as error:
        sys.stderr.write(f"{problems.told(error, 'making an arm64 userland')}\n")
        return error.exit_code if isinstance(error, ClearportError) else problems.EXIT_CODE
    sys.stdout.write(f"{place()}: {json.dumps(record)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
