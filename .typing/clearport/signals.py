"""The signals that end a command, and what they do: unwind, so that workers end and what is half-written goes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_UNWINDING_S = 5.0
"""So long a second signal is not listened to: a terminal that closes sends several, and cleaning up takes a moment."""


def ending_signals() -> tuple[signal.Signals, ...]:
    """The signals that end a command in good order.

    SIGINT is one of them even where the shell ignores it, as it does for background jobs of scripts. SIGHUP is not
    where it is ignored: that is what ``nohup`` is for.
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

    Where one came, they are ignored behind the block: the process is ending, and its exit code is to say how.
    """
    handler = _Interrupter()
    before = {number: signal.signal(number, handler) for number in ending_signals()}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_IGN if handler.came else old)
