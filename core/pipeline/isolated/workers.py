"""Workers as the pipeline opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clearport.registry import RUNNERS
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.base import Artifact

TIMEOUT_S = 300.0

REFERENCE_OPTIONS: Mapping[str, Any] = {"optimize": False}
"""ONNX Runtime without fusions evaluates a QDQ model exactly as written."""


def open_worker(
    runner: str, artifact: Artifact, threads: int, timeout_s: float, options: Mapping[str, Any] | None = None
) -> Worker:
    """A worker for an artifact, in the Python that the runner requires; use it as a context manager."""
    python = getattr(RUNNERS.get(runner), "interpreter", lambda: None)()
    return Worker(runner, artifact.path, threads, timeout_s, options, python=python)
