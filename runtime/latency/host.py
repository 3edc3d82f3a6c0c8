"""What a latency depends on besides the artifact: the machine, and how busy it was."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


@dataclass(frozen=True)
class Host:
    """The machine. ``governor`` is None where the system does not tell; so are load averages (of one minute)."""

    cpu: str
    cores: int
    governor: str | None
    load_start: float | None
    load_end: float | None


def load_average() -> float | None:
    """How many processes wanted a core, on average over the last minute; None where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def cpu_name() -> str:
    """The processor as its vendor calls it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "hardware"))]
    if not names and platform.system() == "Darwin":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        names = [asked.stdout.strip()]
    return next(filter(None, names), platform.processor() or platform.machine())


def host(load_start: float | None) -> Host:
    """The machine now, after a measurement that began at ``load_start``."""
    governor = _GOVERNOR.read_text().strip() if _GOVERNOR.exists() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Host(cpu_name(), cores, governor, load_start, load_average())


_ENERGY = Path("/sys/class/powercap/intel-rapl:0/energy_uj")


def package_energy_mj() -> float | None:
    """The energy counter of the processor's package (RAPL), in millijoules; None where there is none to read."""
    try:
        return int(_ENERGY.read_text()) / 1e3
    except (OSError, ValueError):
        return None
