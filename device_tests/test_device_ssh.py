"""Boards over SSH, against a real OpenSSH server on loopback: what runs there, and every way in which it can fail."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("asyncssh", reason="the extra clearport[ssh] is not installed")

import clearport
from clearport.base import BadInput, RuntimeFailure, Skipped, no_progress
from clearport.bundle import Bundle
from clearport.files import digest
from clearport.pipeline_bench import BenchRequest
from clearport.pipeline_bench_jobs import jobs_for, subjects_of
from clearport.runtime import remote, ssh_access
from clearport.runtime.device import DeviceLost, Job, Row, Settings
from clearport.runtime.latency_record import LatencyPlan, LatencyReport
from clearport.runtime.launch import Launch
from clearport.runtime.on_ssh import DEVICE
from clearport.runtime.remote_archive import worker_archive
from clearport.runtime.remote_stage import DeviceFull, Stage
from clearport.runtime.ssh_access import Access
from clearport.runtime.ssh_shell import SshShell
from clearport.runtime.worker import Worker
from device_tests.conftest import command
from device_tests.sshd import SSHD, Board, board, make_key

pytestmark = pytest.mark.skipif(SSHD is None, reason="there is no sshd here (Debian: apt install openssh-server)")

PLAN = LatencyPlan(rounds=3, runs=2, warmup=1, min_seconds=0.0)
TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with board(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """NCNet at 64x64, int8, for the two runtimes that boards have."""
    folder = tmp_path_factory.mktemp("small") / "ncnet"
    options: dict[str, Any] = {"targets": ("tflite", "onnxruntime"), "precisions": ("int8",), "measure": False}
    return clearport.export("ncnet", folder, size="64x64", calibration=few_photos, **options)


@pytest.fixture(scope="module")
def jobs(small: Bundle) -> list[Job]:
    return jobs_for(subjects_of(small, BenchRequest(small.folder)), False, "cpu")


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


def until(done: Callable[[], bool], within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
    assert done()


def assert_clean(site: Board) -> None:
    """No file and no process is left on the board."""
    until(lambda: not site.processes())
    assert not site.cache.exists()


def test_bench_runs_checks_and_times_a_bundle_on_a_board(site: Board, small: Bundle, tmp_path: Path) -> None:
    record = tmp_path / "bench.json"
    done = command(
        *("bench", small.folder, "--device", site.address, "--identity", site.identity, "--known-hosts", site.known),
        *("--python", sys.executable, "--runs", "12", "--seconds", "0", "--threads", "1", "--json", record),
    )
    assert done.code == 0, done.err
    told = json.loads(record.read_text())
    assert {(row["artifact"], row["runner"]) for row in told["rows"]} == {
        ("tflite/int8", "litert"),
        ("onnxruntime/int8", "onnxruntime"),
        ("onnxruntime/int8/ort", "onnxruntime"),
    }
    for row in told["rows"]:
        assert row["device"] == site.address
        assert row["cell"]["kind"] == "measured"
        assert row["cell"]["unit_ran"] == "cpu"
        assert len(row["cell"]["samples_ms"]) >= 12
        assert min(row["cell"]["samples_ms"]) > 0
        assert row["golden"]["passed"] is True
    assert_clean(site)


def test_rows_are_those_of_this_machine_to_the_bit(site: Board, jobs: list[Job]) -> None:
    rows = rows_of(site, jobs, settings(site))
    for job in jobs:
        row = rows[job.name]
        assert isinstance(row.cell, LatencyReport), row.cell
        with Worker(row.runner, job.artifact.path) as worker:
            expected = worker.run(job.inputs)
        assert row.outputs.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(row.outputs[name], array)
    assert_clean(site)


def test_facts_and_conditions_are_the_boards(site: Board) -> None:
    with DEVICE.open(site.address, settings(site)) as session:
        assert session.facts()["machine"] == os.uname().machine
        assert session.facts()["numpy"] == np.__version__
        assert session.conditions().load is not None


def test_files_go_and_come_back(site: Board, tmp_path: Path) -> None:
    local = tmp_path / "it's a $file.bin"
    local.write_bytes(os.urandom(3 << 20) + b"\r\n\0\n")
    with shell(site) as connection, Stage(connection, str(site.cache / "clearport")) as stage:
        place = stage.put(local)
        connection.pull(place, tmp_path / "back")
        with pytest.raises(RuntimeFailure, match=r"nothing cannot be copied: cat: .*No such file"):
            connection.pull("/nothing", tmp_path / "none")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()
    assert_clean(site)


def test_a_command_tells_its_words_its_code_and_its_signal(site: Board) -> None:
    with shell(site) as connection:
        done = connection.run("echo out; echo err >&2; exit 7", TIMEOUT_S)
        assert (done.code, done.out, done.err) == (7, "out\n", "err\n")
        assert connection.run("kill -9 $$", TIMEOUT_S).code == 128 + 9
        with pytest.raises(RuntimeFailure, match=r"no answer within 1 s \(sleep 600\)"):
            connection.run("sleep 600", 1.0)
        assert connection.run("cat", TIMEOUT_S).code == 0  # its input is empty, and not this program's


def test_the_bridge_carries_bytes_as_they_are_and_the_end_of_a_command(site: Board) -> None:
    data = os.urandom(5 << 20) + b"\r\n\x03\x04\x11\x13\0"
    with shell(site) as connection:
        argv = connection.speak("cat; echo words >&2; kill -6 $$")
        done = subprocess.run(argv, input=data, capture_output=True, check=False)
    assert done.stdout == data
    assert done.stderr == b"words\n"
    assert done.returncode == 128 + 6


# --- Who may get in -------------------------------------------------------------------------------------------------


def fingerprint(public: Path) -> str:
    told = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True)
    return told.stdout.split()[1]


def test_an_unknown_host_is_refused_until_its_key_is_pinned_as_the_message_says(site: Board, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("# nobody\n")
    with pytest.raises(BadInput, match="the host's key is not known") as refusal, refused(site, known_hosts=known):
        pass
    assert fingerprint(site.folder / "host.pub") in str(refusal.value)
    assert known.read_text() == "# nobody\n"
    follow(str(refusal.value))
    with DEVICE.open(site.address, settings(site, known_hosts=known)) as session:
        assert session.facts()


def test_a_changed_host_key_is_refused_until_it_is_pinned_anew(site: Board, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    make_key(tmp_path / "other")
    known.write_text(f"[127.0.0.1]:{site.port} {(tmp_path / 'other.pub').read_text()}")
    with pytest.raises(BadInput, match="THE HOST'S KEY HAS CHANGED") as refusal, refused(site, known_hosts=known):
        pass
    assert fingerprint(site.folder / "host.pub") in str(refusal.value)
    assert fingerprint(tmp_path / "other.pub") in str(refusal.value)
    follow(str(refusal.value))
    with DEVICE.open(site.address, settings(site, known_hosts=known)) as session:
        assert session.facts()


def follow(message: str) -> None:
    """Type what a message says at its end."""
    lines = message[message.index(": ssh-keygen -f" if "CHANGED" in message else ": echo") + 2 :].split(", then ")
    for line in lines:
        subprocess.run(["sh", "-ec", line], check=True, capture_output=True)


def test_a_host_that_shows_another_kind_of_key_has_changed(site: Board, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", tmp_path / "rsa"], check=True)
    known.write_text(f"[127.0.0.1]:{site.port} {(tmp_path / 'rsa.pub').read_text()}")
    with pytest.raises(BadInput, match="HAS CHANGED") as refusal, refused(site, known_hosts=known):
        pass
    assert fingerprint(site.folder / "host.pub") in str(refusal.value)


def test_the_bridge_does_not_trust_a_host_either(site: Board, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("# nobody\n")
    access = Access.of(site.address, settings(site, known_hosts=tmp_path / "known_hosts"))
    done = subprocess.run(SshShell(access, 60).speak("echo in"), capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert done.stdout == ""
    assert "the host's key is not known" in done.stderr


def test_a_key_that_the_board_does_not_take(site: Board, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    said = rf"accepts none of your keys \(.*stranger\).*ssh-copy-id -i .*stranger -p {site.port} "
    with pytest.raises(BadInput, match=said), refused(site, identity=tmp_path / "stranger"):
        pass


def test_a_key_with_a_passphrase_or_none_at_all(site: Board, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", locked], check=True)
    with pytest.raises(BadInput, match=r"locked cannot be used .*ssh-add"), refused(site, identity=locked):
        pass
    (tmp_path / "text").write_text("no key\n")
    with pytest.raises(BadInput, match="text cannot be used"), refused(site, identity=tmp_path / "text"):
        pass


def test_nobody_answers(site: Board) -> None:
    for address in ("ssh:127.0.0.1:9", "ssh:no-such-board.invalid"):
        with pytest.raises(DeviceLost, match=f"{address} does not answer"), DEVICE.open(address, settings(site)):
            pass


def refused(site: Board, **chosen: object) -> AbstractContextManager[object]:
    return DEVICE.open(site.address, settings(site, **chosen))  # type: ignore[arg-type]


# --- What the board lacks -------------------------------------------------------------------------------------------


def test_a_board_without_python_says_how_to_get_one(site: Board) -> None:
    said = r"there is no Python '/no/python' that runs .*sudo apt install python3"
    with pytest.raises(BadInput, match=said), DEVICE.open(site.address, settings(site, "/no/python")):
        pass
    assert_clean(site)


def test_runtimes_that_the_board_lacks_are_named_with_their_install_line(
    site: Board, jobs: list[Job], tmp_path: Path
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    rows = rows_of(site, jobs, settings(site, python))
    said = f"numpy and ai-edge-litert are missing in the device's Python ({python}); to add there: {python} -m pip"
    assert said in reason(rows["tflite/int8"])
    assert "numpy and onnxruntime are missing" in reason(rows["onnxruntime/int8"])
    assert_clean(site)


def test_one_runtime_that_is_missing_does_not_lose_the_others(site: Board, jobs: list[Job], tmp_path: Path) -> None:
    """A Python whose packages are those of this one, without LiteRT."""
    folder = tmp_path / "site"
    folder.mkdir()
    for place in Path(np.__file__).parent.parent.iterdir():
        if "litert" not in place.name and not place.name.startswith("__"):
            (folder / place.name).symlink_to(place)
    rows = rows_of(site, jobs, settings(site, python_with(tmp_path, folder, bare=True)))
    assert reason(rows["tflite/int8"]).startswith("ai-edge-litert is missing")
    assert isinstance(rows["onnxruntime/int8"].cell, LatencyReport), rows["onnxruntime/int8"].cell


def python_with(folder: Path, packages: Path, *, bare: bool = False) -> Path:
    """This Python with more on its path, or with that alone."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} {"-S " if bare else ""}"$@"\n')
    path.chmod(0o755)
    return path


# --- What breaks while it runs ---------------------------------------------------------------------------------------


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
    until(lambda: not site.processes())  # the workers noticed, too
    assert {path.name for path in site.cache.iterdir()} == {"clearport"}
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
        argv = connection.speak(f"exec {sys.executable} {archive} {shlex.quote(serve)}")
        launch = Launch(argv, stage.put(tmp_path / "model.bin"), stage.put(tmp_path / "run_odd.py"))
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


# --- A full board ----------------------------------------------------------------------------------------------------


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
