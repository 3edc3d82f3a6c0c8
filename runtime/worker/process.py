"""The subprocess of a worker: in its own session, with a log and a folder for temporary files.

Ctrl-C therefore reaches only the parent, which ends the subprocess with everything that it started.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from clearport.disk.leftovers import Scratch

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_QUOTED_LINES = 8
_DYING_S = 1.0
"""Seconds that a process has to exit after its stream ended."""


class WorkerProcess:
    """A subprocess with pipes at its stdin and stdout.

    Args:
        argv: the command.
        environment: variables in addition to this process's environment and ``TMPDIR``.
        mark: see ``Launch.mark``.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], mark: bytes = b"") -> None:
        self._mark, self._unheard = mark, mark
        self._folder = Scratch("worker")
        try:
            with self._log.open("wb") as log:
                self.popen = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, "TMPDIR": str(self._folder.folder), **environment},
                    start_new_session=True,
                )
        except BaseException:
            self._folder.close()
            raise
        _RUNNING.add(self)

    @property
    def stdin(self) -> IO[bytes]:
        assert self.popen.stdin is not None
        return self.popen.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self.popen.stdout is not None
        return self.popen.stdout

    def skip_to_mark(self) -> None:
        """Read up to the mark, once; bytes before it are not the worker's. Stops at the end of the stream."""
        read = b""
        while self._unheard and not read.endswith(self._unheard):
            byte = self.stdout.read(1)  # byte by byte: the buffer must not be read beyond the mark
            if not byte:
                return
            read = (read + byte)[-len(self._unheard) :]
        self._unheard = b""

    def kill(self) -> None:
        """End it and its subprocesses, from any thread; ``close`` must still be called."""
        if self.popen.returncode is not None:
            return  # it was reaped: its id may have been reused
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except AttributeError:  # Windows has no such process groups
            self.popen.kill()
        except (ProcessLookupError, PermissionError):  # it has ended; on macOS the latter if it was not reaped yet
            pass

    def close(self) -> None:
        """End it, and remove its log and temporary files."""
        self.kill()
        for stream in (self.stdin, self.stdout):
            _close_quietly(stream)
        self.popen.wait()
        self._folder.close()

    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal's number; None while it runs."""
        try:
            return self.popen.wait(timeout=_DYING_S)
        except subprocess.TimeoutExpired:
            return None

    def last_words(self, said: str) -> str:
        """The last lines of its log, unless ``said`` contains them already."""
        try:
            text = _ANSI.sub("", self._log.read_text(errors="replace"))
            text = text.rpartition(self._mark.decode())[2] if self._mark else text
        except OSError:
            return ""
        lines = [line for line in text.splitlines() if line.strip() and line.strip() not in said]
        return "".join(f"\n  | {line}" for line in lines[-_QUOTED_LINES:])

    @property
    def _log(self) -> Path:
        return self._folder.folder / "stderr.txt"


class Deadline:
    """Kills the process if the block takes longer than ``seconds``; then ``passed`` is true.

    The death of the process ends the block's pending read or write, so that nothing has to poll.
    """

    def __init__(self, process: WorkerProcess, seconds: float) -> None:
        self.passed = False
        self._process = process
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def _expire(self) -> None:
        self.passed = True
        self._process.kill()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


_RUNNING: weakref.WeakSet[WorkerProcess] = weakref.WeakSet()


def end_all() -> None:
    """End every worker, for shutdown; pending calls raise RuntimeFailure."""
    for process in list(_RUNNING):
        process.kill()


def _close_quietly(stream: Any) -> None:
    with contextlib.suppress(OSError):  # unsent data have no reader any more
        stream.close()
