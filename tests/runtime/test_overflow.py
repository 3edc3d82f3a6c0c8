"""int8 sums do not overflow, whatever this CPU is: white pixels under the largest weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from clearport.graph import nodes as graphs
from clearport.registry import RUNNERS, missing
from clearport.runtime import overflow
from clearport.runtime.usable import unfit

WHITE = np.ones((1, 16, 8, 8), np.float32)


def convolution() -> onnx.ModelProto:
    """The mean of 16 channels of 3x3 pixels, between quantized values, with all weights at 127."""
    constants = {
        "step": np.float32(1 / 255),
        "black": np.uint8(0),
        "w": np.full((8, 16, 3, 3), 127, np.int8),
        "small": np.float32(1 / 127 / 144),
        "none": np.int8(0),
    }
    steps = (
        ("QuantizeLinear", "x step black", "xq"),
        ("DequantizeLinear", "xq step black", "xd"),
        ("DequantizeLinear", "w small none", "wd"),
        ("Conv", "xd wd", "c"),
        ("QuantizeLinear", "c step black", "cq"),
        ("DequantizeLinear", "cq step black", "y"),
    )
    graph = helper.make_graph(
        [helper.make_node(op, given.split(), [out]) for op, given, out in steps],
        "white",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, WHITE.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 6, 6])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_runner_adds_in_full(name: str, tmp_path: Path) -> None:
    runner = RUNNERS.get(name)
    if missing(runner.requires):
        pytest.skip(f"{name} is not installed")
    path = tmp_path / "white.onnx"
    onnx.save(convolution(), path)
    (found,) = runner.open(path, 1, {}).run({"x": WHITE}).values()
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_the_quantizer_s_sessions_add_in_full() -> None:
    (found,) = graphs.session(ir.from_proto(convolution())).run(None, {"x": WHITE})
    np.testing.assert_allclose(found, 1, atol=1e-6)


@pytest.mark.parametrize("overflows", [True, False])
def test_a_file_that_would_overflow_all_the_same_is_not_run(overflows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Written:
        precision, variant = "int8", "ort"

    monkeypatch.setattr(overflow, "in_onnxruntime", lambda: overflows)
    runner = RUNNERS.get("onnxruntime")
    assert ("no VNNI" in str(unfit(runner, Written(), 64, 64))) == overflows
    for other in ({"variant": ""}, {"precision": "fp32"}):
        written = type("Other", (Written,), other)()
        assert unfit(runner, written, 64, 64) is None
