"""ONNX files of any opset, written operator by operator, and what ONNX Runtime makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from clearport.base import TensorSpec
from clearport.export.from_onnx.graph import graph_of
from clearport.export.from_onnx.plain import plain
from clearport.export.from_onnx.read import Given, read
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clearport.base import Array

SHAPE = (1, 3, 8, 12)
FORMATS = {
    "float32": onnx.TensorProto.FLOAT,
    "float16": onnx.TensorProto.FLOAT16,
    "uint8": onnx.TensorProto.UINT8,
}


def model(  # noqa: PLR0913  all that a file says
    nodes: Sequence[onnx.NodeProto],
    opset: int,
    constants: Mapping[str, Array] | None = None,
    *,
    shape: Sequence[int | str] = SHAPE,
    result: Sequence[int | str | None] = (None, None, None, None),
    kinds: tuple[str, str] = ("float32", "float32"),
    ir_version: int | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """One input ``x`` and one output ``y``."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", FORMATS[kinds[0]], list(shape))],
        [helper.make_tensor_value_info("y", FORMATS[kinds[1]], list(result))],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=imports, functions=list(functions))
    made.ir_version = ir_version or helper.find_min_ir_version_for(
        [helper.make_opsetid("", opset)], ignore_unknown=True
    )
    return made


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node; names are separated by blanks, ``-`` leaves an input out."""
    return helper.make_node(op, [n.replace("-", "") for n in inputs.split()], outputs.split(), **attributes)


def save(made: onnx.ModelProto, path: Path) -> Path:
    """Write a model as it is."""
    path.write_bytes(made.SerializeToString())
    return path


def given(made: onnx.ModelProto, path: Path) -> Given:
    """A model, read back from a file."""
    return read(save(made, path / "given.onnx"))


def run(data: bytes, feeds: Mapping[str, Array]) -> list[Array]:
    """What ONNX Runtime makes of a file without optimizations."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    found: list[Array] = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(
        None, dict(feeds)
    )
    return found


def noise(shape: Sequence[int] = SHAPE, low: float = -1.0, high: float = 1.0) -> Array:
    """Uniform noise, float32."""
    return np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)


def both(made: onnx.ModelProto, path: Path, image: Array) -> tuple[Array, Array]:
    """The output of a file, and of the graph that is made of it, on an image."""
    found = plain(given(made, path))
    (wanted,) = run(found.to_bytes(), {"x": image})
    inputs = [TensorSpec("x", image.shape, value_range=(-1.0, 1.0))]
    outputs = [TensorSpec("y", wanted.shape, kind="map", value_range=None)]
    graph = graph_of(found, "given", inputs, outputs, 1)
    return wanted, graphs.session(graph.model).run(None, {"x": image})[0]
