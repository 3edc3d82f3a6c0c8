"""The child side of a worker: opens an artifact with its runner and serves run, time and facts until the parent exits.

It imports only numpy and a few small modules of clearport; everything else is imported by the runner.
File descriptors 0 and 1 are moved first, so that the output of a runtime goes to the error log and never between two
messages.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from clearport import heap
from clearport.registry import RUNNERS, installed_versions, missing
from clearport.runtime.worker import wire

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.protocols import Runner, Session

    Reply = tuple[dict[str, Any], Mapping[str, Array]]

_TRACE_CHARS = 50_000
"""Maximum characters of a traceback, cut at its start: messages have a size limit."""

_PARENT_CHECK_S = 1.0


class _Server:
    """One opened artifact and the commands on it."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._inputs: dict[str, Array] = {}
        self._about: dict[str, Any] = {}
        self.commands: Mapping[str, Callable[[dict[str, Any], dict[str, Array]], Reply]] = {
            "open": self._open,
            "run": self._run,
            "time": self._time,
            "facts": self._facts,
            "profile": self._profile,
            "shown": self._shown,
            "release": self._release,
        }

    def _open(self, head: dict[str, Any], _: dict[str, Array]) -> Reply:
        runner = _find_runner(head["runner"], head["plugin"])
        absent = missing(runner.requires)
        if absent:
            extra = getattr(runner, "extra", runner.targets[0])
            return {"missing": absent[0], "extra": extra}, {}
        unavailable: Callable[[], str | None] | None = getattr(runner, "unavailable", None)
        if unavailable is not None and (reason := unavailable()):
            return {"unavailable": reason}, {}
        if head["pin"]:
            _pin(head["pin"])
        prepare: Callable[[], None] | None = getattr(runner, "prepare", None)
        if prepare is not None:
            prepare()  # imports the runtime, so that init_ms is only the load of the model
        self._session = None  # close a previous artifact first: two might not fit in memory
        start = time.perf_counter()
        self._session = runner.open(Path(head["path"]), head["threads"], head["options"])
        self._about = {
            "runner": runner.name,
            "method": runner.method,
            "init_ms": (time.perf_counter() - start) * 1e3,
            "threads": head["threads"],
            "pinned": head["pin"],
            "io_copies_counted": not hasattr(self._session, "invoke"),
            "python": platform.python_version(),
            "versions": installed_versions(runner.requires),
        }
        return dict(self._about), {}

    def _release(self, _: dict[str, Any], __: dict[str, Array]) -> Reply:
        self._session, self._inputs, self._about = None, {}, {}
        heap.release()
        return {"memory_mib": memory_mib()}, {}

    def _opened(self) -> Session:
        if self._session is None:
            raise RuntimeError("no file is open")
        return self._session

    def _run(self, _: dict[str, Any], inputs: dict[str, Array]) -> Reply:
        session = self._opened()
        start = time.perf_counter()
        outputs = session.run(inputs)
        self._note_first((time.perf_counter() - start) * 1e3)
        return {}, outputs

    def _note_first(self, elapsed_ms: float) -> None:
        self._about.setdefault("first_inference_ms", elapsed_ms)

    def _time(self, head: dict[str, Any], inputs: dict[str, Array]) -> Reply:
        if inputs:
            self._inputs = inputs
        call = self._call_of(self._opened())
        warmup_ms = [_stopwatch(call)[0] for _ in range(head["warmup"])]
        gc.disable()  # garbage collection within a sample would count as the runtime's time
        try:
            samples = [_stopwatch(call) for _ in range(head["runs"])]
        finally:
            gc.enable()
        wall_ms = [wall for wall, _ in samples]
        for elapsed_ms in (warmup_ms + wall_ms)[:1]:
            self._note_first(elapsed_ms)
        return {"warmup_ms": warmup_ms, "wall_ms": wall_ms, "cpu_ms": [cpu for _, cpu in samples]}, {}

    def _call_of(self, session: Session) -> Callable[[], object]:
        """One inference, without copies of inputs and outputs if the session separates them."""
        bind = getattr(session, "bind", None)
        invoke: Callable[[], None] | None = getattr(session, "invoke", None)
        if bind is not None and invoke is not None:
            bind(self._inputs)
            return invoke
        return lambda: session.run(self._inputs)

    def _facts(self, _: dict[str, Any], __: dict[str, Array]) -> Reply:
        peak_mib, how = peak_memory_mib()
        facts = {**self._about, **self._opened().facts()}
        return {**facts, "memory_mib": memory_mib(), "peak_memory_mib": peak_mib, "peak_memory_method": how}, {}

    def _shown(self, _: dict[str, Any], __: dict[str, Array]) -> Reply:
        return {"tensors": list(getattr(self._opened(), "shown", ()))}, {}

    def _profile(self, _: dict[str, Any], __: dict[str, Array]) -> Reply:
        profile: Callable[[Mapping[str, Array]], list[dict[str, Any]]] | None
        session = self._opened()
        profile = getattr(session, "profile", None)
        if profile is None:
            why = getattr(session, "no_profile", "this runtime does not report times of operators")
            return {"operators": [], "why": why}, {}
        return {"operators": profile(self._inputs), "why": "the runtime reported no operator"}, {}


