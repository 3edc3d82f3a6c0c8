"""Operators that are rare in restoration, by every target's writer and runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clearport.export.passes import order as passes

from .every_target import available
from .rarer_cases import RARER
from .test_operators_everywhere import compare
from .tflite.harness import RANGE, build, onnxruntime

NOT_YET = {"coreai"}
"""Has rules for the commoner operators alone: what it takes is right, and the rest is refused."""


@pytest.mark.parametrize("name", RARER)
def test_every_target_computes_it(name: str, tmp_path: Path) -> None:
    image = np.random.default_rng(3).uniform(*RANGE, (1, 3, 10, 12)).astype(np.float32)
    raw = build(RARER[name])
    computed = compare(passes.run(raw), image, onnxruntime(raw.model, image), tmp_path)
    assert computed >= set(available()) - NOT_YET
