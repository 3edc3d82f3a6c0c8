"""Resize by factors whose sizes ONNX's shape inference finds differently from ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from onnx import numpy_helper

from clearport.export.from_onnx import resizes
from tests.export.from_onnx.files import both, model, node, noise, run

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Array


def resized(sides: tuple[int, int], factors: Array, opset: int = 17, **attributes: object) -> onnx.ModelProto:
    nodes = [
        node("Relu", "x", "a"),
        node("Resize", "a - s" if opset > 10 else "a s", "b", mode="linear", **attributes),
        node("Relu", "b", "y"),
    ]
    return model(nodes, opset, {"s": factors}, shape=(1, 3, *sides))


@pytest.mark.parametrize(
    "made",
    [
        resized((8, 10), np.float32([1, 1, 0.5, 0.7])),
        resized((30, 10), np.float32([1, 1, 0.7, 0.7])),
        resized((8, 10), np.float32([1, 1, 0.5, 0.7]), opset=10),
        resized((8, 10), np.float32([0.7, 2]), opset=18, axes=[3, 2]),
    ],
)
def test_a_file_is_read_whose_sizes_inference_finds_differently(made: onnx.ModelProto, tmp_path: Path) -> None:
    shape = [side.dim_value for side in made.graph.input[0].type.tensor_type.shape.dim]
    theirs, ours = both(made, tmp_path, noise(shape, 0.0))
    assert theirs.shape[3] == 7
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@settings(max_examples=40, deadline=None)
@drawn(side=st.integers(2, 200), tenths=st.integers(2, 40))
def test_inference_finds_the_size_of_onnx_runtime(side: int, tenths: int) -> None:
    made = resized((4, side), np.float32([1, 1, 1, max(tenths / 10, 1.01 / side)]))
    found = {value.name: value for value in resizes.inferred(made).graph.value_info}["b"]
    sizes = [n.dim_value for n in found.type.tensor_type.shape.dim]
    image = np.zeros((1, 3, 4, side), np.float32)
    assert tuple(sizes) == run(made.SerializeToString(), {"x": image})[0].shape


def test_factors_that_both_read_alike_stay_as_they_are() -> None:
    made = resized((8, 9), np.float32([1, 1, 0.5, 0.7]))
    found = resizes.inferred(made)
    assert [tensor.name for tensor in found.graph.initializer] == ["s"]
    assert numpy_helper.to_array(found.graph.initializer[0]).tolist() == np.float32([1, 1, 0.5, 0.7]).tolist()
