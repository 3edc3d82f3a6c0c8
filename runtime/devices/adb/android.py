"""Facts of a phone: properties, thermal service, battery."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clearport.runtime.devices.remote.probe import conditions_of

if TYPE_CHECKING:
    from clearport.runtime.devices.remote.shell import Shell
    from clearport.runtime.latency.conditions import Conditions

THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
"""Android's thermal statuses, by their number (android.os.PowerManager.THERMAL_STATUS_...)."""

_PROPERTIES = {
    "manufacturer": "ro.product.manufacturer",
    "model": "ro.product.model",
    "soc_manufacturer": "ro.soc.manufacturer",
    "soc": "ro.soc.model",
    "board": "ro.board.platform",
    "android": "ro.build.version.release",
    "api_level": "ro.build.version.sdk",
    "abis": "ro.product.cpu.abilist",
    "build": "ro.build.fingerprint",
}
_PROPERTY = re.compile(r"^\[(.+?)\]: \[(.*)\]$", re.MULTILINE)
_SENSOR = re.compile(r"Temperature\{mValue=(-?[\d.]+), mType=(-?\d+), mName=([^,}]+)")
_LEAST_C = -40.0
_CPU_PARTS = "cat /proc/cpuinfo; cat /proc/meminfo; ls /sys/devices/system/cpu"


def facts_of(shell: Shell, timeout_s: float) -> dict[str, Any]:
    """Model, chip, Android and ABIs from ``getprop``, cores and memory from /proc; unknown facts are omitted.

    Raises:
        DeviceLost: the phone is disconnected.
    """
    facts: dict[str, Any] = read_properties(shell.run("getprop", timeout_s).out)
    told = shell.run(_CPU_PARTS, timeout_s).out
    if memory := re.search(r"^MemTotal:\s+(\d+) kB", told, re.MULTILINE):
        facts["memory_mib"] = int(memory[1]) >> 10
    if cores := re.findall(r"^cpu\d+$", told, re.MULTILINE):
        facts["cores"] = len(cores)
    return facts


def read_properties(text: str) -> dict[str, Any]:
    """The facts among the ``[name]: [value]`` lines of ``getprop``."""
    told = dict(_PROPERTY.findall(text))
    facts: dict[str, Any] = {name: told[key] for name, key in _PROPERTIES.items() if told.get(key)}
    if "abis" in facts:
        facts["abis"] = facts["abis"].split(",")
    if "api_level" in facts:
        facts["api_level"] = int(facts["api_level"])
    return facts


def android_conditions(shell: Shell, timeout_s: float) -> Conditions:
    """Clocks and thermal zones that the shell may read, and the state of the thermal service and the battery.

    Raises:
        DeviceLost: the phone is disconnected.
    """
    found = conditions_of(shell, timeout_s)
    status, sensors = read_thermal(shell.run("dumpsys thermalservice", timeout_s).out)
    battery = read_battery(shell.run("dumpsys battery", timeout_s).out)
    return replace(
        found, temperatures_c={**found.temperatures_c, **sensors}, thermal_status=status or None, battery=battery
    )


def read_thermal(text: str) -> tuple[str, Mapping[str, float]]:
    """Status (empty if missing) and temperatures in °C from ``dumpsys thermalservice``.

    Cached temperatures are those of the last event, so only the current ones of the HAL are read; absent sensors read
    as 0 or as far below freezing.
    """
    number = re.search(r"^Thermal Status: (\d+)", text, re.MULTILINE)
    status = THERMAL[int(number[1])] if number and int(number[1]) < len(THERMAL) else ""
    _, _, now = text.partition("Current temperatures from HAL:")
    section = re.split(r"^\S.*:$", now.lstrip("\n"), maxsplit=1, flags=re.MULTILINE)[0]
    sensors = {name: float(value) for value, _, name in _SENSOR.findall(section)}
    return status, {name: value for name, value in sensors.items() if value > _LEAST_C and value != 0}


def read_battery(text: str) -> str | None:
    """Level and charger from ``dumpsys battery``; None if missing."""
    level = re.search(r"^\s*level: (\d+)", text, re.MULTILINE)
    if level is None:
        return None
    chargers = re.findall(r"^\s*(\w+) powered: true", text, re.MULTILINE)
    return f"{level[1]} %, " + (f"charging ({', '.join(chargers)})" if chargers else "not charging")
