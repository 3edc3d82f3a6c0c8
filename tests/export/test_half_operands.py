"""fp16 files: weights are rounded to float16, operands of arithmetic, which may be coordinates, are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from clearport.base import Graph, TensorSpec
from clearport.export.passes import order
from clearport.graph import nodes as graphs
from tests.export.from_onnx.files import model, node
from tests.foreign.on_targets import _run, _written

SIDE = 24


@pytest.mark.parametrize("target", ["tflite", "ncnn"])
def test_coordinates_are_not_rounded(target: str, tmp_path: Path) -> None:
    """Half a thousandth of the side, as float16 would have it, moves what is sampled."""
    line = np.linspace(-1, 1, SIDE, dtype=np.float32)
    grid = np.stack(np.meshgrid(line, line), axis=0)[None]
    made = model(
        [node("Mul", "x step", "a"), node("Add", "a grid", "y")],
        17,
        {"step": np.float32(2 / (SIDE - 1)), "grid": grid},
        shape=(1, 2, SIDE, SIDE),
        result=(1, 2, SIDE, SIDE),
    )
    specs = [TensorSpec(name, (1, 2, SIDE, SIDE), kind="map", value_range=(0.0, 1.0)) for name in "xy"]
    body = ir.from_proto(onnx.shape_inference.infer_shapes(made))
    graph = order.run(Graph(body, (specs[0],), (specs[1],), "moved", 1))
    given = np.random.default_rng(0).random((1, 2, SIDE, SIDE)).astype(np.float32)
    (wanted,) = graphs.session(graph.model).run(None, {"x": given})
    artifact = _written(graph, target, "fp16", tmp_path, None)
    (found,) = _run(target, artifact, graph, [given])
    np.testing.assert_allclose(np.reshape(found, wanted.shape), wanted, atol=1e-6)
