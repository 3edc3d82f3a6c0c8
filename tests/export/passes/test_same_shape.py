"""No pass takes an operator for nothing because its shape stays: each is run before and after, in ONNX Runtime."""

from __future__ import annotations

import importlib
import re

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from clearport.base import Graph, TensorSpec
from clearport.export.passes import order as passes
from clearport.graph import nodes as graphs
from tests.export.passes.same_shape_cases import CASES

GENERATOR = np.random.default_rng(5)
CONSTANTS = {
    **{
        name: GENERATOR.normal(size=shape).astype(np.float32)
        for name, shape in {
            "W4": (4, 4, 1, 1), "W8": (8, 4, 1, 1), "W1": (1, 4, 1, 1), "K4": (4, 4, 3, 3), "G4": (4, 2, 1, 1),
            "B4": (4,), "M44": (4, 4), "V14": (1, 4), "V41": (4, 1), "V411": (4, 1, 1), "V816": (8, 1, 6),
        }.items()
    },
    "P4": np.float32([0.5, 1, 2, 3]),
    "ONE": np.ones((1, 4, 6, 6), np.float32),
    "ZERO": np.zeros((1, 4, 6, 6), np.float32),
    "ONE5": np.ones((1,) * 5, np.float32),
    "ZERO5": np.zeros((1,) * 5, np.float32),
    "E0": np.zeros(0, np.int64),
    "A23": np.int64([2, 3]),
}  # fmt: skip


IMAGE = np.random.default_rng(6).normal(size=(1, 4, 6, 6)).astype(np.float32)


def graph_of(body: str) -> Graph:
    """The graph of a case, with the sizes that ONNX Runtime gives it."""
    body = re.sub(r"\bC(\d)\{", r"Constant<value = int64[\1] {", body)
    body = re.sub(r"\bF0\{", r"Constant<value = float {", body)
    body = re.sub(r"\bF(\d)\{", r"Constant<value = float[\1] {", body)
    body = re.sub(r"(= Constant[^}]*\})", r"\1>()", body)
    model = ir.from_onnx_text(
        f'<ir_version: 9, opset_import: ["" : 20]> g (float[1,4,6,6] image{_declared(body)}) => (float restored) {{ '
        f"x = Sin(image) {body} restored = Cos(y) }}"
    )
    for placeholder in list(model.graph.inputs)[1:]:
        model.graph.inputs.remove(placeholder)
        name, placeholder.name = placeholder.name or "", None
        value = graphs.new_constant(model.graph, name, CONSTANTS[name])
        ir.convenience.replace_all_uses_with(placeholder, value)
    model.graph.outputs[0].shape = None
    graph = Graph(model, (TensorSpec("image", IMAGE.shape),), (TensorSpec("restored", ("N",)),), "test", 1)
    model.graph.outputs[0].shape = ir.Shape(computed(graph).shape)
    return graphs.check(graph)


def _declared(body: str) -> str:
    used = [name for name in CONSTANTS if re.search(rf"\b{name}\b", body)]
    kinds = {np.dtype(np.float32): "float", np.dtype(np.int64): "int64"}
    return "".join(f", {kinds[CONSTANTS[n].dtype]}[{','.join(map(str, CONSTANTS[n].shape))}] {n}" for n in used)


def computed(graph: Graph) -> np.ndarray:
    """What ONNX Runtime makes of it without any optimization of its own."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(graphs.to_bytes(graph.model), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": IMAGE})[0]


@pytest.mark.parametrize("case", CASES)
def test_every_pass_alone_and_all_together_keep_the_values(case: str) -> None:
    graph = graph_of(CASES[case])
    wanted = computed(graph)
    for name in passes.PASSES:
        after = graphs.check(importlib.import_module(f"clearport.export.passes.{name}").run(graph))
        if graphs.to_bytes(after.model) != graphs.to_bytes(graph.model):
            agree(after, wanted, f"pass {name} alone")
    agree(passes.run(graph), wanted, "all passes")


def agree(graph: Graph, wanted: np.ndarray, what: str) -> None:
    np.testing.assert_allclose(computed(graph), wanted, rtol=1e-4, atol=1e-4, err_msg=what)
