"""Which levels of a step are roundings of its exact value where its runtime hides a rounding before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from clearport.runtime.steps.reference import StepReference
from clearport.runtime.steps.step_models import GIVEN, OFF

LEVELS = np.arange(0, 240, 3, np.uint8).reshape(1, 2, 5, 8)
HALVES = np.concatenate([LEVELS[..., ::2] + 1.5] * 2, axis=1)
"""Means of neighbors, twice."""


ROUNDINGS: dict[str, NDArray[Any]] = {"down": np.floor(HALVES), "up": np.ceil(HALVES)}


@pytest.mark.parametrize("given", ROUNDINGS)
def test_a_tie_that_is_rounded_twice_to_one_grid_is_a_tie(given: str, tmp_path: Path) -> None:
    assert not _off(tmp_path, 1.0, ROUNDINGS[given]).any()


@pytest.mark.parametrize("given", ROUNDINGS)
def test_a_hidden_rounding_to_another_grid_is_part_of_the_step(given: str, tmp_path: Path) -> None:
    """Of twice the scale: 1.5 is 2, and 1 is none of it."""
    expected = np.rint(HALVES / 2) * 2
    wrong = np.count_nonzero(ROUNDINGS[given] != expected, axis=(0, 2, 3))
    assert _off(tmp_path, 2.0, ROUNDINGS[given]).tolist() == wrong.tolist()
    assert wrong.any() == (given == "down")


def test_what_is_no_tie_is_off_behind_a_hidden_rounding_too(tmp_path: Path) -> None:
    given = np.floor(HALVES)
    given[0, 3, 2, 1] -= 1
    assert _off(tmp_path, 1.0, given).tolist() == [0, 0, 0, 1]


def _off(folder: Path, hidden: float, given: NDArray[Any]) -> NDArray[Any]:
    """How many levels of ``joined`` are off, by channel, if the runtime shows nothing between it and ``x``."""
    path = folder / "steps.onnx"
    averaged(folder / "reference_qdq.onnx", hidden).write(path, ["joined"], {"x", "joined"}, "off")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {GIVEN.format("x"): LEVELS, GIVEN.format("joined"): given.astype(np.uint8)}
    return np.asarray(session.run([OFF.format("joined")], feeds)[0])


def averaged(path: Path, hidden: float) -> StepReference:
    """Means of neighbors in ``x``, rounded to a grid of scale ``hidden``, joined with themselves, and rounded again."""
    nodes = [
        *_rounded("x", "one"),
        helper.make_node("AveragePool", ["x.real"], ["means"], "pool", kernel_shape=[1, 2], strides=[1, 2]),
        *_rounded("means", "hidden"),
        helper.make_node("Concat", ["means.real", "means.real"], ["joined"], "concat", axis=1),
        *_rounded("joined", "one"),
    ]
    ends = [("x", LEVELS.shape), ("joined.real", HALVES.shape)]
    first, last = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends)
    arrays = {"one": np.float32(1), "hidden": np.float32(hidden), "zero": np.uint8(0)}
    constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "averaged", [first], [last], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return StepReference(path)


def _rounded(name: str, scale: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [name, scale, "zero"], [f"{name}.q"]),
        helper.make_node("DequantizeLinear", [f"{name}.q", scale, "zero"], [f"{name}.real"]),
    ]
