"""Boards that are lost, hang or fill up, on a real OpenSSH server on loopback: the other rows survive."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("asyncssh", reason="the extra clearport[ssh] is not installed")

from clearport.disk.files import digest
from clearport.errors import RuntimeFailure
from clearport.protocols import no_progress
from clearport.runtime.devices.device import DeviceLost, Job, Row
from clearport.runtime.devices.remote import session as remote
from clearport.runtime.devices.remote.archive import worker_archive
from clearport.runtime.devices.remote.stage import DeviceFull, Stage
from clearport.runtime.devices.ssh import access as ssh_access
from clearport.runtime.devices.ssh.access import Access
from clearport.runtime.devices.ssh.family import DEVICE
from clearport.runtime.devices.ssh.shell import SshShell
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.worker.launch import Launch
from clearport.runtime.worker.worker import Worker
from device_tests.ssh.boards import PLAN, TIMEOUT_S, assert_clean, python_with, reason, rows_of, settings, shell, until
from device_tests.ssh.sshd import SSHD, Board, board

pytestmark = pytest.mark.skipif(SSHD is None, reason="there is no sshd here (Debian: apt install openssh-server)")


def test_a_lost_board_keeps_the_rows_that_it_gave(
    site: Board, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "AT_ONCE", 1)
    rows: list[Row] = []

    def unplug(stage: str, done: int, total: int) -> None:
        if rows and done == 2:
            for connection in site.connections():
                connection.kill()

    with (
        pytest.raises(DeviceLost, match="the connection broke: the board was switched off"),
        DEVICE.open(site.address, settings(site)) as session,
    ):
        for row in session.measure(jobs, PLAN, unplug):
            rows.append(row)  # noqa: PERF402  one by one: the next one raises
    assert [row.artifact for row in rows] == [jobs[0].name]
    assert isinstance(rows[0].cell, LatencyReport)
    until(lambda: not site.processes())
    assert {path.name for path in site.cache.iterdir()} == {"clearport"}
    kept = site.cache / "clearport"
    until(lambda: not any(path.name.startswith("worker-") for path in kept.iterdir()))  # the workers noticed, too
    shutil.rmtree(site.cache)


def test_a_board_that_says_nothing_any_more_is_lost_in_seconds(site: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a cable is pulled: nobody ends the connection, nothing comes."""
    monkeypatch.setattr(ssh_access, "KEEPALIVE_S", 0.5)
    with shell(site) as connection:
        (silent,) = site.connections()
        silent.suspend()
        try:
            with pytest.raises(DeviceLost, match="the connection broke"):
                connection.run("true", TIMEOUT_S)
            assert connection.lost()
        finally:
            silent.kill()
    assert_clean(site)


def test_one_broken_connection_is_one_row(site: Board, jobs: list[Job]) -> None:
    broken: list[int] = []

    def cut(stage: str, done: int, total: int) -> None:
        if done == 2 and not broken:
            newest = site.connections()[-1]  # that of the artifact that was loaded last
            broken.append(newest.pid)
            newest.kill()

    with DEVICE.open(site.address, settings(site)) as session:
        rows = {row.artifact: row for row in session.measure(jobs, PLAN, cut)}
    assert "connection broke" in reason(rows[jobs[-1].name])
    assert all(isinstance(rows[job.name].cell, LatencyReport) for job in jobs[:-1])
    assert_clean(site)


def test_nothing_is_left_after_an_interruption(site: Board, jobs: list[Job]) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if done == 1:
            assert site.cache.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), DEVICE.open(site.address, settings(site)) as session:
        list(session.measure(jobs, PLAN, interrupt))
    assert_clean(site)


HANGING = """
import ctypes, subprocess
class Session:
    def run(self, inputs):
        if inputs["a"].size == 1:
            subprocess.Popen(["sleep", "600"])
            ctypes.PyDLL(None).sleep(600)  # with Python's lock held
        return dict(inputs)
    def facts(self):
        return {"unit": "cpu"}
class Runner:
    name, title, targets, requires = "odd", "Odd", ("odd",), ()
    measures_latency, method = True, "ran on nothing"
    def open(self, path, threads, options):
        return Session()
RUNNER = Runner()
"""


@contextmanager
def odd_worker(site: Board, tmp_path: Path) -> Iterator[Worker]:
    """A runner of the test on the board, which hangs when it is given a single number."""
    (tmp_path / "run_odd.py").write_text(HANGING)
    (tmp_path / "model.bin").write_bytes(b"weights")
    with shell(site) as connection, Stage(connection, str(site.cache / "clearport")) as stage:
        archive = stage.put(worker_archive([], tmp_path))
        serve = json.dumps({"serve": {"folder": stage.folder, "environment": {}}})
        voice = connection.speak(f"exec {sys.executable} {archive} {shlex.quote(serve)}")
        launch = Launch(voice.argv, stage.put(tmp_path / "model.bin"), stage.put(tmp_path / "run_odd.py"), voice.mark)
        with Worker("odd", tmp_path / "model.bin", timeout_s=TIMEOUT_S, launch=launch) as worker:
            yield worker
            worker.close()
            until(lambda: len(site.connections()) == 1)


