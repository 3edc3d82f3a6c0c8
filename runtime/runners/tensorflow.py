"""TensorFlow's own TFLite interpreter: ``.tflite`` files, as a second implementation.

Only this runner's worker imports TensorFlow, which need not be in the same environment:
``CLEARPORT_TENSORFLOW_PYTHON`` may name a Python interpreter that has it (and numpy)::

    python -m venv tf && tf/bin/pip install tensorflow-cpu
    CLEARPORT_TENSORFLOW_PYTHON=tf/bin/python clearport verify bundle
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.registry import missing
from clearport.runtime.other_python import named_python

if TYPE_CHECKING:
    from clearport.runtime.sessions.tflite import TfliteSession

VARIABLE = "CLEARPORT_TENSORFLOW_PYTHON"
DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos")


def installed() -> str | None:
    """The distribution that provides TensorFlow to this interpreter, or None."""
    return next((name for name in DISTRIBUTIONS if not missing((name,))), None)


def interpreter() -> str | None:
    """The worker's Python interpreter (``Worker(..., python=...)``); None if none has TensorFlow.

    Raises:
        BadInput: the variable does not name a file.
    """
    return named_python(VARIABLE, "tensorflow") or (sys.executable if installed() else None)


class TensorflowRunner:
    """See ``clearport.protocols.Runner``."""

    name = "tensorflow"
    title = "TensorFlow Lite interpreter of TensorFlow (CPU)"
    targets = ("tflite",)
    requires = (installed() or "tensorflow",)
    extra = "tensorflow"
    measures_latency = False  # LiteRT's kernels in another build: a check, not a device
    method = "ran on TensorFlow's interpreter"

    def interpreter(self) -> str | None:
        """The worker's Python interpreter; None if none has TensorFlow."""
        return interpreter()

    def unavailable(self) -> str | None:
        """The reason that this machine cannot run it, or None."""
        return None if interpreter() else f"TensorFlow is not installed; {VARIABLE} may name a Python that has it"

    def prepare(self) -> None:
        """Import the runtime, so that ``init_ms`` excludes it."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        _tensorflow()

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> TfliteSession:
        from clearport.runtime.sessions.tflite import TfliteSession

        tf = _tensorflow()
        kinds = tf.lite.experimental.OpResolverType
        kind = kinds.AUTO if options.get("xnnpack", True) else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the deprecation warning of tf.lite.Interpreter
            opened = tf.lite.Interpreter(model_path=str(path), num_threads=threads, experimental_op_resolver_type=kind)
        return TfliteSession(opened)


def _tensorflow() -> Any:
    """The library, imported by name: it is not a dependency, so type checkers do not know it."""
    return importlib.import_module("tensorflow")


RUNNER = TensorflowRunner()
