"""int8 sums do not overflow, whatever this CPU is: white pixels under the largest weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from clearport.base import Artifact, Skipped
from clearport.graph import nodes as graphs
from clearport.pipeline import latency
from clearport.registry import RUNNERS, missing
from clearport.runtime import overflow
from clearport.runtime.usable import distorted

WHITE = np.ones((1, 16, 8, 10), np.float32)


def convolution(transposed: bool = False) -> onnx.ModelProto:
    """The mean of 16 channels of 3x3 pixels, between quantized values, with all weights at 127.

    ``transposed``: of 1x1 pixels of the picture on its side.
    """
    side = 1 if transposed else 3
    constants = {
        "step": np.float32(1 / 255),
        "black": np.uint8(0),
        "w": np.full((8, 16, side, side), 127, np.int8),
        "small": np.float32(1 / 127 / (16 * side * side)),
        "none": np.int8(0),
    }
    steps = (
        ("QuantizeLinear", "x step black", "xq"),
        ("DequantizeLinear", "xq step black", "xd"),
        ("DequantizeLinear", "w small none", "wd"),
        ("Transpose" if transposed else "Identity", "xd", "t"),
        ("Conv", "t wd", "c"),
        ("QuantizeLinear", "c step black", "cq"),
        ("DequantizeLinear", "cq step black", "y"),
    )
    graph = helper.make_graph(
        [
            helper.make_node(op, given.split(), [out], **({"perm": [0, 1, 3, 2]} if op == "Transpose" else {}))
            for op, given, out in steps
        ],
        "white",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 16, 8, 10))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


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
def test_such_a_file_is_not_timed_and_the_reason_is_said(overflows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing(RUNNERS.get("onnxruntime").requires):
        pytest.skip("onnxruntime is not installed")
    monkeypatch.setattr(overflow, "onnxruntime_does", lambda: overflows)
    packed = Artifact("onnxruntime", "int8", Path("small.ort"), "", (), (), {}, "ort")
    found = latency._runner_for(packed)
    reason = found.reason if isinstance(found, Skipped) else ""
    assert ("no VNNI" in reason) == overflows
    assert isinstance(found, Skipped) == overflows
    assert latency._runner_for(replace(packed, variant="")) == "onnxruntime"
