"""Real values of a runtime as int8 levels."""

from __future__ import annotations

import numpy as np
import pytest

from clearport.runtime.steps.taps import counted

GRID = {"x": (0.5, 10)}


def test_values_on_a_grid_are_its_levels() -> None:
    assert counted(np.float32([-5, 0, 0.5, 122.5]), "x", GRID).tolist() == [0, 10, 11, 255]


@pytest.mark.parametrize("value", [0.25, -5.5, 123.0, np.nan, np.inf])
def test_values_beside_or_beyond_the_grid_are_none(value: float) -> None:
    """A value beyond the last level is no saturated one: the clamp is missing."""
    with pytest.raises(ValueError, match="x is not rounded to its int8 grid"):
        counted(np.float32([0, value]), "x", GRID)
