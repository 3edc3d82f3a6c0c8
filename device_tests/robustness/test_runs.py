"""The short form of ``runs.py`` for every day, and the long one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and mounts as Linux does")


def of(*words: str) -> dict[str, Any]:
    line = [sys.executable, "-m", "device_tests.robustness.runs", *words]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
    return dict(json.loads(done.stdout))


def test_a_few_killed_trainings_lose_nothing_and_are_cleaned_up() -> None:
    found = of("kills", "--count", "3", "--only", "train")
    assert found["wrong"] == []
    assert sum(found["ends"].values()) == 3


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_kills_lose_nothing_and_are_cleaned_up() -> None:
    found = of("kills", "--count", "200")
    assert found["wrong"] == []
    assert sum(number for end, number in found["ends"].items() if "killed" in end) > 150


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.geteuid() != 0, reason="small disks are mounted, which takes root")
def test_thirty_full_disks_leave_no_half_output() -> None:
    found = of("disks", "--count", "30")
    assert found["wrong"] == []
    assert {end.partition(" ")[2] for end in found["ends"]} == {"done", "refused"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_of_two_writers_one_is_refused() -> None:
    assert of("writers")["wrong"] == []
