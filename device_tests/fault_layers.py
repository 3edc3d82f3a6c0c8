"""Layers of ONNX, TFLite and OpenVINO files, opened so that faults can be planted in their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import onnx
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder
from onnx import numpy_helper

Array = npt.NDArray[Any]


@dataclass
class Layer:
    """The numbers of one layer, to be changed in place: output channels first, ``bias`` and ``scales`` (C,) if any.

    ``scales`` are those of quantized weights.
    """

    name: str
    weight: Array
    bias: Array | None
    scales: Array | None

    @property
    def arrays(self) -> list[Array]:
        return [array for array in (self.weight, self.bias, self.scales) if array is not None]


Read = tuple[list[Layer], Callable[[], None]]


def onnx_layers(path: Path) -> Read:
    model = onnx.load(path)
    arrays = {i.name: numpy_helper.to_array(i).copy() for i in model.graph.initializer}
    made_by = {out: node for node in model.graph.node for out in node.output}

    def behind(name: str) -> tuple[str, str | None]:
        """The initializer that a value is, or is dequantized from, and the one with its scales."""
        node = made_by.get(name)
        return (
            (node.input[0], node.input[1]) if node is not None and node.op_type == "DequantizeLinear" else (name, None)
        )

    layers = []
    for node in model.graph.node:
        if node.op_type not in {"Conv", "ConvTranspose"}:
            continue
        weight, scales = behind(node.input[1])
        bias = behind(node.input[2])[0] if len(node.input) > 2 else ""
        first = arrays[weight] if node.op_type == "Conv" else arrays[weight].swapaxes(0, 1)
        layers.append(Layer(node.name, first, arrays.get(bias), arrays.get(scales or "")))

    def save() -> None:
        for tensor in model.graph.initializer:
            tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name], tensor.name))
        onnx.save(model, path)

    return layers, save


_CHANNEL_AXIS = {"CONV_2D": 0, "TRANSPOSE_CONV": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
_OPERATORS = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_TYPES = {value: name for name, value in vars(schema.TensorType).items() if not name.startswith("_")}


def tflite_layers(path: Path) -> Read:
    data = path.read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]
    codes = [_OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    made_by = {int(out): op for op in graph.operators for out in op.outputs}
    held: dict[int, Array] = {}

    def array(index: int) -> Array | None:
        op = made_by.get(index)
        if op is not None and codes[op.opcodeIndex] == "DEQUANTIZE":
            return array(int(op.inputs[0]))
        tensor = graph.tensors[index]
        content = model.buffers[tensor.buffer].data
        if index < 0 or content is None:
            return None
        if tensor.buffer not in held:
            raw = np.asarray(content, np.uint8).tobytes()
            numbers = np.frombuffer(raw, np.dtype(_TYPES[tensor.type].lower())).copy()
            held[tensor.buffer] = numbers.reshape(tensor.shape)
        return held[tensor.buffer]

    layers = []
    for op in graph.operators:
        kind = codes[op.opcodeIndex]
        weight = array(int(op.inputs[1])) if kind in _CHANNEL_AXIS else None
        if weight is None:
            continue
        place = 3 if kind == "TRANSPOSE_CONV" else 2
        bias = array(int(op.inputs[place])) if len(op.inputs) > place else None
        about = graph.tensors[int(op.inputs[1])].quantization
        scales = None
        if about is not None and about.scale is not None and len(about.scale):
            about.scale = scales = np.array(about.scale)
        name = graph.tensors[int(op.outputs[0])].name
        text = name.decode() if isinstance(name, bytes) else str(name)
        layers.append(Layer(text, np.moveaxis(weight, _CHANNEL_AXIS[kind], 0), bias, scales))

    def save() -> None:
        for buffer, numbers in held.items():
            model.buffers[buffer].data = np.frombuffer(numbers.tobytes(), np.uint8)
        builder = Builder(len(data) + 1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))

    return layers, save


_ELEMENTS = {"f32": np.float32, "f16": np.float16, "i8": np.int8, "u8": np.uint8, "i32": np.int32, "i64": np.int64}


class _Xml:
    """The graph of a model.xml, and views into the numbers of its model.bin."""

    def __init__(self, path: Path, data: bytearray) -> None:
        root = ET.parse(path).getroot()
        self.nodes = {node.get("id", ""): node for node in root.find("layers") or ()}
        self.feeds: dict[str, dict[int, str]] = {}
        for edge in root.find("edges") or ():
            ports = self.feeds.setdefault(edge.get("to-layer", ""), {})
            ports[int(edge.get("to-port", "0"))] = edge.get("from-layer", "")
        self._data = data

    def kind(self, node_id: str) -> str:
        return self.nodes[node_id].get("type", "")

    def constants(self, node_id: str) -> Iterator[Array]:
        """Constants that a value is computed from, through what dequantizes."""
        about = self.nodes[node_id].find("data")
        if self.kind(node_id) == "Const" and about is not None:
            shape = [int(n) for n in filter(None, (about.get("shape") or "").split(","))]
            kind = np.dtype(_ELEMENTS[about.get("element_type", "")])
            start, size = int(about.get("offset", "0")), int(about.get("size", "0"))
            yield np.frombuffer(self._data, kind, size // kind.itemsize, start).reshape(shape)
        elif self.kind(node_id) in {"Convert", "Multiply", "Subtract", "Reshape"}:
            for source in self.feeds[node_id].values():
                yield from self.constants(source)

    def bias_after(self, node_id: str, channels: int) -> Array | None:
        """What the addition behind a convolution adds to each channel."""
        for target, ports in self.feeds.items():
            if node_id in ports.values() and self.kind(target) == "Add":
                found = [c for source in ports.values() for c in self.constants(source)]
                return next((c.reshape(-1) for c in found if c.size == channels), None)
        return None


def openvino_layers(path: Path) -> Read:
    xml = next(path.glob("*.xml"))
    data = bytearray(xml.with_suffix(".bin").read_bytes())
    graph = _Xml(xml, data)
    layers = []
    for node_id, node in graph.nodes.items():
        kind = graph.kind(node_id)
        if "Convolution" not in kind:
            continue
        found = [a for a in graph.constants(graph.feeds[node_id][1]) if a.size > 1]
        weight = max(found, key=lambda a: a.size)
        first = weight.swapaxes(0, 1) if "Backprop" in kind else weight
        if kind.startswith("Group"):  # (groups, output channels of each, ...)
            first = weight.reshape(-1, *weight.shape[2:])
        scales = [a.reshape(-1) for a in found if a is not weight and a.dtype.kind == "f" and a.size == len(first)]
        bias = graph.bias_after(node_id, len(first))
        layers.append(Layer(node.get("name", node_id), first, bias, scales[0] if scales else None))
    return layers, partial(_write, xml.with_suffix(".bin"), data)


def _write(path: Path, data: bytearray) -> None:
    path.write_bytes(bytes(data))


LAYERS: dict[str, Callable[[Path], Read]] = {
    "onnxruntime": onnx_layers,
    "openvino": openvino_layers,
    "tflite": tflite_layers,
}
"""Target -> what opens its files: their layers, and a function that saves what was changed."""
