"""Faults planted into files of a bundle, whose checksums and manifest are then made right again.

What a writer or a converter might do wrong: a dead channel, a channel's scale, two channels in each other's place, a
flipped sign, one bias, a layer of zeros. Layers are those that hold weights: convolutions of every kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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

from clearport.bundle import folder as bundle
from clearport.bundle.folder import Bundle
from clearport.bundle.manifest import ArtifactRecord
from clearport.disk import files

Array = npt.NDArray[Any]
Random = np.random.Generator
TARGETS = ("onnxruntime", "openvino", "tflite")
"""Targets whose files faults are planted in."""


@dataclass
class Layer:
    """The numbers of one layer, to be changed in place: output channels first, ``bias`` and ``scales`` (C,) if any.

    ``scales`` are those of quantized weights.
    """

    name: str
    weight: Array
    bias: Array | None
    scales: Array | None


def dead_channel(layer: Layer, channel: int, other: int) -> None:
    del other
    layer.weight[channel] = 0
    if layer.bias is not None:
        layer.bias[channel] = 0


def wrong_scale(layer: Layer, channel: int, other: int) -> None:
    """A channel's weights count one and a half times: by their scale, where they have one."""
    del other
    if layer.scales is not None and layer.scales.size > 1:
        layer.scales[channel] *= 1.5
    else:
        limit = np.iinfo(layer.weight.dtype).max if layer.weight.dtype.kind == "i" else np.inf
        layer.weight[channel] = np.clip(layer.weight[channel].astype(np.float32) * 1.5, -limit, limit)


def swapped_channels(layer: Layer, channel: int, other: int) -> None:
    for array in filter(lambda a: a is not None, (layer.weight, layer.bias, layer.scales)):
        if array.size > 1:
            array[[channel, other]] = array[[other, channel]]


def flipped_sign(layer: Layer, channel: int, other: int) -> None:
    del other
    layer.weight[channel] *= -1


def wrong_bias(layer: Layer, channel: int, other: int) -> None:
    """That of another channel, with the other sign."""
    if layer.bias is not None:
        layer.bias[channel] = -layer.bias[other] - np.sign(layer.bias[other]) * np.abs(layer.bias).mean()


def zero_layer(layer: Layer, channel: int, other: int) -> None:
    del channel, other
    layer.weight[:] = 0


KINDS: dict[str, Callable[[Layer, int, int], None]] = {
    "dead channel": dead_channel,
    "wrong scale": wrong_scale,
    "swapped channels": swapped_channels,
    "flipped sign": flipped_sign,
    "wrong bias": wrong_bias,
    "zero layer": zero_layer,
}


def flipped_bias(layer: Layer, channel: int, other: int) -> None:
    """Of the whole layer."""
    del channel, other
    if layer.bias is not None:
        layer.bias *= -1


def transposed_kernel(layer: Layer, channel: int, other: int) -> None:
    """Height and width of each kernel in each other's place: the last two axes, or those before the last."""
    del channel, other
    axes = (2, 3) if layer.weight.shape[2] == layer.weight.shape[3] > 1 else (1, 2)
    if layer.weight.shape[axes[0]] == layer.weight.shape[axes[1]]:
        layer.weight[:] = np.swapaxes(layer.weight, *axes).copy()


LAYER_KINDS = {
    "wrong scale": wrong_scale,
    "permuted channel": swapped_channels,
    "flipped bias": flipped_bias,
    "transposed kernel": transposed_kernel,
}
"""What ``diagnose`` is tried on, beside ``round_twice``."""


def round_twice(path: Path, random: Random) -> str:
    """Round what a layer of a ``.onnx`` file writes to a coarser grid before its own; the tensor."""
    model = onnx.load(path)
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    rounded = [n for n in model.graph.node if n.op_type == "QuantizeLinear" and arrays[n.input[1]].size == 1]
    node = rounded[int(random.integers(len(rounded)))]
    scale = np.float32(1.4 * arrays[node.input[1]])
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(scale), f"{node.name}.coarse"))
    ends = [f"{node.name}.coarse", node.input[2]]
    place = list(model.graph.node).index(node)
    twice = [
        onnx.helper.make_node("QuantizeLinear", [node.input[0], *ends], [f"{node.name}.first"]),
        onnx.helper.make_node("DequantizeLinear", [f"{node.name}.first", *ends], [f"{node.name}.again"]),
    ]
    for number, new in enumerate(twice):
        model.graph.node.insert(place + number, new)
    node.input[0] = f"{node.name}.again"
    onnx.save(model, path)
    return node.output[0].removesuffix(".q")


@dataclass(frozen=True)
class Fault:
    """What was planted where."""

    artifact: str
    kind: str
    layer: str
    channel: int

    def __str__(self) -> str:
        return f"{self.artifact}: {self.kind} in {self.layer}, channel {self.channel}"


def plant(
    place: Bundle,
    record: ArtifactRecord,
    kind: str,
    random: Random,
    kinds: Mapping[str, Callable[[Layer, int, int], None]] = KINDS,
) -> Fault | None:
    """Plant a fault of a kind at a random place of an artifact; None where it would leave the file as it is."""
    path = place.folder / record.path
    read = LAYERS[record.target]
    layers, save = read(path)
    layer = layers[int(random.integers(len(layers)))]
    channel, other = (int(n) for n in random.choice(len(layer.weight), 2, replace=len(layer.weight) < 2))
    arrays = [array for array in (layer.weight, layer.bias, layer.scales) if array is not None]
    before = [array.copy() for array in arrays]
    kinds[kind](layer, channel, other)
    if all(np.array_equal(old, new) for old, new in zip(before, arrays, strict=True)):
        return None
    save()
    return Fault(record.key, kind, layer.name, channel)


def sign_again(place: Bundle) -> Bundle:
    """Checksums and sizes of all files made right, as by somebody who knows the format."""
    records = tuple(
        a.model_copy(
            update={"sha256": files.digest(place.folder / a.path), "bytes": files.size_bytes(place.folder / a.path)}
        )
        for a in place.artifacts
    )
    return bundle.write(place.folder, place.manifest.model_copy(update={"artifacts": records}))


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