def test_a_hang_on_the_board_is_ended_with_all_that_it_started(site: Board, tmp_path: Path) -> None:
    with odd_worker(site, tmp_path) as worker:
        data = np.arange(1 << 20, dtype=np.float32)
        np.testing.assert_array_equal(worker.run({"a": data})["a"], data)
        worker.timeout_s = 3.0
        with pytest.raises(RuntimeFailure, match="no answer within 3 s and was ended"):
            worker.run({"a": data[:1]})
    assert_clean(site)


def test_a_worker_on_the_board_ends_when_this_program_is_killed(site: Board, tmp_path: Path) -> None:
    with odd_worker(site, tmp_path) as worker:
        argv = worker._launch.argv
        script = f"import subprocess, time; p = subprocess.Popen({argv!r}, stdin=subprocess.PIPE); time.sleep(600)"
        program = subprocess.Popen([sys.executable, "-c", script])
        until(lambda: len(site.connections()) == 3)
        program.kill()
        program.wait()
        until(lambda: len(site.connections()) == 2)
    assert_clean(site)


LITERT = """
import ctypes, importlib.util
spec = importlib.util.spec_from_file_location("litert_of_this_machine", {real!r})
real = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real)
OpResolverType = real.OpResolverType
class Interpreter(real.Interpreter):
    runs = 0
    def invoke(self):
        self.runs += 1
        if self.runs > 3:
            ctypes.PyDLL(None).sleep(600)
        super().invoke()
"""


@pytest.mark.slow
def test_a_hanging_runtime_is_one_row(site: Board, jobs: list[Job], tmp_path: Path) -> None:
    """LiteRT as it is, but for its fourth inference, which never ends."""
    import ai_edge_litert

    folder = tmp_path / "hanging" / "ai_edge_litert"
    folder.mkdir(parents=True)
    real = Path(ai_edge_litert.__path__[0])
    (folder / "__init__.py").write_text(f"__path__.append({str(real)!r})\n")
    (folder / "interpreter.py").write_text(LITERT.format(real=str(real / "interpreter.py")))
    python = python_with(tmp_path, tmp_path / "hanging")
    rows = rows_of(site, jobs, settings(site, python, timeout_s=30.0))
    assert "gave no answer within 30 s and was ended" in reason(rows["tflite/int8"])
    assert isinstance(rows["onnxruntime/int8"].cell, LatencyReport), rows["onnxruntime/int8"].cell
    assert_clean(site)


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Board]:
    """A board whose cache is a disk of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    try:
        (tmp_path / "site").mkdir()
        with board(tmp_path / "site", cache=disk) as found:
            yield found
            until(lambda: not found.processes())
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_what_does_not_fit_is_one_row(cramped: Board, jobs: list[Job], tmp_path: Path) -> None:
    big = tmp_path / "big.tflite"
    big.write_bytes(bytes(8 << 20))
    artifact = replace(jobs[0].artifact, path=big, sha256=digest(big))
    rows = rows_of(cramped, [replace(jobs[0], artifact=artifact, label="big"), *jobs], settings(cramped))
    assert "is full: big.tflite needs 9.0 MiB" in reason(rows["big"])
    assert all(isinstance(rows[job.name].cell, LatencyReport) for job in jobs)
    assert list(cramped.cache.iterdir()) == []


def test_a_board_that_is_full_is_told_at_once(cramped: Board, jobs: list[Job]) -> None:
    fill(cramped.cache)
    with (
        pytest.raises(DeviceLost, match=r"is full: clearport-worker\.pyz needs .* has 0\.0 MiB free"),
        DEVICE.open(cramped.address, settings(cramped)) as session,
    ):
        list(session.measure(jobs, PLAN, no_progress))
    assert [path.name for path in cramped.cache.iterdir()] == ["ballast"]


def test_a_board_that_fills_up_during_a_push(cramped: Board, tmp_path: Path) -> None:
    class Filling(SshShell):
        """Somebody else writes to the disk between the look and the push."""

        def push(self, local: Path, remote: str) -> None:
            fill(cramped.cache)
            super().push(local, remote)

    file = tmp_path / "model.bin"
    file.write_bytes(bytes(1 << 20))
    with (
        Filling(Access.of(cramped.address, settings(cramped)), TIMEOUT_S) as connection,
        Stage(connection, str(cramped.cache / "clearport")) as stage,
        pytest.raises(DeviceFull, match=r"became full while model\.bin was pushed.*No space left on device"),
    ):
        stage.put(file)
    assert [path.name for path in cramped.cache.iterdir()] == ["ballast"]
