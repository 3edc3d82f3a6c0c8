"""Signals and terminals: an ended command leaves no half-written files, and no terminal causes a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = """
import sys, time
from pathlib import Path
from clearport.cli.errors import guarded
from clearport.disk.files import atomic_path
from clearport.disk.leftovers import Scratch
from clearport.disk.outputs import OutBundle, claimed

def command(**_):
    place = Path(sys.argv[1])
    with Scratch("worker"), claimed(OutBundle(place)), atomic_path(place) as temporary:
        temporary.mkdir()
        (temporary / "half").write_text("half")
        print("ready", flush=True)
        time.sleep(60)

guarded(command)
"""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PATIENCE_S = 55
"""Less than a command sleeps: one that listens to no signal must not pass by ending of itself."""


@pytest.fixture(autouse=True)
def _hung_up_as_from_a_terminal() -> Iterator[None]:
    """Where the tests run below ``nohup``, what they start would ignore SIGHUP; a handled signal is not passed on."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGHUP, before)


def started(tmp_path: Path, *before: str) -> subprocess.Popen[str]:
    (tmp_path / "tmp").mkdir()
    line = [*before, sys.executable, "-c", COMMAND, str(tmp_path / "out")]
    running = subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    return running


def nothing_left(tmp_path: Path) -> bool:
    return sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == ["tmp"]


@pytest.mark.parametrize("number", ENDING, ids=lambda n: n.name)
@pytest.mark.parametrize("shell", ["", "trap '' INT QUIT; exec \"$@\""], ids=["job", "background job"])
def test_every_signal_that_ends_a_command_unwinds_it(tmp_path: Path, number: signal.Signals, shell: str) -> None:
    running = started(tmp_path, *(["sh", "-c", shell, "sh"] if shell else []))
    os.kill(running.pid, number)
    os.kill(running.pid, signal.SIGHUP)  # as when a terminal closes: the shell and the kernel both send one
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130
    assert "interrupted" in said
    assert nothing_left(tmp_path)


def test_nohup_is_respected(tmp_path: Path) -> None:
    running = started(tmp_path, "sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
    os.kill(running.pid, signal.SIGHUP)
    time.sleep(0.3)
    assert running.poll() is None
    os.kill(running.pid, signal.SIGTERM)
    running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130


def test_a_terminal_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    running = started(tmp_path)
    assert running.stderr is not None
    running.stderr.close()
    os.kill(running.pid, signal.SIGHUP)
    running.wait(timeout=PATIENCE_S)
    assert running.stdout is not None
    running.stdout.close()
    assert running.returncode == 130
    assert nothing_left(tmp_path)


SHOWN = """
import sys
from rich.text import Text
from clearport.cli import show as cli_show
from clearport.errors import CheckFailed
from clearport.cli.errors import guarded

def command(**_):
    cli_show.print_parts(cli_show.table("Gemessen – größer", ("artifact", "≥"), [("tflite/int8", "√")]))
    cli_show.print_parts(Text("✓ ┃ 日本 \\udcff"))
    cli_show.print_json({"name": "größer – 日本 \\U0001f600 \\udcff"})
    sys.stderr.write("größer – 日本 \\udcff\\n")
    if "fails" in sys.argv:
        raise CheckFailed("größer – 日本 \\udcff")

guarded(command)
"""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8", "shift-jis"])
def test_no_terminal_ends_a_command(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for word, code in (("fine", 0), ("fails", 1)):
        done = subprocess.run([sys.executable, "-c", SHOWN, word], env=environment, capture_output=True, check=False)
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"tflite/int8" in done.stdout
    assert b"error: gr" in done.stderr


@pytest.mark.parametrize("words", [("list", "ncnet"), ("export", "--help"), ("eval",)])
def test_commands_on_an_ascii_terminal(words: tuple[str, ...]) -> None:
    environment = {
        **os.environ,
        "PYTHONIOENCODING": "ascii",
        "PYTHONUTF8": "0",
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
    }
    line = [sys.executable, "-m", "clearport", *words]
    done = subprocess.run(line, env=environment, capture_output=True, check=False)
    assert done.returncode == (2 if words == ("eval",) else 0)
    assert b"Traceback" not in done.stderr


def test_a_full_disk_behind_standard_output_is_an_error_and_no_traceback() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "clearport", "list", "ncnet"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
