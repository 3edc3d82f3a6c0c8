"""Run on a device by ``python3 -c``: prints the device's facts as one JSON object.

Its source is sent verbatim, so it imports only the standard library.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path


def main() -> None:
    """Print the facts."""
    memory = _table("/proc/meminfo")
    facts = {
        "model": _text("/proc/device-tree/model") or _text("/sys/class/dmi/id/product_name"),
        "cpu": _cpu(),
        "cores": _cores() or os.cpu_count(),
        "threads": os.cpu_count(),
        "memory_mib": _mib(memory.get("MemTotal")),
        "memory_available_mib": _mib(memory.get("MemAvailable")),
        "machine": platform.machine(),
        "system": _table("/etc/os-release", "=").get("PRETTY_NAME") or platform.platform(terse=True),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "interpreter": sys.executable,
        "numpy": _version("numpy"),
    }
    print(json.dumps({name: value for name, value in facts.items() if value is not None}))  # noqa: T201  the answer


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def _table(path: str, separator: str = ":") -> dict[str, str]:
    rows = (line.partition(separator) for line in (_text(path) or "").splitlines())
    return {key.strip(): value.strip().strip('"') for key, _, value in rows}


def _cpu() -> str:
    """The processor's name; on Arm the kernel reports only numbers, which ``lscpu`` translates."""
    rows = [line.partition(":") for line in (_text("/proc/cpuinfo") or "").splitlines()]
    names = [value.strip() for key, _, value in rows if key.strip() == "model name"]
    lscpu = shutil.which("lscpu")
    if not names and lscpu:
        done = subprocess.run([lscpu], env={**os.environ, "LC_ALL": "C"}, stdout=subprocess.PIPE, check=False)
        rows = [line.partition(":") for line in done.stdout.decode(errors="replace").splitlines()]
        names = [value.strip() for key, _, value in rows if key.strip() == "Model name"]
    return " + ".join(dict.fromkeys(names)) or platform.processor() or platform.machine()


def _cores() -> int | None:
    """Number of physical cores: distinct pairs of package and core id."""
    places = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology")
    return len({(_text(f"{p}/physical_package_id"), _text(f"{p}/core_id")) for p in places}) or None


def _mib(kib: str | None) -> int | None:
    return int(kib.split()[0]) >> 10 if kib else None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
