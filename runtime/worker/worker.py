"""Runs an artifact in its own subprocess, because runtimes abort, hang and print.

    with Worker("onnxruntime", path, threads=1) as worker:
        outputs = worker.run({"image": tensor})
        timing = worker.measure({"image": tensor}, runs=10, warmup=2)

A crash, a hang or a refusal raises ``RuntimeFailure``, which names the runner and the file and quotes the runtime. The
subprocess has its own session: Ctrl-C reaches only the parent, which ends the worker with everything that it started; a
worker whose parent was killed exits.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from clearport import problems
from clearport.errors import BadInput, NotInstalled, RuntimeFailure
from clearport.runtime.worker import wire
from clearport.runtime.worker.launch import Launch, here, worker_environment
from clearport.runtime.worker.process import Deadline, WorkerProcess
from clearport.runtime.worker.words import VERBS, clip, ending

if TYPE_CHECKING:
    from clearport.base import Array

_SIGNAL_CODES = frozenset(128 + number for number in signal.Signals)
_RELEASE_S = 10.0
"""Seconds after which closing a file counts as a hang."""


@dataclass(frozen=True)
class Timing:
    """Samples of one ``measure`` in chronological order, in milliseconds.

    ``cpu_ms`` is the CPU time of all threads of the worker within each sample of ``wall_ms``.
    """

    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    warmup_ms: tuple[float, ...]


class Worker:
    """An artifact that is open in a subprocess; use it as a context manager.

    Args:
        runner: name of a ``runtime/runners/<name>.py``.
        path: the artifact.
        threads: compute threads of the runtime, and of OpenMP and BLAS below it.
        timeout_s: maximum seconds of one command (start and load together are one).
        options: passed to ``Runner.open``; JSON values.
        python: the interpreter, which needs numpy and the runner's runtime, but not clearport.
        plugin: a Python file that defines ``RUNNER``, for a runner that is not part of clearport.
        pin: logical processors to which the worker is restricted (Linux); empty for all.
        launch: starts the worker on another machine, instead of ``python`` and ``plugin``.
    """

    def __init__(  # noqa: PLR0913  all that a subprocess is started with
        self,
        runner: str,
        path: Path,
        threads: int = 1,
        timeout_s: float = 120.0,
        options: Mapping[str, Any] | None = None,
        *,
        python: str | None = None,
        plugin: Path | None = None,
        pin: Sequence[int] = (),
        launch: Launch | None = None,
    ) -> None:
        self.runner, self.path, self.threads = runner, Path(path).absolute(), threads
        self.timeout_s = timeout_s
        self._elsewhere = launch is not None
        self._launch = launch or here(python or sys.executable, self.path, plugin)
        self._request: dict[str, Any] = {
            "runner": runner,
            "path": self._launch.path,
            "threads": threads,
            "options": dict(options or {}),
            "plugin": self._launch.plugin,
            "pin": list(pin),
        }
        self._process: WorkerProcess | None = None
        self._opened: dict[str, Any] = {}
        self.no_profile = ""
        """Why the last ``profile`` was empty, if it was."""

    def __enter__(self) -> Self:
        """Start the subprocess, unless ``turn_to`` kept it, and open the artifact in it.

        Raises:
            BadInput: there is no file at ``path``, or no such runner.
            NotInstalled: the runtime is missing.
            RuntimeFailure: the runtime refused the file, crashed or hung.
        """
        if not self._elsewhere and not self.path.exists():
            raise BadInput(f"{self.path}: no such file for {self.runner} to open")
        try:
            if self._process is None:
                self._start()
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    @property
    def alive(self) -> bool:
        """Whether the subprocess is running."""
        return self._process is not None and self._process.popen.poll() is None

    @property
    def options(self) -> Mapping[str, Any]:
        """The runner's options when the artifact was opened."""
        options: Mapping[str, Any] = self._request["options"]
        return options

    def reopen(self, options: Mapping[str, Any], path: Path | None = None) -> None:
        """Open the artifact with other options, or another file of this machine, in the same subprocess.

        Raises:
            RuntimeFailure: the runtime refused the file, crashed or hung.
        """
        self._request["options"] = dict(options)
        if path is not None:
            self.path = path.absolute()
            self._request["path"] = str(self.path)
        self._open()

    def release(self) -> float | None:
        """Close the artifact and keep the subprocess; returns its memory in MiB, None if the system does not report it.

        Raises:
            RuntimeFailure: the runtime crashed or hung.
        """
        self.timeout_s = min(self.timeout_s, _RELEASE_S)
        memory_mib: float | None = self._ask("release")[0]["memory_mib"]
        return memory_mib

    def turn_to(self, path: Path, options: Mapping[str, Any] | None, timeout_s: float) -> None:
        """Reuse a released local worker for another artifact, which ``with`` opens."""
        self.path, self.timeout_s = Path(path).absolute(), timeout_s
        self._request |= {"path": str(self.path), "options": dict(options or {})}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    @property
    def init_ms(self) -> float:
        """Milliseconds in which the runtime loaded the artifact, without the import of its library."""
        return float(self._opened["init_ms"])

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One inference: raw tensors by name in the artifact's own dtype and layout, in and out.

        Raises:
            RuntimeFailure: the runtime raised, crashed or hung.
        """
        return self._ask("run", inputs)[1]

    def outputs(self, inputs: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """The outputs ``names`` of one inference.

        Raises:
            RuntimeFailure: as ``run``; or the artifact lacks one of them.
        """
        found = self.run(inputs)
        lacking = [name for name in names if name not in found]
        if lacking:
            raise RuntimeFailure(f"{self.path}: no output {lacking[0]!r} (it has: {', '.join(found)})")
        return {name: found[name] for name in names}

    def measure(self, inputs: Mapping[str, Array] | None, runs: int, warmup: int = 0) -> Timing:
        """Time ``runs`` consecutive inferences after ``warmup`` untimed ones.

        The worker takes the times. It keeps ``inputs``: None reuses those of the last call.

        Raises:
            RuntimeFailure: the runtime raised, crashed or hung.
        """
        reply, _ = self._ask("time", inputs or {}, runs=runs, warmup=warmup)
        return Timing(tuple(reply["wall_ms"]), tuple(reply["cpu_ms"]), tuple(reply["warmup_ms"]))

    def time(self, inputs: Mapping[str, Array] | None, runs: int, warmup: int = 0) -> list[float]:
        """The wall-clock milliseconds of ``measure``."""
        return list(self.measure(inputs, runs, warmup).wall_ms)

    def facts(self) -> dict[str, Any]:
        """The runtime's facts (units, kernels), with ``init_ms``, ``first_inference_ms``, ``versions``, ``threads``,
        ``io_copies_counted``, ``memory_mib`` (now), ``peak_memory_mib`` and ``peak_memory_method``.

        Raises:
            RuntimeFailure: the runtime crashed or hung.
        """
        return self._ask("facts")[0]

    def profile(self) -> list[dict[str, Any]]:
        """The time of each operator on the last inputs, slowest first: ``name``, ``operator``, ``unit`` and ``ms`` of
        one inference. Empty if the runtime does not report it.

        Raises:
            RuntimeFailure: the runtime crashed or hung.
        """
        told = self._ask("profile")[0]
        rows: list[dict[str, Any]] = told["operators"]
        self.no_profile = str(told["why"])
        return sorted(rows, key=lambda row: -float(row["ms"]))

    def shown(self) -> list[str]:
        """The tensors that ``run`` returns besides the outputs: those of the option ``taps`` that the file has.

        Raises:
            RuntimeFailure: the runtime crashed or hung.
        """
        return list(self._ask("shown")[0]["tensors"])

    def peak_memory_mib(self) -> float | None:
        """Peak memory of the worker so far in MiB, including Python and the runtime."""
        peak = self.facts()["peak_memory_mib"]
        return None if peak is None else float(peak)

    def kill(self) -> None:
        """End the subprocess, from any thread; ``close`` must still be called."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the worker and everything that it started. Calling it twice is fine."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _start(self) -> None:
        argv = self._launch.argv
        try:
            self._process = WorkerProcess(argv, worker_environment(self.threads), self._launch.mark)
        except OSError as error:
            raise RuntimeFailure(f"{self.runner}: {argv[0]} cannot be started: {error.strerror or error}") from error

    def _open(self) -> None:
        self._opened, _ = self._ask("open", None, **self._request)
        if "missing" in self._opened:
            raise NotInstalled(self._opened["missing"], self._opened["extra"])
        if "unavailable" in self._opened:
            raise RuntimeFailure(f"{self.runner}: {self._opened['unavailable']}")

    def _ask(
        self, command: str, arrays: Mapping[str, Array] | None = None, **fields: Any
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        process = self._process
        if process is None:
            raise RuntimeFailure(f"{self._what(command)}: the worker is not running")
        deadline = Deadline(process, self.timeout_s)
        try:
            with deadline:
                wire.send(process.stdin, {"command": command, **fields}, arrays)
                process.skip_to_mark()
                answer = wire.receive(process.stdout)
        except TypeError:
            raise  # refused before a byte was written: the caller's error; the worker stays usable
        except (OSError, wire.GarbledError) as error:
            self._fail(process, command, deadline.passed, str(error))
        except BaseException:
            self.close()  # Ctrl-C within a message: the stream is out of sync
            raise
        if answer is None:
            self._fail(process, command, deadline.passed, "")
        if "error" in answer[0]:
            self._refuse(process, command, answer[0])
        return answer

    def _refuse(self, process: WorkerProcess, command: str, reply: Mapping[str, Any]) -> NoReturn:
        if reply["error"] == "BadInput" and command == "open" and "unknown runner" in reply["message"]:
            raise BadInput(reply["message"])
        said = f"{reply['error']}: {reply['message']}".strip()
        log = f" ({problems.logged(str(reply['traceback']), self._what(command))})" if "traceback" in reply else ""
        raise RuntimeFailure(clip(f"{self._what(command)}: {said}{process.last_words(said)}") + log)

    def _fail(self, process: WorkerProcess, command: str, timed_out: bool, detail: str) -> NoReturn:
        code = process.exit_code()
        if self._elsewhere and code in _SIGNAL_CODES:
            code = 128 - code  # a shell's code for a signal
        words = process.last_words("")
        self.close()
        how = f"gave no answer within {self.timeout_s:g} s and was ended" if timed_out else ending(code, detail)
        raise RuntimeFailure(clip(f"{self._what(command)}: the runtime {how}{words}"))

    def _what(self, command: str) -> str:
        return f"{self.runner}, {VERBS[command]} {self.path}"
