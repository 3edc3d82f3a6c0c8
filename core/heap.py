"""Return freed memory to the system, which the C library would otherwise keep."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def release() -> None:
    """Release free memory for the next subprocesses: glibc keeps up to a gigabyte after a deep network."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
