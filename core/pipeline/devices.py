"""The devices that artifacts can be run on, estimated for or simulated on, from this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport import problems
from clearport.errors import BadInput
from clearport.registry import DEVICES, RUNNERS
from clearport.runtime.devices.device import UNITS, Found
from clearport.runtime.usable import obstacle_of, units_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.protocols import Runner
    from clearport.runtime.devices.device import Device


@dataclass(frozen=True)
class RunnerRow:
    """A runner of this machine: supported files and units, and the obstacle, if any."""

    name: str
    title: str
    targets: tuple[str, ...]
    units: tuple[str, ...]
    obstacle: str | None


@dataclass(frozen=True)
class Devices:
    """Every device found or installable, and the runners of this machine."""

    devices: tuple[Found, ...]
    runners: tuple[RunnerRow, ...]


def devices() -> Devices:
    """Ask every family for its current devices."""
    found = [each for name in DEVICES.names() for each in _found(name)]
    runners = [RUNNERS.get(name) for name in RUNNERS.names()]
    rows = [RunnerRow(r.name, r.title, tuple(r.targets), units_of(r), _obstacle(r)) for r in runners]
    return Devices(tuple(found), tuple(sorted(rows, key=lambda row: (UNITS.index(row.units[0]), row.name))))


def _found(name: str) -> Sequence[Found]:
    """A family's devices; a failing family reports its error without hiding the others."""
    try:
        return list(DEVICES.get(name).found())
    except problems.UNEXPECTED as error:
        return [Found(name, name, (), {}, problems.told(error, f"looking for {name} devices"))]


def _obstacle(runner: Runner) -> str | None:
    try:
        return obstacle_of(runner)
    except problems.UNEXPECTED as error:
        return problems.told(error, f"asking whether {runner.name} can run here")


def family_of(address: str) -> Device:
    """The family that an address names.

    Raises:
        BadInput: no such name.
    """
    families: dict[str, Device] = {device.name: device for device in map(DEVICES.get, DEVICES.names())}
    name = address.partition(":")[0]
    if name not in families:
        raise BadInput(f"--device {address}: unknown device {name!r} (available: {', '.join(families)})")
    return families[name]