def _pin(processors: list[int]) -> None:
    """Restrict this process and its later threads to some logical processors."""
    if not hasattr(os, "sched_setaffinity"):
        raise OSError(f"processors cannot be chosen on {platform.system()}")
    try:
        os.sched_setaffinity(0, processors)
    except OSError as error:
        raise OSError(f"cannot use processors {processors}; there are {sorted(os.sched_getaffinity(0))}") from error


def _stopwatch(call: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and process CPU time (all threads) of ``call``, in milliseconds."""
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - wall) / 1e6, (time.process_time_ns() - cpu) / 1e6


def _find_runner(name: str, plugin: str | None) -> Runner:
    if plugin is None:
        return cast("Runner", RUNNERS.get(name))
    spec = importlib.util.spec_from_file_location(f"clearport_plugin_{name}", plugin)
    if spec is None or spec.loader is None:
        raise ImportError(f"{plugin}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Runner", module.RUNNER)


def peak_memory_mib() -> tuple[float | None, str]:
    """This process's peak resident memory in MiB and the measurement method; None if the system does not report it.

    On Linux ``ru_maxrss`` is inherited from the parent over ``exec``, so ``VmHWM`` is read instead.
    """
    peak = _status_mib("VmHWM:")
    if peak is not None:
        return peak, "VmHWM of the worker process, Python and runtime included"
    try:
        import resource
    except ImportError:
        return None, "not available on this system"
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(
        resource.RUSAGE_SELF
    ).ru_maxrss / unit, "ru_maxrss of the worker process, Python and runtime included"


def memory_mib() -> float | None:
    """This process's current resident memory in MiB; None if the system does not report it."""
    return _status_mib("VmRSS:")


def _status_mib(key: str) -> float | None:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), None)


def leave_with_parent() -> None:
    """End this process soon after its parent has exited, even if a runtime hangs."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def private_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Streams for commands and replies on new descriptors; 0 becomes empty and 1 a duplicate of 2 (the error log)."""
    commands, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return commands, replies


def _answer(server: _Server, head: dict[str, Any], arrays: dict[str, Array], replies: IO[bytes]) -> None:
    try:
        reply, outputs = server.commands[head["command"]](head, arrays)
        wire.send(replies, reply, outputs)
    except (Exception, SystemExit) as error:  # any error of a runtime is reported to the parent
        trace = "".join(traceback.format_exception(error))[-_TRACE_CHARS:]
        wire.send(replies, {"error": type(error).__name__, "message": str(error), "traceback": trace})


def main() -> int:
    """Serve until the parent closes its end; returns the exit code."""
    commands, replies = private_streams()
    leave_with_parent()
    server = _Server()
    while (message := wire.receive(commands)) is not None:
        _answer(server, *message, replies)
    os._exit(0)  # native libraries may hang or crash during teardown, and nothing is left to save
