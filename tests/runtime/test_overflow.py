"""int8 sums do not overflow, whatever this CPU is: white pixels under the largest weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from clearport.base import Artifact, Skipped
from clearport.graph import nodes as graphs
from clearport.pipeline import latency
from clearport.registry import RUNNERS, missing
from clearport.runtime import overflow
from clearport.runtime.usable import distorted
from tests.white_pixels import WHITE, convolution


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_runner_adds_in_full(name: str, transposed: bool, tmp_path: Path) -> None:
    """Where OpenVINO has no int8 kernels, it takes a 1x1 convolution behind a Transpose for a matrix product."""
    runner = RUNNERS.get(name)
    if missing(runner.requires):
        pytest.skip(f"{name} is not installed")
    path = tmp_path / "white.onnx"
    onnx.save(convolution(transposed), path)
    (found,) = runner.open(path, 1, {}).run({"x": WHITE}).values()
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_the_quantizer_s_sessions_add_in_full() -> None:
    (found,) = graphs.session(ir.from_proto(convolution())).run(None, {"x": WHITE})
    np.testing.assert_allclose(found, 1, atol=1e-6)


@pytest.mark.parametrize("overflows", [True, False])
def test_a_file_that_would_overflow_all_the_same_is_not_run(overflows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Written:
        precision, variant = "int8", "ort"

    monkeypatch.setattr(overflow, "onnxruntime_does", lambda: overflows)
    runner = RUNNERS.get("onnxruntime")
    assert ("no VNNI" in str(distorted(runner, Written()))) == overflows
    for other in ({"variant": ""}, {"precision": "fp32"}):
        written = type("Other", (Written,), other)()
        assert distorted(runner, written) is None


@pytest.mark.parametrize("overflows", [True, False])
def test_such_a_file_is_not_timed_and_the_reason_is_reported(overflows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing(RUNNERS.get("onnxruntime").requires):
        pytest.skip("onnxruntime is not installed")
    monkeypatch.setattr(overflow, "onnxruntime_does", lambda: overflows)
    packed = Artifact("onnxruntime", "int8", Path("small.ort"), "", (), (), {}, "ort")
    found = latency._runner_for(packed)
    reason = found.reason if isinstance(found, Skipped) else ""
    assert ("no VNNI" in reason) == overflows
    assert isinstance(found, Skipped) == overflows
    assert latency._runner_for(replace(packed, variant="")) == "onnxruntime"
