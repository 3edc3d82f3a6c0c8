"""The child's side of ``Isolated``: all native code of an export that processes user input, except PyTorch.

ONNX Runtime can abort on unusual graphs or photos, and so can the writers of artifacts. PyTorch is not loaded here.
Descriptors 0 and 1 are redirected first, as in a worker, so that no library prints into the messages.
"""

from __future__ import annotations

import gc
import json
import os
import traceback
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import psutil

from clearport import heap
from clearport.base import Artifact
from clearport.export.onnxruntime.kernels import kernels
from clearport.graph import nodes as graphs
from clearport.pipeline import lower
from clearport.pipeline.isolated import codec
from clearport.pipeline.lint import artifact as lint
from clearport.pipeline.plan import Cell
from clearport.quantize import flow, weight_only, wide
from clearport.registry import TARGETS
from clearport.runtime.worker import wire
from clearport.runtime.worker.child import leave_with_parent, peak_memory_mib, private_streams

if TYPE_CHECKING:
    from clearport.base import Array, Graph
    from clearport.graph.feeds import Sample
    from clearport.graph.nodes import Session
    from clearport.protocols import Progress

    Head = dict[str, Any]
    Arrays = dict[str, Array]
    Reply = tuple[Head, Arrays]

_LIKELIER_VICTIM = 500
"""OOM score (of 1000): out of memory, the system ends this process before the user's others."""


def main() -> int:
    """Serve until the parent closes its end."""
    commands, replies = private_streams()
    leave_with_parent()
    limit_memory()
    _load()
    loaded = {None}
    while (message := wire.receive(commands)) is not None:
        _answer(*message, replies)
        heap.release(cycles=message[0]["command"] not in _LIGHT)
        if (target := message[0].get("target")) not in loaded:
            loaded.add(target)
            gc.freeze()  # the target's libraries, as in ``_load``
    os._exit(0)  # native libraries may hang or crash at exit, and nothing is left to save


def limit_memory() -> None:
    """Limit memory to the machine's: beyond that an allocation fails, which becomes one skipped row."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_LIKELIER_VICTIM))
    try:
        import resource
    except ImportError:  # Windows
        return
    most = psutil.virtual_memory().total + psutil.swap_memory().total
    with suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))


def _load() -> None:
    """Import what every export needs, while the parent still exports the network."""
    with suppress(ImportError):
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    gc.freeze()  # modules live as long as the process, and would triple the time of garbage collection
    gc.enable()  # see ``start``


def _answer(head: Head, arrays: Arrays, replies: IO[bytes]) -> None:
    def tell(stage: str, done: int, total: int) -> None:
        wire.send(replies, {"progress": [stage, done, total], "peak_mib": peak_memory_mib()[0]})

    try:
        reply, outputs = _COMMANDS[head["command"]](head, arrays, tell)
    except (Exception, SystemExit) as error:  # every exception is reported to the parent
        reply, outputs = {"error": _told(error)}, {}
    wire.send(replies, {**reply, "peak_mib": peak_memory_mib()[0]}, outputs)


def _told(error: BaseException) -> Head:
    """The message from which the parent raises the same error."""
    found: Head = {"kind": type(error).__name__, "said": str(error), "trace": traceback.format_exc()}
    if isinstance(error, OSError):
        found["system"] = [error.errno, error.strerror, str(error.filename) if error.filename is not None else None]
    return found


@lru_cache(maxsize=1)
def _session(model: bytes, as_written: bool) -> Session:
    return graphs.session_here(model, as_written)


def _run(head: Head, arrays: Arrays, _: Progress) -> Reply:
    session = _session(arrays.pop("model").tobytes(), head["as_written"])
    feeds = dict(zip(head["inputs"], arrays.values(), strict=True))
    return {}, {str(i): found for i, found in enumerate(session.run(head["outputs"], feeds))}


@lru_cache(maxsize=2)
def _known(model: bytes, head: str) -> Graph:
    """The same object for the same graph, since targets cache results on it."""
    return codec.unpack_graph(json.loads(head), np.frombuffer(model, np.uint8))


def _graph(head: Head, arrays: Arrays) -> Graph:
    return _known(arrays["graph"].tobytes(), head["graph"])


def _quantize(head: Head, arrays: Arrays, tell: Progress) -> Reply:
    options = flow.QuantizeOptions(**{name: _tuple(value) for name, value in head["options"].items()}, progress=tell)
    quantize = wide.quantize if options.wide else flow.quantize
    reply, model = codec.pack_quantized(quantize(_graph(head, arrays), _photos(arrays), options))
    return {"form": reply}, {"form": model}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _round_weights(head: Head, arrays: Arrays, tell: Progress) -> Reply:
    reply, model = codec.pack_quantized(weight_only.quantize(_graph(head, arrays), _photos(arrays), tell))
    return {"form": reply}, {"form": model}


def _photos(arrays: Arrays) -> list[Array | Sample]:
    """Photos, or samples with an array per input, in order."""
    found: dict[str, dict[str, Array]] = {}
    for key, array in arrays.items():
        number, _, name = key.partition("/")
        if number not in {"graph", "form"}:
            found.setdefault(number, {})[name] = array
    return [each.get("", each) for each in found.values()]


def _lower(head: Head, arrays: Arrays, _: Progress) -> Reply:
    form = codec.unpack_quantized(head["form"], arrays["form"]) if head["form"] else None
    cell = Cell(TARGETS.get(head["target"]), head["precision"])
    options = codec.OPTIONS.validate_python(head["options"])
    return {"rows": codec.pack_rows(lower.lower(cell, _graph(head, arrays), form, options, Path(head["folder"])))}, {}


def _lint(head: Head, arrays: Arrays, _: Progress) -> Reply:
    (artifact,) = codec.unpack_rows([head["artifact"]])
    assert isinstance(artifact, Artifact)
    return {"findings": [found.model_dump(mode="json") for found in lint.lint(artifact, _graph(head, arrays))]}, {}


def _kernels(head: Head, arrays: Arrays, _: Progress) -> Reply:
    del head
    return {"kernels": kernels(arrays["model"].tobytes())}, {}


_LIGHT = frozenset({"run", "lint", "kernels"})
"""Commands that leave no cycles with large arrays behind."""

_COMMANDS = {
    "run": _run,
    "quantize": _quantize,
    "round_weights": _round_weights,
    "lower": _lower,
    "lint": _lint,
    "kernels": _kernels,
}
