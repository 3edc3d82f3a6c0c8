"""Computed places that are negative: runtimes differ in what -1 is, so that files count from the front."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from clearport.base import Graph, TensorSpec
from clearport.export.passes import order
from clearport.graph import nodes as graphs
from tests.export.from_onnx.files import model, node
from tests.foreign.on_targets import on_target

HELD = {
    "four": np.float32(4),
    "two": np.float32(2),
    "lo": np.float32(0),
    "first": np.array([0]),
    "one": np.array([1]),
    "flat": np.array([64]),
    "pairs": np.array([96, 2]),
    "columns": np.array([1, 64]),
    "rows": np.random.default_rng(0).random((5, 3)).astype(np.float32),
    "grid": np.random.default_rng(0).random((4, 5, 3)).astype(np.float32),
    "line": np.random.default_rng(0).random((1, 5)).astype(np.float32),
}
LINE = [node("Slice", "i first one one", "j"), node("Reshape", "j flat", "k")]
LOOK_UPS = {
    "Gather": ([*LINE, node("Gather", "rows k", "y")], (64, 3)),
    "GatherND": ([node("Reshape", "i pairs", "k"), node("GatherND", "grid k", "y")], (96, 3)),
    "GatherElements": (
        [*LINE, node("Reshape", "k columns", "m"), node("GatherElements", "line m", "y", axis=1)],
        (1, 64),
    ),
}


def network(kind: str, *, never: bool = False) -> tuple[Graph, bytes]:
    """Places from -2 to 1, by the picture's brightness; with ``never``, from 0 to 1."""
    nodes = [node("Mul", "x four", "a"), node("Floor", "a", "b"), node("Sub", "b two", "c")]
    nodes += [node("Clip", "c lo", "d")] if never else []
    tail, result = LOOK_UPS[kind]
    nodes += [node("Cast", "d" if never else "c", "i", to=onnx.TensorProto.INT64), *tail]
    used = {name for each in nodes for name in each.input}
    made = model(nodes, 17, {k: v for k, v in HELD.items() if k in used}, shape=(1, 3, 8, 8), result=result)
    specs = (
        TensorSpec("x", (1, 3, 8, 8), value_range=(0.0, 1.0)),
        TensorSpec("y", result, kind="vector", value_range=None),
    )
    inferred = ir.from_proto(onnx.shape_inference.infer_shapes(made))
    return order.run(Graph(inferred, specs[:1], specs[1:], "places", 1)), made.SerializeToString()


@pytest.mark.parametrize("kind", LOOK_UPS)
@pytest.mark.parametrize("target", ["onnxruntime", "tflite", "ncnn"])
def test_negative_places_are_counted_from_the_end(kind: str, target: str, tmp_path: Path) -> None:
    graph, file = network(kind)
    given = np.random.default_rng(2).random((1, 3, 8, 8)).astype(np.float32)
    wanted = onnxruntime.InferenceSession(file).run(None, {"x": given})
    found = on_target(graph, target, "fp32", [given], wanted, tmp_path)
    assert found.word == "right", found


def test_places_that_never_are_negative_stay() -> None:
    graph, _ = network("GatherND", never=True)
    assert "Less" not in {each.op_type for each in graphs.computed(graph.model.graph)}
