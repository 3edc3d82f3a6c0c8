"""Return freed memory to the system, which the C library would otherwise keep."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def release(*, cycles: bool = True) -> None:
    """Return freed memory to the system for the next subprocesses: glibc keeps up to a gigabyte after a deep network.

    Args:
        cycles: whether unreachable cycles of objects are freed first, which takes a tenth of a second where PyTorch or
            Core ML Tools is loaded.
    """
    if cycles:
        gc.collect()
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
