"""Signals that end a command: they unwind it, so that workers end and half-written files are removed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_UNWINDING_S = 5.0
"""Seconds in which a second signal is ignored: a closing terminal sends several, and cleaning up takes a moment."""


def ending_signals() -> tuple[signal.Signals, ...]:
    """The signals that end a command cleanly.

    SIGINT is included even if the shell made the process ignore it, as for background jobs of scripts. SIGHUP is
    left ignored if it was, as under ``nohup``.
    """
    found = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGQUIT"):
        found.append(signal.SIGQUIT)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        found.append(signal.SIGHUP)
    return tuple(found)


class _Interrupter:
    """Raises KeyboardInterrupt, and not again at once; ``came`` says whether it ever did."""

    def __init__(self) -> None:
        self._last_s = -_UNWINDING_S
        self.came = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._last_s >= _UNWINDING_S:
            self._last_s, self.came = now, True
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, the signals that end a command raise KeyboardInterrupt in the main thread.

    If one came, they are ignored after the block: the process is ending, and its exit code must report it.
    """
    handler = _Interrupter()
    before = {number: signal.signal(number, handler) for number in ending_signals()}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_IGN if handler.came else old)
