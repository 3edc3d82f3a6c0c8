"""OpenVINO's intermediate representation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from clearport.disk.files import size_bytes
from clearport.disk.json_files import read_bytes
from clearport.errors import BadInput
from clearport.pipeline.formats.described import Described, Tally, end
from clearport.runtime.runners.openvino import xml_of

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import TensorSpec

_SUMS = {"Convolution": 0, "GroupConvolution": 0, "ConvolutionBackpropData": 1, "MatMul": 0}
_NUMPY = {"f32": "float32", "f16": "float16", "u8": "uint8", "i8": "int8", "i32": "int32", "i64": "int64"}
_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "u8": 1, "i8": 1, "i32": 4, "i64": 8, "boolean": 1}
_ENDS = frozenset({"Parameter", "Result", "Const"})
_MOST_XML = 256 << 20


def described(path: Path) -> Described:
    """See ``Described``.

    Raises:
        BadInput: it is not an IR.
    """
    xml = xml_of(path)
    text = read_bytes(xml, _MOST_XML)
    if b"<!" in text.replace(b"<!--", b""):  # an IR has no DOCTYPE, and entities are never expanded
        raise BadInput(f"{xml}: it has a DOCTYPE, which is not allowed in an IR")
    net = ET.fromstring(text)  # noqa: S314  without a document type there is nothing to expand
    layers = {layer.attrib["id"]: layer for layer in net.iterfind("layers/layer")}
    edges = {(e.attrib["to-layer"], e.attrib["to-port"]): e.attrib["from-layer"] for e in net.iterfind("edges/edge")}
    tally = Tally()
    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    for layer in layers.values():
        kind = layer.attrib["type"]
        if kind == "Parameter":
            inputs.append(_end(layer, _port(layer, "output")))
        elif kind == "Result":
            outputs.append(_result(layer, layers, edges))
        elif kind == "Const":
            _constant(tally, layer)
        if kind not in _ENDS:
            tally.operators[kind] += 1
        if kind in _SUMS:
            _count(tally, layer)
    size = size_bytes(xml) + size_bytes(xml.with_suffix(".bin"))
    ends = (tuple(inputs), tuple(outputs))
    return Described(path, "openvino", size, *ends, tally.operators, tally.weights, tally.macs)


def _constant(tally: Tally, layer: Any) -> None:
    data = layer.find("data")
    tally.weights[_NUMPY.get(data.attrib["element_type"], data.attrib["element_type"])] += int(data.attrib["size"])


def _port(layer: Any, side: str, number: int = 0) -> Any:
    return layer.findall(f"{side}/port")[number]


def _dims(port: Any) -> tuple[int | str, ...]:
    return tuple(f"d{i}" if int(dim.text) < 0 else int(dim.text) for i, dim in enumerate(port.iterfind("dim")))


def _count(tally: Tally, layer: Any) -> None:
    """Count a layer; a grouped convolution has a leading axis of groups; a transposed one has products per input
    element.
    """
    kind = layer.attrib["type"]
    weight: tuple[Any, ...] = _dims(_port(layer, "input", 1))
    if kind == "GroupConvolution":
        weight = weight[1:]
    backward = kind == "ConvolutionBackpropData"
    if kind == "MatMul":
        data = layer.find("data")
        axis = len(weight) - (2 if data is not None and data.attrib.get("transpose_b") == "true" else 1)
        weight, shift = weight[-2:], len(weight) - 2
        tally.add(weight, axis - shift, _dims(_port(layer, "output")))
        return
    result = _dims(_port(layer, "input" if backward else "output"))
    tally.add(weight, 0, result)


def _end(layer: Any, port: Any) -> TensorSpec:
    kind = port.attrib.get("precision", "FP32").lower().replace("fp", "f")
    names = port.attrib.get("names", layer.attrib["name"]).split(",")
    return end(names[0], _dims(port), _NUMPY.get(kind, "float32"))


def _result(layer: Any, layers: dict[str, Any], edges: dict[tuple[str, str], str]) -> TensorSpec:
    """The output, with the names of its producer."""
    port = _port(layer, "input")
    source = layers[edges[layer.attrib["id"], port.attrib["id"]]]
    return _end(source, _port(source, "output"))
