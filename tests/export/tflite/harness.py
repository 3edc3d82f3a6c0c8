"""Shared helpers for tests of TFLite's rules: tiny graphs, run in LiteRT and in ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from clearport.base import Graph, Size, TensorSpec
from clearport.export.from_onnx import resizes
from clearport.export.tflite.lint import nnapi
from clearport.graph import nodes as graphs
from clearport.quantize.flow import QuantizeOptions

HEIGHT, WIDTH = 10, 12
RANGE = (0.0, 2.0)
SEED = 7
PLAIN = QuantizeOptions(equalization=(0.0,), search=False, compensate=False)
"""Min-max ranges and rounding to nearest: what is tested here is the file, not how good its scales are."""


def weight(*shape: int, seed: int = SEED) -> np.ndarray:
    """Random weights that keep values in the order of one."""
    numbers = np.random.default_rng(seed).standard_normal(shape)
    return (numbers / max(np.sqrt(np.prod(shape[1:])), 1)).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """A graph from ``image`` (1, 3, H, W) to ``restored``: nodes (operator, inputs, output, attributes) and arrays."""

    nodes: tuple[tuple[str, str, str, dict[str, Any]], ...]
    constants: dict[str, Any] = field(default_factory=dict)


def conv_case(shape: tuple[int, ...], **attributes: Any) -> Case:
    """One convolution of the image."""
    constants = {"w": weight(*shape), "b": weight(shape[0], seed=8)}
    return Case((("Conv", "image w b", "restored", attributes),), constants)


def after_conv(
    *nodes: tuple[str, str, str, dict[str, Any]],
    channels: int = 8,
    constants: dict[str, Any] | None = None,
) -> Case:
    """Nodes behind a convolution that makes features ``x`` (and ``y``, from another)."""
    first = [("Conv", "image wx bx", "x", {"pads": [1, 1, 1, 1]})]
    made = {"wx": weight(channels, 3, 3, 3), "bx": weight(channels, seed=9)}
    if any("y" in node[1].split() for node in nodes):
        first.append(("Conv", "image wy by", "y", {"pads": [1, 1, 1, 1]}))
        made |= {"wy": weight(channels, 3, 3, 3, seed=10), "by": weight(channels, seed=11)}
    return Case((*first, *nodes), made | (constants or {}))


def one(op: str, inputs: str = "x", **attributes: Any) -> tuple[str, str, str, dict[str, Any]]:
    """The last node."""
    return op, inputs, "restored", attributes


def f32(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def i64(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def build(case: Case, height: int | str = HEIGHT, width: int | str = WIDTH) -> Graph:
    """The case as a checked graph."""
    nodes = [
        onnx.helper.make_node(
            op, inputs.split(" "), output.split(" "), name=f"{op}_{output}".replace(" ", "_"), **attributes
        )
        for op, inputs, output, attributes in case.nodes
    ]
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, (1, 3, height, width))
    restored = onnx.helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, None)
    constants = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in case.constants.items()]
    proto = onnx.helper.make_graph(nodes, "case", [image], [restored], constants)
    model = onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    body = ir.from_proto(resizes.inferred(model))
    known, picture = body.graph.outputs[0].shape, (1, 3, height, width)
    sides = picture if known is None or len(known) != len(picture) else known
    shape = tuple(n if isinstance(n, int) else usual for n, usual in zip(sides, picture, strict=True))
    given, made = TensorSpec("image", picture, value_range=RANGE), TensorSpec("restored", shape, value_range=RANGE)
    return graphs.check(Graph(body, (given,), (made,), "case", 1))


def pictures(count: int = 3) -> list[np.ndarray]:
    return [np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8) for i in range(count)]


def real(picture: np.ndarray) -> np.ndarray:
    """(1, 3, H, W) float32 in RANGE."""
    levels = picture.astype(np.float32) / 255 * (RANGE[1] - RANGE[0]) + RANGE[0]
    return np.ascontiguousarray(levels.transpose(2, 0, 1)[None], np.float32)


def onnxruntime(model: ir.Model, image: np.ndarray) -> np.ndarray:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(graphs.to_bytes(model), options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"image": image})
    return np.asarray(output)


def litert(data: bytes, image: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Output and facts of a file on an NHWC image."""
    from ai_edge_litert.interpreter import Interpreter

    from clearport.runtime.sessions.tflite import TfliteSession

    session = TfliteSession(Interpreter(model_content=data, num_threads=1))
    return session.run({"image": image})["restored"], session.facts()


def report(data: bytes, folder: Path) -> nnapi.NnapiReport:
    path = folder / "case.tflite"
    path.write_bytes(data)
    return nnapi.lint(path)


def nhwc(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


SIZE = Size(HEIGHT, WIDTH)
