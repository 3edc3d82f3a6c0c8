"""Operators that are rare in restoration, by every target's writer and runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clearport.export.passes import order as passes

from .every_target import available, outcome_of
from .rarer_cases import RARER
from .tflite.harness import RANGE, build, onnxruntime

LIGHT = ("tflite", "onnxruntime", "ncnn")
HEAVY = ("tflite without XNNPACK", "openvino", "coreml")
"""Everyday runs take the first of these alone; Core AI has rules for the commoner operators, and refuses the rest."""
TOLERANCE = 1e-4
"""Of the largest number: what is promised of fp32 files."""


@pytest.mark.parametrize("ways", [LIGHT, pytest.param(HEAVY, marks=pytest.mark.slow)], ids=["light", "heavy"])
@pytest.mark.parametrize("name", RARER)
def test_every_target_computes_it(name: str, ways: tuple[str, ...], tmp_path: Path) -> None:
    image = np.random.default_rng(3).uniform(*RANGE, (1, 3, 10, 12)).astype(np.float32)
    raw = build(RARER[name])
    wanted, graph = onnxruntime(raw.model, image), passes.run(raw)
    for way in [way for way in ways if way in available()]:
        outcome = outcome_of(way, graph, None, "fp32", image, tmp_path)
        assert outcome.picture is not None, outcome.refusal
        found = outcome.picture.reshape(wanted.shape)
        assert np.abs(found - wanted).max() <= TOLERANCE * max(1, np.abs(wanted).max()), way
