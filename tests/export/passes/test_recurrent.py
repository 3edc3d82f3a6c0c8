"""Recurrent layers, unrolled, against ONNX Runtime's own, and in files of the targets that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from clearport.base import Graph, TensorSpec
from clearport.errors import UnsupportedOperator
from clearport.export.passes import order
from clearport.export.passes.plain import recurrent
from clearport.export.without_rule import require_rules
from clearport.graph import nodes as graphs
from tests.export.from_onnx.files import model, node
from tests.foreign.on_targets import on_target

STEPS, BATCH, LENGTH, HIDDEN = 4, 3, 5, 6
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer(op: str, *, states: str = "", peepholes: bool = False, **attributes: Any) -> Graph:
    """A graph of one layer; ``states`` are none, held or inputs."""
    rng = np.random.default_rng(0)
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = GATES[op] * HIDDEN
    held = {
        "w": rng.normal(size=(ways, rows, LENGTH)).astype(np.float32),
        "r": rng.normal(size=(ways, rows, HIDDEN)).astype(np.float32),
        "b": rng.normal(size=(ways, 2 * rows)).astype(np.float32),
    }
    shapes = {
        "x": (STEPS, BATCH, LENGTH),
        "h": (ways, BATCH, HIDDEN),
        "c": (ways, BATCH, HIDDEN),
    }
    words = "x w r b _" + (" h c"[: 2 * GATES[op] if op == "LSTM" else 2] if states else "")
    if states == "held":
        held |= {name: rng.normal(size=shapes[name]).astype(np.float32) for name in "hc"}
    if peepholes:
        held["p"] = np.ones((ways, 3 * HIDDEN), np.float32)
        words = "x w r b _ _ _ p"
    results = ["y", "last", "cell"][: 3 if op == "LSTM" else 2]
    made = node(op, words, " ".join(results), hidden_size=HIDDEN, **attributes)
    made.input[:] = ["" if word == "_" else word for word in made.input]
    takes = ["x", *([name for name in "hc" if name in words.split()] if states == "inputs" else [])]
    body = onnx.helper.make_graph(
        [made],
        "g",
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shapes[name]) for name in takes],
        [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * (4 - (k > 0)))
            for k, name in enumerate(results)
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in held.items() if name in words.split()],
    )
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    specs = tuple(TensorSpec(name, shapes[name], kind="vector", value_range=None) for name in takes)
    ends = tuple(TensorSpec(name, (1,), kind="vector", value_range=None) for name in results)
    return graphs.check(Graph(ir.from_proto(onnx.shape_inference.infer_shapes(model)), specs, ends, "layer", 1))


def outputs(graph: Graph) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    feed = {spec.name: rng.normal(size=spec.shape).astype(np.float32) for spec in graph.inputs}
    session = onnxruntime.InferenceSession(graphs.to_bytes(graph.model), providers=["CPUExecutionProvider"])
    return list(session.run(None, feed))


@pytest.mark.parametrize("states", ["", "held", "inputs"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op", "more"), [("LSTM", {}), ("GRU", {}), ("GRU", {"linear_before_reset": 1}), ("RNN", {})])
def test_steps_are_those_of_the_layer(op: str, more: dict[str, int], direction: str, states: str) -> None:
    graph = layer(op, states=states, direction=direction, **more)
    unrolled = recurrent.run(graph)
    assert not {n.op_type for n in unrolled.model.graph} & set(GATES)
    for wanted, made in zip(outputs(graph), outputs(unrolled), strict=True):
        np.testing.assert_allclose(made, wanted, atol=2e-6)


@pytest.mark.parametrize(
    ("op", "given", "why"),
    [
        ("LSTM", {"peepholes": True}, "peepholes"),
        ("LSTM", {"clip": 3.0}, "clips"),
        ("GRU", {"activations": ["Sigmoid", "Relu"]}, "activations sigmoid relu; expected Sigmoid Tanh"),
    ],
)
def test_what_no_framework_writes_is_refused_in_words(op: str, given: dict[str, Any], why: str) -> None:
    graph = layer(op, **given)
    assert recurrent.run(graph) is graph
    with pytest.raises(UnsupportedOperator, match=why):
        require_rules("tflite", graph.model.graph, lambda _: False)


def network(op: str) -> Graph:
    """A reader of lines: columns of a picture as a sequence."""
    rng = np.random.default_rng(0)
    rows = GATES[op] * 8
    nodes = [
        node("Conv", "x k", "a", strides=[8, 1]),
        node("Squeeze", "a two", "s"),
        node("Transpose", "s", "t", perm=[2, 0, 1]),
        node(op, "t w r b", "q", hidden_size=8, direction="bidirectional"),
        node("Transpose", "q", "u", perm=[0, 2, 1, 3]),
        node("Reshape", "u flat", "f"),
        node("MatMul", "f m", "y"),
    ]
    held = {
        "k": rng.normal(size=(4, 3, 8, 3)) / 4,
        "w": rng.normal(size=(2, rows, 4)),
        "r": rng.normal(size=(2, rows, 8)) / 2,
        "b": rng.normal(size=(2, 2 * rows)),
        "m": rng.normal(size=(16, 5)),
    }
    constants = {name: array.astype(np.float32) for name, array in held.items()}
    constants |= {"two": np.array([2]), "flat": np.array([6, 1, 16])}
    made = model(nodes, 17, constants, shape=(1, 3, 8, 8), result=(6, 1, 5))
    specs = (
        TensorSpec("x", (1, 3, 8, 8), value_range=(0.0, 1.0)),
        TensorSpec("y", (6, 1, 5), kind="vector", value_range=None),
    )
    return order.run(Graph(ir.from_proto(onnx.shape_inference.infer_shapes(made)), specs[:1], specs[1:], "lines", 1))


@pytest.mark.parametrize("target", ["tflite", "ncnn", "coreml"])
@pytest.mark.parametrize("op", ["LSTM", "GRU"])
def test_targets_without_recurrent_layers_have_their_steps(op: str, target: str, tmp_path: Path) -> None:
    graph = network(op)
    given = np.random.default_rng(2).random((1, 3, 8, 8)).astype(np.float32)
    wanted = graphs.session(graph.model).run(None, {"x": given})
    found = on_target(graph, target, "fp32", [given], wanted, tmp_path)
    assert found.word == "right", found
