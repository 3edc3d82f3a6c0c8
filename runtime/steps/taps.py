"""Int8 tensors inside a file, as computed by its runtime.

A runner whose sessions show them has ``hides(path)``: why the tensors of a file cannot be read, or None. Then
``open`` takes the option ``taps``: name of a tensor in the graph -> (scale, zero point) of its uint8 grid; and ``run``
returns, beside the outputs, those of them that the file has, under ``tap:<name>``: uint8 levels in the axes of the
graph. The file itself is not changed: sessions add outputs to a copy in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Array

PREFIX = "tap:"

OFF_GRID = 0.02
"""Maximum distance of real values from their grid, in levels: beyond it the tensor was not rounded."""

Taps = Mapping[str, tuple[float, int]]


def of(options: Mapping[str, Any]) -> Taps:
    """The taps requested from a session."""
    found: Taps = options.get("taps", {})
    return found


def unsigned(levels: Array) -> Array:
    """int8 levels as those of the uint8 grid, which is the same with its zero point 128 higher."""
    return levels.view(np.uint8) ^ np.uint8(128)


def counted(values: Array, name: str, taps: Taps) -> Array:
    """Real values on a grid as its levels.

    Raises:
        ValueError: they do not lie on it.
    """
    scale, zero_point = taps[name]
    exact = values / np.float32(scale) + np.float32(zero_point)
    levels = np.clip(np.rint(exact), 0, 255)
    away = float(np.abs(exact - levels).max(initial=0.0))
    if not away <= OFF_GRID:  # NaN, too
        raise ValueError(f"{name} is not rounded to its int8 grid: values are up to {away:.2g} levels off it")
    return levels.astype(np.uint8)
