"""The macOS runner, as far as it can be looked at elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from clearport.errors import RuntimeFailure
from clearport.runtime.runners import coreml as run_coreml


def test_pictures_go_to_core_ml_and_come_back() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 4, 6, 3), dtype=np.uint8)
    given = run_coreml._to_coreml(picture)
    assert (given.mode, given.size) == ("RGB", (6, 4))
    np.testing.assert_array_equal(run_coreml._from_coreml(given), picture)
    np.testing.assert_array_equal(run_coreml._from_coreml(given.convert("RGBA")), picture)


def test_tensors_are_left_alone() -> None:
    tensor = np.zeros((1, 3, 2, 2), np.float32)
    assert run_coreml._to_coreml(tensor) is tensor
    assert run_coreml._from_coreml(tensor) is tensor


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML is there")
def test_elsewhere_it_refuses_to_open() -> None:
    with pytest.raises(RuntimeFailure, match="Core ML runs on macOS only"):
        run_coreml.RUNNER.open(Path("a.mlpackage"), 1, {})
