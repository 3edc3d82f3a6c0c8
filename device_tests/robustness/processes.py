"""Commands in forked processes, which have everything imported: started, waited for, killed."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from clearport.cli import app as cli

from .scene import Scene


def forked(words: Sequence[str], temporary: Path, log: Path) -> int:
    """Start a command; the id of its process, which leads a session."""
    process = os.fork()
    if process:
        return process
    try:
        os.setsid()
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(sink, number)
        sys.argv = ["clearport", *words]
        import torch

        torch.set_num_threads(1)
        cli.main()
    except SystemExit as ended:
        sys.stdout.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    finally:
        os._exit(99)


def finished(process: int, limit_s: float = 300.0) -> int:
    """The exit code of a command, minus the number of the signal if one ended it."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return 98


def warm() -> None:
    """Import what the commands import, so that the time of a fork is that of work."""
    import onnx
    import onnxruntime
    import torch

    del onnx, onnxruntime, torch


def timed(words: Sequence[str], scene: Scene, log: Path) -> tuple[int, float]:
    began = time.monotonic()
    code = finished(forked(words, scene.temporary, log))
    return code, time.monotonic() - began


def kill(process: int, *, whole: bool) -> None:
    """Kill a command, and with ``whole`` its workers as well, which otherwise notice by themselves."""
    workers = _below(process) if whole else []
    for number in (process, *workers):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _below(process: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(process).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
