"""A network of three convolutions in clearport's dialect, small enough for every target to write and run in no time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from clearport.base import Graph, TensorSpec
from clearport.graph import nodes as graphs
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantized import QuantizedGraph


@dataclass(frozen=True)
class Small:
    """``graph`` doubles a picture of any size or of 12x16; ``quantized`` is calibrated on ``photo`` (12, 16, 3)."""

    graph: Graph
    quantized: QuantizedGraph
    photo: np.ndarray


def doubling_graph(shape: tuple[int | str, int | str]) -> Graph:
    """Conv, Relu, Conv, plus a 1x1 Conv of the picture, Clip, DepthToSpace."""
    rng = np.random.default_rng(7)
    constants = {
        "w1": rng.normal(0, 0.2, (8, 3, 3, 3)),
        "b1": rng.normal(0, 4, 8),
        "w2": rng.normal(0, 0.1, (12, 8, 3, 3)),
        "b2": rng.normal(0, 4, 12),
        "w3": np.tile(np.eye(3), (4, 1))[:, :, None, None],
        "b3": np.zeros(12),
        "lo": np.array(0.0),
        "hi": np.array(255.0),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["conv1.out"], "conv1", pads=[1] * 4),
        helper.make_node("Relu", ["conv1.out"], ["relu1.out"], "relu1"),
        helper.make_node("Conv", ["relu1.out", "w2", "b2"], ["conv2.out"], "conv2", pads=[1] * 4),
        helper.make_node("Conv", ["image", "w3", "b3"], ["conv3.out"], "conv3"),
        helper.make_node("Add", ["conv2.out", "conv3.out"], ["add1.out"], "add1"),
        helper.make_node("Clip", ["add1.out", "lo", "hi"], ["clip1.out"], "clip1"),
        helper.make_node("DepthToSpace", ["clip1.out"], ["restored"], "up", blocksize=2, mode="DCR"),
    ]
    doubled = tuple(2 * n if isinstance(n, int) else f"2*{n}" for n in shape)
    source, result = TensorSpec("image", (1, 3, *shape)), TensorSpec("restored", (1, 3, *doubled))
    body = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, list(source.shape))],
        [helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, list(result.shape))],
        [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in constants.items()],
    )
    proto = helper.make_model(body, opset_imports=[helper.make_opsetid("", graphs.OPSET)], ir_version=10)
    return graphs.check(Graph(ir.from_proto(proto), (source,), (result,), "small", 2))


@pytest.fixture(scope="session", params=[(12, 16), ("H", "W")], ids=["fixed", "any size"])
def small(request: pytest.FixtureRequest) -> Small:
    """The network, once for 12x16 and once for any size."""
    graph = doubling_graph(request.param)
    rng = np.random.default_rng(1)
    photo = np.clip(rng.normal(120, 50, (12, 16, 3)), 0, 255).astype(np.uint8)
    quick = QuantizeOptions(equalization=(0.0,), search=False, compensate=False)
    return Small(graph, quantize(graph, [photo], quick), photo)
