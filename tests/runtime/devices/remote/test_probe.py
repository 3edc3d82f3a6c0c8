"""Facts of a device, parsed from its output in any form."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.errors import BadInput, RuntimeFailure
from clearport.runtime.devices.remote.probe import conditions_of, facts_of, read_conditions
from clearport.runtime.latency.conditions import Conditions
from tests.runtime.devices.remote.local_shell import LocalShell

LISTING = """\
/sys/class/thermal/thermal_zone0/type:cpu-thermal
/sys/class/thermal/thermal_zone1/type:gpu: thermal
/sys/class/thermal/thermal_zone0/temp:51121
/sys/class/thermal/thermal_zone1/temp:-40000
/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq:1500000
/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq:2400000
/sys/devices/system/cpu/cpufreq/policy0/scaling_governor:schedutil
/proc/loadavg:0.25 0.10 0.03 1/123 4567
"""


def test_conditions_of_a_board() -> None:
    assert read_conditions(LISTING) == Conditions(
        temperatures_c={"thermal_zone0 cpu-thermal": 51.121, "thermal_zone1 gpu: thermal": -40.0},
        clocks_mhz={"policy0": 1500.0, "policy4": 2400.0},
        governor="schedutil",
        load=0.25,
    )


def test_conditions_that_a_device_does_not_tell_are_empty() -> None:
    assert read_conditions("") == Conditions()
    assert read_conditions("/sys/class/thermal/thermal_zone0/temp:hot\n/proc/loadavg:") == Conditions()


@given(st.text(max_size=200), st.sampled_from(["proc/loadavg", "sys/class/thermal/thermal_zone0/temp", "etc/passwd"]))
def test_no_answer_of_a_device_makes_the_reading_fail(text: str, name: str) -> None:
    assert isinstance(read_conditions(f"/{name}:{text}\n{text}"), Conditions)


def test_names_of_unrequested_files_are_ignored(tmp_path: Path) -> None:
    goal = tmp_path / "written"
    read_conditions(f"/{'../' * 20}{goal}:text\n/sys/class/thermal/../../..{goal}:text\n")
    assert not goal.exists()


def test_conditions_of_this_machine() -> None:
    assert conditions_of(LocalShell(), 30).load is not None


def test_facts_of_this_machine() -> None:
    facts = facts_of(LocalShell(), sys.executable, 60)
    assert facts["python"] == platform.python_version()
    assert facts["machine"] == platform.machine()
    assert facts["numpy"] == np.__version__
    assert 1 <= facts["cores"] <= facts["threads"]
    assert facts["memory_mib"] >= facts["memory_available_mib"] > 0
    assert facts["cpu"]


def script(folder: Path, text: str) -> str:
    """A program that stands in for a device's Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_no_python_says_how_to_get_one() -> None:
    with pytest.raises(
        BadInput, match=r"test:here: there is no Python '/no/python' that runs .*sudo apt install python3"
    ):
        facts_of(LocalShell(), "/no/python", 60)


def test_an_old_python_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is Python 3\.9, but 3\.10 or newer is required"):
        facts_of(LocalShell(), script(tmp_path, 'echo "3 9"'), 60)


@pytest.mark.parametrize("broken", ["echo hello", "exit 3", "echo out of memory >&2; exit 1"])
def test_a_program_that_is_no_python(tmp_path: Path, broken: str) -> None:
    with pytest.raises(BadInput, match="there is no Python"):
        facts_of(LocalShell(), script(tmp_path, broken), 60)


def test_a_python_that_breaks_is_quoted(tmp_path: Path) -> None:
    crash = script(tmp_path, 'echo "3 11"; echo "no module named json" >&2; exit 1')
    with pytest.raises(RuntimeFailure, match="does not work: no module named json"):
        facts_of(LocalShell(), crash, 60)
