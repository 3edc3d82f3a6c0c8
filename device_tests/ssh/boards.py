"""What the tests of boards share: how they are reached, and what must hold of them afterwards."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clearport.base import Skipped
from clearport.protocols import no_progress
from clearport.runtime.devices.device import Job, Row, Settings
from clearport.runtime.devices.ssh.access import Access
from clearport.runtime.devices.ssh.family import DEVICE
from clearport.runtime.devices.ssh.shell import SshShell
from clearport.runtime.latency.record import LatencyPlan
from device_tests.ssh.sshd import Board

PLAN = LatencyPlan(rounds=3, runs=2, warmup=1, min_seconds=0.0)
TIMEOUT_S = 60.0


def settings(site: Board, python: str | Path = sys.executable, **more: object) -> Settings:
    known = {"identity": site.identity, "known_hosts": site.known, "timeout_s": TIMEOUT_S}
    return Settings(python=str(python), **{**known, **more})  # type: ignore[arg-type]


def shell(site: Board) -> SshShell:
    return SshShell(Access.of(site.address, settings(site)), TIMEOUT_S)


def rows_of(site: Board, jobs: Sequence[Job], chosen: Settings) -> dict[str, Row]:
    with DEVICE.open(site.address, chosen) as session:
        return {row.artifact: row for row in session.measure(jobs, PLAN, no_progress)}


def reason(row: Row) -> str:
    assert isinstance(row.cell, Skipped), row.cell
    return row.cell.reason


def until(done: Callable[[], bool], within_s: float = 120.0) -> None:
    end = time.monotonic() + within_s
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
    assert done()


def assert_clean(site: Board) -> None:
    """No file and no process is left on the board."""
    until(lambda: not site.processes())
    assert not site.cache.exists()


def python_with(folder: Path, packages: Path, *, bare: bool = False) -> Path:
    """This Python with more on its path, or with that alone."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} {"-S " if bare else ""}"$@"\n')
    path.chmod(0o755)
    return path
