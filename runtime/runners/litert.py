"""LiteRT on the CPU: ``.tflite`` files.

Options:
    xnnpack: whether the XNNPACK delegate may be used (default true). Without it TFLite's built-in kernels run.
        (TFLite's reference kernels are not offered: they lack DEPTH_TO_SPACE in int8.)
    taps: int8 tensors to output additionally (``steps.taps``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.runtime.steps import taps

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

    def hides(self, path: Path) -> str | None:
        """The reason that intermediate tensors cannot be read, or None."""
        del path
        return None

    def prepare(self) -> None:
        """Import the runtime, before the clock of ``init_ms`` starts."""
        import ai_edge_litert.interpreter  # noqa: F401  imported for its side effect: the library is loaded

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> TfliteSession:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        from clearport.runtime.sessions import tflite_taps
        from clearport.runtime.sessions.tflite import TfliteSession

        shown = taps.of(options)
        model = (
            {"model_content": tflite_taps.with_outputs(path.read_bytes(), shown)}
            if shown
            else {"model_path": str(path)}
        )
        kind = OpResolverType.AUTO if options.get("xnnpack", True) else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return TfliteSession(Interpreter(**model, num_threads=threads, experimental_op_resolver_type=kind), shown)


RUNNER = LiteRtRunner()
