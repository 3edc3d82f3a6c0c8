"""LiteRT on the CPU: ``.tflite`` files.

Options:
    xnnpack: whether the XNNPACK delegate may run what it takes (default true). Without it TFLite's own kernels run.
        (TFLite's reference kernels are no option: they lack DEPTH_TO_SPACE in int8.)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearport.runtime.sessions.tflite import TfliteSession


class LiteRtRunner:
    """See ``clearport.protocols.Runner``."""

    name = "litert"
    title = "LiteRT (CPU)"
    targets = ("tflite",)
    requires = ("ai-edge-litert",)
    measures_latency = True
    method = "ran on LiteRT"

    def prepare(self) -> None:
        """Import the runtime, before the clock of ``init_ms`` starts."""
        import ai_edge_litert.interpreter  # noqa: F401  imported for its side effect: the library is loaded

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> TfliteSession:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        from clearport.runtime.sessions.tflite import TfliteSession

        kind = OpResolverType.AUTO if options.get("xnnpack", True) else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return TfliteSession(Interpreter(model_path=str(path), num_threads=threads, experimental_op_resolver_type=kind))


RUNNER = LiteRtRunner()
