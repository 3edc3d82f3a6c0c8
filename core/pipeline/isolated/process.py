"""A separate process for the native code of an export that processes user input: see ``child``.

    with Isolated() as isolated:
        quantized = isolated.quantize(graph, photos, options)

A crash is a ``RuntimeFailure`` that names the signal, and the next call starts a new process. It has its own session:
Ctrl-C reaches the parent, which ends it; it also ends if the parent is killed. Its memory is released with it.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import fields
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from clearport import errors, problems
from clearport.base import Artifact, Skipped
from clearport.bundle.manifest import LintFinding
from clearport.disk.files import files_below
from clearport.errors import ClearportError, RuntimeFailure
from clearport.graph import nodes as graphs
from clearport.pipeline import lower
from clearport.pipeline.isolated import codec, kept
from clearport.protocols import no_progress
from clearport.runtime.worker import wire
from clearport.runtime.worker.launch import python_here
from clearport.runtime.worker.process import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from clearport.base import Array, Graph, Options
    from clearport.disk.cache import Cache
    from clearport.graph.feeds import Sample
    from clearport.pictures.images import Image8
    from clearport.pipeline.plan import Cell
    from clearport.protocols import Progress
    from clearport.quantize.flow import QuantizeOptions
    from clearport.quantized import QuantizedGraph

_CHILD = "clearport.pipeline.isolated.start"


class Isolated:
    """Quantizes, writes artifacts and runs ONNX Runtime in another process; use it as a context manager.

    Within the block ``graphs.session`` of this thread opens its sessions there, too.

    Args:
        cache: quantized forms of earlier runs, to be reused; None: compute each.
    """

    def __init__(self, cache: Cache | None = None) -> None:
        self._cache = cache
        self._process: WorkerProcess | None = None
        self._peak_mib = 0.0
        self._sessions = ExitStack()
        self._one = Lock()  # several threads may run sessions

    def __enter__(self) -> Self:
        """Start the process, which loads its libraries while the caller continues.

        Raises:
            RuntimeFailure: it cannot be started.
        """
        self._sessions.enter_context(graphs.sessions_by(lambda model, as_written: _Session(self, model, as_written)))
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._sessions.close()
        self.close()

    @property
    def pid(self) -> int | None:
        """The process's id; None if it is not running."""
        return None if self._process is None else self._process.popen.pid

    def quantize(self, graph: Graph, images: Sequence[Image8 | Sample], options: QuantizeOptions) -> QuantizedGraph:
        """``quantize.flow.quantize``.

        Raises:
            RuntimeFailure: the process crashed.
            Exception: the quantizer's exception, under its name.
        """
        chosen = {f.name: getattr(options, f.name) for f in fields(options) if f.name != "progress"}
        return self._form("quantize", graph, images, options.progress, options=chosen)

    def round_weights(self, graph: Graph, images: Sequence[Image8 | Sample], progress: Progress) -> QuantizedGraph:
        """``quantize.weight_only.quantize``.

        Raises:
            RuntimeFailure, Exception: as ``quantize``.
        """
        return self._form("round_weights", graph, images, progress)

    def lower(
        self, cell: Cell, graph: Graph, form: QuantizedGraph | None, options: Options, folder: Path
    ) -> list[Artifact | Skipped]:
        """``pipeline.lower.lower``; a crash is a skipped row, and partial output is removed.

        Raises:
            BadInput, OSError: as there.
        """
        head, arrays = _packed(graph)
        packed = None
        if form is not None:
            packed, arrays["form"] = codec.pack_quantized(form)
        place = folder / cell.target.name
        before = set(files_below(place)) if place.is_dir() else set()
        asked = {
            "target": cell.target.name,
            "precision": cell.precision,
            "folder": str(folder),
            "options": codec.OPTIONS.dump_python(options, mode="json"),
        }
        what = f"{cell.target.name}/{cell.precision}"
        try:
            reply, _ = self.ask(f"writing {what}", "lower", {**head, **asked, "form": packed}, arrays)
        except RuntimeFailure as error:
            lower.remove_new(place, before)
            return [Skipped(what, str(error))]
        return codec.unpack_rows(reply["rows"])

    def lint(self, artifact: Artifact, graph: Graph) -> tuple[LintFinding, ...]:
        """``pipeline.lint.artifact.lint``; a failure becomes a finding."""
        head, arrays = _packed(graph)
        (packed,), what = codec.pack_rows([artifact]), f"linting {artifact.key}"
        try:
            reply, _ = self.ask(what, "lint", {**head, "artifact": packed}, arrays)
        except problems.UNEXPECTED as error:
            return (LintFinding(level="warning", rule="lint", message=f"not linted: {problems.told(error, what)}"),)
        return tuple(LintFinding.model_validate(finding) for finding in reply["findings"])

    def kernels(self, model: bytes) -> list[tuple[str, str]]:
        """``export.onnxruntime.kernels.kernels``.

        Raises:
            RuntimeFailure: the process crashed.
            Exception: what ONNX Runtime raised, under its name.
        """
        reply, _ = self.ask("loading the model", "kernels", {}, {"model": np.frombuffer(model, np.uint8)})
        return [(str(kind), str(layer)) for kind, layer in reply["kernels"]]

    def _form(
        self, command: str, graph: Graph, images: Sequence[Image8 | Sample], progress: Progress, **more: Any
    ) -> QuantizedGraph:
        head, arrays = _packed(graph)
        photos = {
            f"{number}/{name}": array
            for number, image in enumerate(images)
            for name, array in (image if isinstance(image, Mapping) else {"": image}).items()
        }
        asked, given = {**head, **more}, {**arrays, **photos}
        key = kept.key_of(command, asked, given) if self._cache else ""
        form = kept.read(self._cache, key, progress) if self._cache else None
        if form is None:
            reply, found = self.ask("quantizing", command, asked, given, progress)
            form = reply["form"], found["form"]
            if self._cache:
                kept.write(self._cache, key, *form)
        return codec.unpack_quantized(*form)

    def ask(
        self,
        what: str,
        command: str,
        head: Mapping[str, Any],
        arrays: Mapping[str, Array],
        progress: Progress = no_progress,
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """Send a command, forward its progress, and wait for its end; ``what`` describes it in messages.

        Raises:
            RuntimeFailure: the process crashed.
            Exception: what the command raised, under its name.
        """
        with self._one:
            process = self._process or self._start()
            try:
                wire.send(process.stdin, {"command": command, **head}, arrays)
                reply, found = self._answer(process, progress)
            except (EOFError, OSError, wire.GarbledError) as error:
                self._crashed(process, what, str(error))
            except BaseException:
                self.close()  # Ctrl-C within a message: the stream is out of sync
                raise
        if "error" in reply:
            raise _raised(reply["error"])
        return reply, found

    def _answer(self, process: WorkerProcess, progress: Progress) -> tuple[dict[str, Any], dict[str, Array]]:
        while True:
            message = wire.receive(process.stdout)
            if message is None:
                raise EOFError
            self._peak_mib = message[0]["peak_mib"] or 0.0
            if "progress" not in message[0]:
                return message
            progress(*message[0]["progress"])

    def close(self) -> None:
        """End the process. Calling it twice is fine; the next call of another method starts it again."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _start(self) -> WorkerProcess:
        command = python_here(sys.executable, _CHILD)
        try:
            self._process = WorkerProcess(command, {"PYTHONHASHSEED": "0"})
        except OSError as error:
            raise RuntimeFailure(f"{command[0]} cannot be started: {error.strerror or error}") from error
        return self._process

    def _crashed(self, process: WorkerProcess, what: str, detail: str) -> NoReturn:
        code = process.exit_code()
        words = process.last_words("")
        self.close()
        raise RuntimeFailure(f"{what} failed: its process {_ending(code, detail)}{self._held()}{words}")

    def _held(self) -> str:
        return f"; it had held {self._peak_mib / 1024:.1f} GiB at most" if self._peak_mib else ""


class _Session:
    """A session of ONNX Runtime in the other process."""

    def __init__(self, isolated: Isolated, model: bytes, as_written: bool) -> None:
        self._isolated, self._model, self._as_written = isolated, np.frombuffer(model, np.uint8), as_written

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs, or all of them, in order.

        Raises:
            RuntimeFailure: the process crashed.
            Exception: what ONNX Runtime raised, under its name.
        """
        head = {"inputs": list(inputs), "outputs": outputs, "as_written": self._as_written}
        feeds = {str(number): array for number, array in enumerate(inputs.values())}
        found = self._isolated.ask("running the graph", "run", head, {"model": self._model, **feeds})[1]
        return list(found.values())


def _packed(graph: Graph) -> tuple[dict[str, Any], dict[str, Array]]:
    head, model = codec.pack_graph(graph)
    return {"graph": json.dumps(head)}, {"graph": model}


def _raised(told: Mapping[str, Any]) -> BaseException:
    """The error raised there: clearport's, the system's, or a stand-in of that name with the traceback as note."""
    kind = getattr(errors, told["kind"], None)
    error: BaseException
    if isinstance(kind, type) and issubclass(kind, ClearportError):
        return kind.__new__(kind, told["said"])  # some have fields besides the message, which are not needed here
    if "system" in told:
        error = OSError(*told["system"])
    elif told["kind"] == "MemoryError":
        error = MemoryError(told["said"])
    else:
        error = type(told["kind"], (Exception,), {})(told["said"])
    error.add_note(told["trace"])
    return error


def _ending(code: int | None, detail: str) -> str:
    if code is None:
        return f"garbled its answer ({detail})"
    if code < 0:
        name = signal.Signals(-code).name
        return f"ended with signal {-code} ({name})" + (", possibly out of memory" if name == "SIGKILL" else "")
    return f"ended with exit code {code}"
