"""TFLite files, read with LiteRT's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.disk.files import size_bytes
from clearport.errors import BadInput
from clearport.pipeline.formats.described import Described, Tally, end

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import TensorSpec

_SUMS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 3, "FULLY_CONNECTED": 0}
"""Operators with weights (input 1) -> output channel axis of the weights."""


def described(path: Path) -> Described:
    """See ``Described``; remarks include NNAPI's predicted support."""
    from ai_edge_litert import schema_py_generated as schema

    from clearport.export.tflite.lint.levels import describe, predict
    from clearport.export.tflite.lint.nnapi import lint

    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise BadInput(f"{path}: not a TFLite file (identifier {data[4:8]!r}, expected b'TFL3')")
    model = schema.ModelT.InitFromPackedBuf(data)
    graph = model.subgraphs[0]
    kinds, types = _names(schema.BuiltinOperator), _names(schema.TensorType)
    tally = Tally()
    for tensor in graph.tensors:
        content = model.buffers[tensor.buffer].data
        if content is not None:
            tally.weights[types[tensor.type].lower()] += len(content)
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        name = code.customCode.decode() if kind == "CUSTOM" and code.customCode else kind
        tally.operators[name] += 1
        if kind in _SUMS:
            at = operator.inputs[2] if kind == "TRANSPOSE_CONV" else operator.outputs[0]
            tally.add(_dims(graph.tensors[operator.inputs[1]]), _SUMS[kind], _dims(graph.tensors[at]))
    inputs, outputs = _ends(model, graph, types)
    said = (describe(predict(lint(path))),)
    size = size_bytes(path)
    return Described(path, "tflite", size, inputs, outputs, tally.operators, tally.weights, tally.macs, said)


def _names(kind: Any) -> dict[int, str]:
    return {number: name for name, number in vars(kind).items() if not name.startswith("_")}


def _dims(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _ends(model: Any, graph: Any, types: dict[int, str]) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs by their names in the interpreter: those of the signature, or of the tensors."""
    signature = model.signatureDefs[0] if model.signatureDefs else None
    found = []
    for indices, named in ((graph.inputs, "inputs"), (graph.outputs, "outputs")):
        words = {m.tensorIndex: m.name.decode() for m in getattr(signature, named)} if signature else {}
        found.append(tuple(_end(graph.tensors[i], words.get(int(i)), types) for i in indices))
    return found[0], found[1]


def _end(tensor: Any, name: str | None, types: dict[int, str]) -> TensorSpec:
    quant = tensor.quantization
    scales = [] if quant is None or quant.scale is None else np.asarray(quant.scale, np.float64).tolist()
    scale, zero = (float(scales[0]), int(quant.zeroPoint[0])) if len(scales) == 1 else (None, None)
    dims: tuple[int, ...] = _dims(tensor)
    free = None if tensor.shapeSignature is None else tuple(map(int, tensor.shapeSignature))
    shape = tuple(f"d{i}" if n < 0 else n for i, n in enumerate(free or dims))
    return end(name or tensor.name.decode(), shape, types[tensor.type].lower(), scale, zero)
