"""Facts and conditions of a device, read over its shell before and after a measurement."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from clearport.errors import BadInput, RuntimeFailure
from clearport.runtime.devices.remote import probe_device
from clearport.runtime.latency import conditions

if TYPE_CHECKING:
    from clearport.runtime.devices.remote.shell import Shell
    from clearport.runtime.latency.conditions import Conditions

LEAST_PYTHON = (3, 10)
"""Minimum Python version of the worker's modules."""

_LOAD = "proc/loadavg"
_ASKED = (
    "/sys/class/thermal/thermal_zone*/type",
    "/sys/class/thermal/thermal_zone*/temp",
    "/sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq",
    "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
    f"/{_LOAD}",
)
_LINE = re.compile(  # only requested names: they become file names
    r"/((?:sys/class/thermal/thermal_zone\d+/(?:type|temp)"
    r"|sys/devices/system/cpu/cpufreq/policy\d+/scaling_(?:cur_freq|governor)|proc/loadavg)):(.*)"
)
_START = (  # valid in any Python version; prints the version before running code that an old one cannot parse
    "import sys; v = sys.version_info; print('%d %d' % v[:2]); sys.stdout.flush(); "
    f"exec(sys.argv[1]) if v[:2] >= {LEAST_PYTHON} else None"
)


def facts_of(shell: Shell, python: str, timeout_s: float) -> dict[str, Any]:
    """Model, processor, memory, system and Python of a device; JSON values.

    Raises:
        BadInput: the device has no such Python, or it is too old.
        DeviceLost: the device is lost.
        RuntimeFailure: its Python fails.
    """
    source = Path(probe_device.__file__).read_text()
    told = shell.run(f"{quote(python)} -c {quote(_START)} {quote(source)}", timeout_s)
    first, _, rest = told.out.partition("\n")
    if not re.fullmatch(r"\d+ \d+", first):
        raise BadInput(_no_python(shell.address, python, told.words))
    have = tuple(int(n) for n in first.split())
    if have < LEAST_PYTHON:
        raise BadInput(
            f"{shell.address}: {python} is Python {_dotted(have)}, but {_dotted(LEAST_PYTHON)} or newer is "
            "required; use --python to name another interpreter on the device"
        )
    try:
        facts: dict[str, Any] = json.loads(rest)
    except ValueError as error:
        raise RuntimeFailure(f"{shell.address}: {python} there does not work: {told.words}") from error
    return facts


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _no_python(address: str, python: str, words: str) -> str:
    return (
        f"{address}: there is no Python {python!r} that runs ({words}). clearport installs nothing on a device: "
        "install one there (Debian and Ubuntu: sudo apt install python3 python3-venv), or name one with --python"
    )


def conditions_of(shell: Shell, timeout_s: float) -> Conditions:
    """Current temperatures, clocks and load of a Linux device; empty if not readable.

    A single process reads everything, since reading should not raise the clocks.

    Raises:
        DeviceLost: the device is lost.
    """
    return read_conditions(shell.run(f"grep -sH . {' '.join(_ASKED)}", timeout_s).out)


def read_conditions(listing: str) -> Conditions:
    """Conditions from lines of ``path:text``, as ``grep -H`` prints them."""
    found = {match[1]: match[2] for match in map(_LINE.fullmatch, listing.splitlines()) if match}
    with tempfile.TemporaryDirectory() as root:
        for name, text in found.items():
            copy = Path(root, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text)
        return replace(conditions.here(Path(root)), load=_load(found.get(_LOAD)))


def _load(text: str | None) -> float | None:
    try:
        return float(text.split()[0]) if text else None
    except (ValueError, IndexError):
        return None
