"""Entry point of a worker's archive on a device: a guard process that starts the worker and ends it after a hang-up.

    python3 clearport-worker.pyz '{"serve": {"folder": "/where/it/may/write", "environment": {}}}'
    python3 clearport-worker.pyz '{"survey": {"litert": ["numpy", "ai-edge-litert"]}}'

A local worker is killed with its process group. On a device only the stream between the two ends: then the guard kills
the worker and its subprocesses, even if a runtime hangs while holding the GIL, and removes its temporary files,
including caches of runtimes. It imports only the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from typing import TYPE_CHECKING, Any

from clearport.registry import RUNNERS, missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL | getattr(select, "POLLRDHUP", 0)


def main() -> int:
    """Run the command line; returns the exit code."""
    asked = json.loads(sys.argv[1])
    if "survey" in asked:
        print(json.dumps(survey(asked["survey"])))  # noqa: T201  this is what the other side reads
        return 0
    return guard(**asked["serve"])


def survey(runners: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """Runner -> obstacles on this device: ``missing`` distributions of its list, or the reason ``unavailable``."""
    return {name: _obstacles(name, wanted) for name, wanted in runners.items()}


def _obstacles(name: str, wanted: Sequence[str]) -> dict[str, Any]:
    absent = missing(tuple(wanted))
    if absent:
        return {"missing": absent, "unavailable": None}
    try:
        unavailable = getattr(RUNNERS.get(name), "unavailable", lambda: None)()
    except Exception as error:  # after any error this runner cannot be used here
        unavailable = f"{type(error).__name__}: {error}"
    return {"missing": [], "unavailable": unavailable}


def guard(folder: str, environment: Mapping[str, str]) -> int:
    """Run a worker on descriptors 0 and 1 until the other side hangs up; returns the worker's exit code."""
    temporary = tempfile.mkdtemp(prefix="worker-", dir=folder)
    try:
        worker = os.fork()
        if worker == 0:
            _serve({**environment, "TMPDIR": temporary, "XDG_CACHE_HOME": temporary})
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: _end(worker))
        threading.Thread(target=_watch, args=(worker,), daemon=True).start()
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        _end(worker)  # its subprocesses may still run
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return 128 - code if code < 0 else code


def _serve(environment: Mapping[str, str]) -> None:
    """The worker itself, in its own session."""
    try:
        os.setsid()
        os.environ.update(environment)
        from clearport.runtime.worker.child import main as serve

        os._exit(serve())
    except BaseException:  # the guard's code must not continue in this process
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _watch(worker: int) -> None:
    """Wait for the hang-up without reading from the stream, which is the worker's."""
    poll = select.poll()
    poll.register(0, getattr(select, "POLLRDHUP", 0))
    while not any(events & _GONE for _, events in poll.poll()):
        pass
    _end(worker)


def _end(worker: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker, signal.SIGKILL)
        return
    with contextlib.suppress(ProcessLookupError):  # it has no own session yet
        os.kill(worker, signal.SIGKILL)
