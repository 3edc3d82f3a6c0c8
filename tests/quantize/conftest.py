"""Small networks in clearport's dialect, written as ONNX text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

from clearport.base import Graph, TensorSpec
from clearport.graph import nodes as graphs

GraphOf = Callable[..., Graph]

CHAIN = """
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    b = LeakyRelu<alpha=0.1>(a)
    c = Conv<group=8, pads=[1,1,1,1]>(b, D, E)
    d = Relu(c)
    f = ConvTranspose<strides=[2,2]>(d, T, F)
    g = Relu(f)
    restored = Conv<pads=[1,1,1,1]>(g, V, C)
"""
SHAPES = {
    "W": [8, 3, 3, 3], "B": [8], "D": [8, 1, 3, 3], "E": [8], "T": [8, 6, 2, 2], "F": [6], "V": [3, 6, 3, 3], "C": [3],
}  # fmt: skip


def _graph_of(body: str, colors: int = 3, size: int = 16, **shapes: list[int]) -> Graph:
    """``image`` float32 (1, 3, size, size) to ``restored``, by ``body``; ``shapes`` are those of random constants."""
    text = f"g (float[1,3,{size},{size}] image) => (float[1,{colors},N,M] restored) {{ {body} }}"
    declared = "".join(f", float[{','.join(map(str, shape))}] {name}" for name, shape in shapes.items())
    text = text.replace("image)", f"image{declared})", 1)
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 20]> {text}')
    generator = np.random.default_rng(0)
    for placeholder in list(model.graph.inputs)[1:]:
        name = placeholder.name or ""
        scale = 0.3 / np.sqrt(max(1, np.prod(shapes[name][1:])))
        model.graph.inputs.remove(placeholder)
        placeholder.name = None
        array = generator.normal(scale=scale, size=shapes[name]).astype(np.float32)
        ir.convenience.replace_all_uses_with(placeholder, graphs.new_constant(model.graph, name, array))
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    specs = (TensorSpec("image", (1, 3, size, size)), TensorSpec("restored", (1, colors, "N", "M")))
    for index, node in enumerate(model.graph):
        node.name = node.name or f"node{index}"
    return graphs.check(Graph(model, specs[:1], specs[1:], "test", 1))


@pytest.fixture(scope="session")
def graph_of() -> GraphOf:
    """Builds a graph from the lines of its body."""
    return _graph_of


@pytest.fixture(scope="session")
def chain() -> Graph:
    """Every kind of convolution, one behind the other."""
    return _graph_of(CHAIN, **SHAPES)


@pytest.fixture(scope="session")
def photos() -> list[np.ndarray]:
    """Two smooth pictures with an edge, uint8 (48, 48, 3)."""
    y, x = np.mgrid[0:48, 0:48] / 48
    edges = [x > 0.5, x > 0.6]
    waves = [np.stack([np.sin(5 * x + c) * np.cos(4 * y) + edge for c in range(3)], axis=2) for edge in edges]
    return [np.clip(90 + 70 * wave, 0, 255).astype(np.uint8) for wave in waves]
