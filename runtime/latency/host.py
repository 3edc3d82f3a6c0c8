"""The machine of a latency measurement, and its load."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


@dataclass(frozen=True)
class Host:
    """The machine. ``governor`` and the one-minute load averages are None if the system does not report them."""

    cpu: str
    cores: int
    governor: str | None
    load_start: float | None
    load_end: float | None


def load_average() -> float | None:
    """Load average of the last minute; None if the system does not report it."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def cpu_name() -> str:
    """The vendor's name of the processor."""
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
    """The machine now, after a measurement that began with load average ``load_start``."""
    governor = _GOVERNOR.read_text().strip() if _GOVERNOR.exists() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Host(cpu_name(), cores, governor, load_start, load_average())


_ENERGY = Path("/sys/class/powercap/intel-rapl:0/energy_uj")


def package_energy_mj() -> float | None:
    """The energy counter of the processor's package (RAPL), in millijoules; None if it cannot be read."""
    try:
        return int(_ENERGY.read_text()) / 1e3
    except (OSError, ValueError):
        return None
