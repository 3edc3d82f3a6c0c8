"""Shared helpers for tests of the Core ML target: small graphs, pictures, and the content of packages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from clearport.base import Graph, TensorSpec
from clearport.graph import nodes as graphs
from clearport.protocols import Target
from clearport.registry import TARGETS, missing

if missing(("coremltools",)):
    pytest.skip("coremltools is not installed", allow_module_level=True)

from clearport.export.coreml import package as coreml_package
from clearport.export.coreml import tools as coreml_tools
from clearport.export.passes import order as passes
from clearport.quantize import flow, weight_only

if TYPE_CHECKING:
    from clearport.base import Array, Precision
    from clearport.quantized import QuantizedGraph

TARGET: Target = TARGETS.get("coreml")
PLAIN = flow.QuantizeOptions(equalization=(0.0,), search=False, compensate=False)
RNG = np.random.default_rng(5)
WEIGHTS = {
    "w1": RNG.normal(0, 0.2, (8, 3, 3, 3)).astype(np.float32),
    "b1": RNG.normal(0, 1, 8).astype(np.float32),
    "w2": RNG.normal(0, 0.2, (12, 8, 3, 3)).astype(np.float32),
    "b2": RNG.normal(40, 20, 12).astype(np.float32),
}


def graph_of(nodes: list[onnx.NodeProto], constants: dict[str, Array], spec: TensorSpec, scale: int = 1) -> Graph:
    """A checked graph from ``image`` to ``restored``."""
    body = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, list(spec.shape))],
        [helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, [1, "C", "OH", "OW"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = ir.from_proto(helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    result = replace(spec, name="restored", shape=tuple(n * scale if isinstance(n, int) else n for n in spec.shape))
    return graphs.check(Graph(model, (spec,), (replace(result, shape=(1, 3, *result.shape[2:])),), "tiny", scale))


def upscaler(value_range: tuple[float, float] = (0.0, 255.0), free: bool = False, mode: str = "DCR") -> Graph:
    """Two convolutions, depth to space by 2, and a clip to the range."""
    low, high = value_range
    step = (high - low) / 255
    constants = {
        **WEIGHTS,
        "b1": WEIGHTS["b1"] * step - low * WEIGHTS["w1"].sum((1, 2, 3)),
        "b2": WEIGHTS["b2"] * step + low,
        "low": np.float32(low),
        "high": np.float32(high),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["x1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["x1"], ["x2"], "relu"),
        helper.make_node("Conv", ["x2", "w2", "b2"], ["x3"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["x3"], ["x4"], "shuffle", blocksize=2, mode=mode),
        helper.make_node("Clip", ["x4", "low", "high"], ["restored"], "clip"),
    ]
    sides: list[Any] = ["H", "W"] if free else [10, 14]
    return graph_of(nodes, constants, TensorSpec("image", (1, 3, *sides), value_range=value_range), 2)


def quantized(graph: Graph, precision: Precision = "int8") -> QuantizedGraph | None:
    """What a precision is lowered from beside the graph."""
    if precision == "int8-weights":
        return weight_only.quantize(graph, [])
    if precision != "int8":
        return None
    return flow.quantize(passes.run(graph), [photo(14, 10), photo(14, 10, seed=1)], PLAIN)


def photo(width: int, height: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def onnxruntime(graph: Graph, image: Array) -> Array:
    import onnxruntime as ort

    session = ort.InferenceSession(graphs.to_proto(graph.model).SerializeToString(), providers=["CPUExecutionProvider"])
    result: Array = session.run(None, {"image": image})[0]
    return result


def specification(path: Path) -> Any:
    coreml_tools.load()
    from coremltools.proto import Model_pb2

    return Model_pb2.Model.FromString((path / coreml_package.MODEL).read_bytes())
