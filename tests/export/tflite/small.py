"""A tiny super-resolver as a .tflite file, with scales by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from clearport.base import Graph, IODType, Options, Precision, Size, TensorSpec
from clearport.export.tflite.target import emit
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.quantized import QParams, QuantizedGraph, ScaleTable
from clearport.runtime.sessions.tflite import TfliteSession

SIZE = Size(6, 8)
BLOCK = 2


def graph_of(height: int | str = 6, width: int | str = 8, big: float = 1.0) -> Graph:
    """A tiny super-resolver: conv, relu, conv, add of itself through a 1x1 conv, clip, depth to space."""
    rng = np.random.default_rng(0)
    constants = {
        "w1": rng.normal(0, 0.2, (8, 3, 3, 3)),
        "b1": rng.normal(0, 5, 8),
        "w2": rng.normal(0, 0.1, (12, 8, 3, 3)) * big,
        "b2": np.zeros(12),
        "w3": np.tile(np.eye(3), (4, 1)).reshape(12, 3, 1, 1),
        "b3": np.zeros(12),
        "lo": np.array(0),
        "hi": np.array(255),
    }
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["image", "w1", "b1"], ["a"], name="head", pads=[1, 1, 1, 1]),
        make("Relu", ["a"], ["r"], name="act"),
        make("Conv", ["r", "w2", "b2"], ["c"], name="tail", pads=[1, 1, 1, 1]),
        make("Conv", ["image", "w3", "b3"], ["n"], name="nearest"),
        make("Add", ["c", "n"], ["s"], name="sum"),
        make("Clip", ["s", "lo", "hi"], ["k"], name="clip"),
        make("DepthToSpace", ["k"], ["restored"], name="shuffle", blocksize=BLOCK, mode="DCR"),
    ]
    tensors = [onnx.numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()]
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, (1, 3, height, width))
    restored = onnx.helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, None)
    proto = onnx.helper.make_graph(nodes, "tiny", [image], [restored], tensors)
    model = onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    spec = TensorSpec("image", (1, 3, height, width))
    sides = [n * BLOCK if isinstance(n, int) else f"{BLOCK}*{n}" for n in (height, width)]
    graph = Graph(ir.from_proto(onnx.shape_inference.infer_shapes(model)), (spec,), (spec,), "tiny", BLOCK)
    return graphs.check(replace(graph, outputs=(replace(spec, name="restored", shape=(1, 3, *sides)),)))


def quantized_of(graph: Graph) -> QuantizedGraph:
    """The same without clamps, with scales by hand."""
    copy = graphs.clone(graph)
    for node in list(copy.model.graph):
        if node.op_type in {"Relu", "Clip"}:
            ir.convenience.replace_all_uses_with(node.outputs[0], node.inputs[0])
            copy.model.graph.remove(node)
    entries = {
        "image": QParams((1.0,), -128),
        "a": QParams((1.5,), -128),
        "c": QParams((2.0,), 3),
        "n": QParams((1.0,), -128),
        "s": QParams((1.0,), -128),
        "restored": QParams((1.0,), -128),
    }
    for w, b, source in (("w1", "b1", "image"), ("w2", "b2", "a"), ("w3", "b3", "image")):
        array = graphs.constant(copy.model.graph.initializers[w])
        assert array is not None
        scales = tuple(float(np.float32(p / 127)) for p in np.abs(array).reshape(len(array), -1).max(1))
        entries[w] = QParams(scales, 0, "int8", 0)
        entries[b] = QParams(tuple(entries[source].scale[0] * s for s in scales), 0, "int32", 0)
    return QuantizedGraph(copy, ScaleTable(entries))


def run(data: bytes, image: np.ndarray) -> np.ndarray:
    return TfliteSession(Interpreter(model_content=data, num_threads=1)).run({"image": image})["restored"]


def picture(size: Size = SIZE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (1, size.height, size.width, 3)).astype(np.uint8)


def written(precision: Precision, io: IODType = "float32", size: Size | None = SIZE) -> tuple[bytes, Any, Any]:
    graph = graph_of() if size else graph_of("H", "W")
    data, inputs, outputs = emit(target_graph(graph, quantized_of(graph), precision), Options(size, io))
    return data, *inputs, *outputs


def model_of(data: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(data)


KINDS: tuple[tuple[Precision, IODType], ...] = (
    ("fp32", "float32"),
    ("fp16", "float32"),
    ("int8", "uint8"),
    ("int8", "int8"),
    ("int8", "float32"),
)
