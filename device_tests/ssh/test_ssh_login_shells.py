"""Boards whose users have other login shells than a quiet POSIX one, on a real OpenSSH server on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("asyncssh", reason="the extra clearport[ssh] is not installed")

from clearport.errors import RuntimeFailure
from clearport.runtime.devices.device import DeviceLost, Job
from clearport.runtime.devices.remote.stage import Stage
from clearport.runtime.devices.ssh.family import DEVICE
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.worker.launch import Launch
from clearport.runtime.worker.worker import Worker
from device_tests.ssh.boards import TIMEOUT_S, assert_clean, rows_of, settings, shell
from device_tests.ssh.sshd import SSHD, Board, board

pytestmark = pytest.mark.skipif(SSHD is None, reason="there is no sshd here (Debian: apt install openssh-server)")

BANNER = 'echo "Welcome to the lab"; printf "no end of line, /a/path {}" >&2; printf "[Y/n] "'
LOGINS = {
    "bash": ("bash", ".bashrc", BANNER),
    "bash that repeats its commands": ("bash", ".bashrc", "set -xv"),
    "bash without output": ("bash", ".bashrc", "true"),
    "zsh": ("zsh", ".zshenv", BANNER),
    "fish": ("fish", ".config/fish/config.fish", BANNER),
    "tcsh": ("tcsh", ".tcshrc", 'echo "Welcome to the lab"; sh -c "echo to stderr >&2"'),
}
"""Login shell, the start-up file that it reads for a command, and what that does."""


@contextmanager
def board_with(folder: Path, program: str, file: str, lines: str) -> Iterator[Board]:
    """A board that gives every command to another shell, as sshd does with the user's: ``SHELL -c COMMAND``."""
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} here (Debian: apt install {program})")
    start_up = folder / "home" / file
    start_up.parent.mkdir(parents=True)
    start_up.write_text(f"{lines}\n")
    login = folder / "login"
    home = f"HOME={folder / 'home'} XDG_CONFIG_HOME={folder / 'home/.config'} ZDOTDIR={folder / 'home'}"
    login.write_text(f'#!/bin/sh\nexec env -u SHLVL {home} {program} -c "$SSH_ORIGINAL_COMMAND"\n')
    login.chmod(0o755)
    with board(folder, more=f"ForceCommand {login}") as found:
        yield found


@pytest.mark.parametrize(
    "name", [n if n in ("bash", "fish", "tcsh") else pytest.param(n, marks=pytest.mark.slow) for n in LOGINS]
)
def test_commands_and_bytes_pass_any_login_shell(name: str, tmp_path: Path) -> None:
    sent, back = tmp_path / "it's a $file!.bin", tmp_path / "back"
    sent.write_bytes(os.urandom(1 << 18) + b"\r\n\0\n")
    with board_with(tmp_path, *LOGINS[name]) as site:
        with shell(site) as connection:
            words = """it's "a" $HOME! \\n {b,c} ~ `d` *  é"""
            done = connection.run(
                f"cat >/dev/null; printf '%s\\n' '{words.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'\n"
                "for i in 1 2; do echo $i >&2; done; (exit 7)",
                TIMEOUT_S,
            )
            assert (done.code, done.out) == (7, f"{words}\n")
            assert [line for line in done.err.splitlines() if not line.startswith("+")] == ["1", "2"]
            with Stage(connection, str(site.cache / "clearport")) as stage:
                place = stage.put(sent)
                connection.pull(place, back)
                assert stage.free_bytes()
            assert back.read_bytes() == sent.read_bytes()
            voice = connection.speak("cat; echo words >&2")
        told = subprocess.run(voice.argv, input=sent.read_bytes(), capture_output=True, check=True)
        assert told.stdout.partition(voice.mark)[2] == sent.read_bytes()
        assert told.stderr.endswith(voice.mark + b"words\n")
        assert_clean(site)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bash", "fish", "tcsh"])
def test_files_are_measured_behind_any_login_shell(name: str, tmp_path: Path, jobs: list[Job]) -> None:
    with board_with(tmp_path, *LOGINS[name]) as site:
        (row,) = rows_of(site, jobs[:1], settings(site)).values()
        assert isinstance(row.cell, LatencyReport), row.cell
        with DEVICE.open(site.address, settings(site)) as session:
            assert session.facts()["cores"]
            assert session.conditions().load is not None
        assert_clean(site)


def test_the_last_words_of_a_worker_are_its_own(tmp_path: Path) -> None:
    with board_with(tmp_path, *LOGINS["bash"]) as site, shell(site) as connection:
        voice = connection.speak("echo no such library >&2; exit 3")
        launch = Launch(voice.argv, "/nowhere", mark=voice.mark)
        with (
            pytest.raises(RuntimeFailure, match=r"ended with exit code 3\n  \| no such library$"),
            Worker("odd", tmp_path, timeout_s=TIMEOUT_S, launch=launch),
        ):
            pass


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("echo This account is not available.; exit 1", "This account is not available"),
        ("echo be patient >&2; exec false", "be patient"),
        ("exit 0", "it exited with code 0 without output"),
    ],
)
def test_a_login_shell_that_runs_nothing_is_told_as_such(lines: str, words: str, tmp_path: Path) -> None:
    with (
        board_with(tmp_path, "bash", ".bashrc", lines) as site,
        pytest.raises(DeviceLost, match=rf"its login shell does not run `sh -c` \({words}.*start-up files may print"),
        DEVICE.open(site.address, settings(site)),
    ):
        pass
