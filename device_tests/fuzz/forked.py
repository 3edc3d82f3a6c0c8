"""The command line in a child of a process that has everything imported, so that no command pays for imports.

The server has one thread when it forks: no lock of a library is held in the child. Runtimes run in workers anyway.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

WALL_S = 90.0
"""After this a command is killed and counts as hung."""
KILLED, UNCAUGHT = 250, 251
"""Exit codes of a command that hung, and of one that an exception left; no command has them."""


@dataclass(frozen=True)
class Ended:
    """What a command left: exit code, standard error, CPU seconds, and the peak resident set of its largest process."""

    code: int
    err: str
    cpu_s: float
    peak_mib: int


class Forked:
    """Runs commands one after the other; a context manager."""

    def __enter__(self) -> Forked:
        line = [sys.executable, "-m", "device_tests.fuzz.forked"]
        self._server = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stdin.close()  # type: ignore[union-attr]  # it was asked for
        self._server.wait(timeout=120)
        self._server.stdout.close()  # type: ignore[union-attr]

    def run(self, folder: Path, *words: str | Path) -> Ended:
        """``clearport WORDS`` in ``folder``, which also takes what it prints."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"folder": str(folder), "words": [str(word) for word in words]}) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return Ended(
            answer["code"], (folder / "err.txt").read_text(errors="replace"), answer["cpu_s"], answer["peak_mib"]
        )


def _serve() -> None:
    import onnx_ir  # noqa: F401  # what commands import, once for all of them
    import torch
    from PIL import Image

    from clearport.pipeline import verify as pipeline_verify  # noqa: F401

    torch.set_num_threads(1)
    Image.init()
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _command(Path(asked["folder"]), asked["words"])
        sys.stdout.write(json.dumps(_wait(child)) + "\n")
        sys.stdout.flush()


def _wait(child: int) -> dict[str, Any]:
    end = time.monotonic() + WALL_S
    hung = False
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            break
        if time.monotonic() > end and not hung:
            hung = True
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.01)
    code = KILLED if hung else os.waitstatus_to_exitcode(status)
    return {"code": code, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss >> 10}


def _command(folder: Path, words: list[str]) -> None:
    """In the child: never returns."""
    from clearport.cli import app as cli

    os.setsid()
    os.chdir(folder)
    for number, name in ((1, "out.txt"), (2, "err.txt")):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    sys.argv = ["clearport", *words]
    code: Any = UNCAUGHT
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # what it is, the test sees
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _serve()
