"""Worker plugin for tflite-runtime's interpreter, which is in another Python. Only that worker imports this file."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearport.runtime.sessions.tflite import TfliteSession


class TfliteRuntimeRunner:
    """See ``clearport.protocols.Runner``."""

    name = "tflite-runtime"
    title = "tflite-runtime (CPU)"
    targets = ("tflite",)
    requires = ("tflite-runtime",)
    measures_latency = False
    method = "ran on tflite-runtime"

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> TfliteSession:
        from clearport.runtime.sessions.tflite import TfliteSession

        del options
        interpreter = importlib.import_module("tflite_runtime.interpreter").Interpreter
        return TfliteSession(interpreter(model_path=str(path), num_threads=threads))


RUNNER = TfliteRuntimeRunner()
