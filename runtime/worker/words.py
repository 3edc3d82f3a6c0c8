"""Messages on a worker's failures."""

from __future__ import annotations

import signal

_QUOTED_CHARS = 1500

VERBS = {
    "open": "opening",
    "run": "running",
    "time": "timing",
    "facts": "asking about",
    "profile": "profiling",
    "shown": "asking about",
    "release": "closing",
}


def ending(code: int | None, detail: str) -> str:
    """How a worker's process ended, by its exit code."""
    if code is None:
        return f"garbled its answer ({detail})"
    if code < 0:
        return f"crashed ({signal.Signals(-code).name})"
    return f"ended with exit code {code}"


def clip(message: str) -> str:
    """A message with its middle removed if it is too long."""
    if len(message) <= _QUOTED_CHARS * 2:
        return message
    return f"{message[:_QUOTED_CHARS]} … {message[-_QUOTED_CHARS:]}"
