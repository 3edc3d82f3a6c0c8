"""Memory that was freed goes back to the system, where the C library would keep it for later."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def release() -> None:
    """Return what is free, for the subprocesses that come next: glibc keeps up to a gigabyte after a deep network."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
