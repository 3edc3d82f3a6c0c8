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
HEAVY = ("tflite without XNNPACK", "openvino", "coreml", "coreai")
"""Everyday runs take the first of these alone."""
TOLERANCE = 1e-4
"""Of the largest number: what is promised of fp32 files."""
REFLECTED = 5e-4
"""The same for points that are reflected from 360 pictures away, where float32 itself is no better: ONNX Runtime and
PyTorch are 2.8e-4 from float64. The other targets round as ONNX Runtime does."""


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
        share = REFLECTED if way == "coreai" and "reflection" in name else TOLERANCE
        assert np.abs(found - wanted).max() <= share * max(1, np.abs(wanted).max()), way
