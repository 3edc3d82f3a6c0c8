"""Conditions of a latency measurement that change over time: temperatures, clocks, load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clearport.runtime.latency.host import load_average

HOT_C = 10.0
"""Maximum temperature increase of a thermal zone, in degrees Celsius: beyond it, chips throttle."""

SLOW = 0.9
"""Minimum share of its initial clock that a processor must keep."""


@dataclass(frozen=True)
class Conditions:
    """Conditions at one moment of a measurement; empty where the device does not report them.

    Attributes:
        temperatures_c: thermal zone -> degrees Celsius.
        clocks_mhz: processor or cluster -> its current clock.
        thermal_status: the system's own term (Android: ``none``, ``light`` ...).
        governor: the CPU frequency governor.
        load: load average of the last minute.
        battery: level in percent, and whether it is charging.
    """

    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    clocks_mhz: Mapping[str, float] = field(default_factory=dict)
    thermal_status: str | None = None
    governor: str | None = None
    load: float | None = None
    battery: str | None = None


def drift(before: Conditions, after: Conditions) -> tuple[str, ...]:
    """Reasons why figures measured between two moments are not comparable with others; empty if they are."""
    hotter = [
        f"{zone} went from {before.temperatures_c[zone]:.0f} to {now:.0f} °C"
        for zone, now in after.temperatures_c.items()
        if zone in before.temperatures_c and now - before.temperatures_c[zone] > HOT_C
    ]
    slower = [
        f"{name} fell from {before.clocks_mhz[name]:.0f} to {now:.0f} MHz"
        for name, now in after.clocks_mhz.items()
        if name in before.clocks_mhz and now < SLOW * before.clocks_mhz[name]
    ]
    worse = after.thermal_status not in {before.thermal_status, None, "none"}
    status = [f"thermal status went from {before.thermal_status} to {after.thermal_status}"] if worse else []
    return (*hotter, *slower, *status)


def here(root: Path = Path("/")) -> Conditions:
    """The conditions of this machine, from Linux's files below ``root``; empty on other systems."""
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    policies = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))
    temperatures = {f"{zone.name} {_text(zone / 'type') or ''}".strip(): _number(zone / "temp", 1e-3) for zone in zones}
    clocks = {policy.name: _number(policy / "scaling_cur_freq", 1e-3) for policy in policies}
    return Conditions(
        temperatures_c={name: value for name, value in temperatures.items() if value is not None},
        clocks_mhz={name: value for name, value in clocks.items() if value is not None},
        governor=_text(policies[0] / "scaling_governor") if policies else None,
        load=load_average(),
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


def _number(path: Path, unit: float) -> float | None:
    try:
        return round(float(path.read_text()) * unit, 3)
    except (OSError, ValueError):
        return None
