"""Boards over SSH, against a real OpenSSH server on loopback: what runs there and what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("asyncssh", reason="the extra clearport[ssh] is not installed")

from clearport.bundle.folder import Bundle
from clearport.errors import BadInput, RuntimeFailure
from clearport.runtime import overflow
from clearport.runtime.devices.device import Job
from clearport.runtime.devices.remote.stage import Stage
from clearport.runtime.devices.ssh.family import DEVICE
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.worker.worker import Worker
from device_tests.conftest import command
from device_tests.ssh.boards import TIMEOUT_S, assert_clean, python_with, reason, rows_of, settings, shell
from device_tests.ssh.sshd import SSHD, Board

pytestmark = pytest.mark.skipif(SSHD is None, reason="there is no sshd here (Debian: apt install openssh-server)")


def test_bench_runs_checks_and_times_a_bundle_on_a_board(site: Board, small: Bundle, tmp_path: Path) -> None:
    record = tmp_path / "bench.json"
    done = command(
        *("bench", small.folder, "--device", site.address, "--identity", site.identity, "--known-hosts", site.known),
        *("--python", sys.executable, "--runs", "12", "--seconds", "0", "--threads", "1", "--json", record),
    )
    wrong = {"onnxruntime/int8/ort"} if overflow.onnxruntime_does() else set()  # the board has this machine's CPU
    assert done.code == bool(wrong), done.err
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
        assert row["golden"]["passed"] == (row["artifact"] not in wrong)
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
        voice = connection.speak("cat; echo words >&2; kill -6 $$")
        done = subprocess.run(voice.argv, input=data, capture_output=True, check=False)
    assert done.stdout == voice.mark + data
    assert done.stderr == voice.mark + b"words\n"
    assert done.returncode == 128 + 6


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
