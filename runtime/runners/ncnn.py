"""ncnn on the CPU: a folder ``<name>.ncnn/`` or its ``.param``.

Weights of fp16 files are converted to float32 when loaded; all arithmetic is float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearport.runtime.sessions.ncnn import NcnnSession


class NcnnRunner:
    """See ``clearport.protocols.Runner``."""

    name = "ncnn"
    title = "ncnn (CPU)"
    targets = ("ncnn",)
    requires = ("ncnn",)
    measures_latency = True
    method = "ran on ncnn"

    def prepare(self) -> None:
        """Import the runtime, so that ``init_ms`` excludes it."""
        import ncnn  # noqa: F401  # imported for its side effect: the library is loaded

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> NcnnSession:
        from clearport.runtime.sessions.ncnn import NcnnSession

        return NcnnSession(path, threads)


RUNNER = NcnnRunner()
