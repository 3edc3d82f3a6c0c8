"""Outputs of benchmark_model: bytes back into tensors."""

from __future__ import annotations

import numpy as np
import pytest

from clearport.base import TensorSpec
from clearport.runtime.devices.adb.benchmark import split_outputs

FIXED = TensorSpec("restored", (1, 6, 9, 3), "uint8", "NHWC")
MAP = TensorSpec("map", (1, 2), "float32", "NHWC")
FREE = TensorSpec("restored", (1, "H", "W", 3), "int8", "NHWC")


def test_outputs_are_concatenated() -> None:
    picture = np.arange(162, dtype=np.uint8).reshape(1, 6, 9, 3)
    numbers = np.array([[0.5, -3.0]], np.float32)
    found = split_outputs(picture.tobytes() + numbers.tobytes(), (FIXED, MAP), (1, 2, 3, 3))
    assert np.array_equal(found["restored"], picture)
    assert np.array_equal(found["map"], numbers)


@pytest.mark.parametrize("scale", [1, 3])
def test_a_free_size_is_the_inputs_enlarged(scale: int) -> None:
    picture = np.arange(6 * scale * scale * 3, dtype=np.int8).reshape(1, 2 * scale, 3 * scale, 3)
    found = split_outputs(picture.tobytes(), (FREE,), (1, 2, 3, 3))
    assert np.array_equal(found["restored"], picture)


@pytest.mark.parametrize("change", [-1, 1])
def test_bytes_that_do_not_fit_are_no_output(change: int) -> None:
    assert split_outputs(bytes(162 + change), (FIXED,), (1, 2, 3, 3)) == {}
