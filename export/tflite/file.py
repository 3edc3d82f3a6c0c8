"""Builder of a .tflite file: tensors, operators and buffers, then bytes.

The schema classes are those that LiteRT itself is built with (``ai_edge_litert.schema_py_generated``); TensorFlow is
not needed. Constants are stored once however often they are used, every buffer starts on a 16-byte boundary
(the schema's ``force_align``, which the generated Python code ignores), and the same calls give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from clearport.export.tflite import versions as tflite_versions
from clearport.export.tflite.tensors import Quant, Tensor

if TYPE_CHECKING:
    from clearport.base import Array

    Ends = Mapping[str, Tensor]

ALIGNMENT = 16
SIGNATURE = "serving_default"
_SCHEMA_VERSION = 3
_TYPES = {name: name.upper() for name in ("bool", "float32", "float16", "int32", "int64", "uint8", "int8")}
_OPTIONS = {
    "MINIMUM": "MaximumMinimumOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "PADV2": "PadV2Options",
    "SELECT_V2": "SelectV2Options",
    "TOPK_V2": "TopKV2Options",
}
"""Exceptions to the naming of options in the schema (``LEAKY_RELU`` has ``LeakyReluOptions``)."""


class AlignedBuffer:
    """The bytes of one constant, as an object of flatbuffers' object API."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802  flatbuffers calls the method by this name
        if not self.data:
            schema.BufferStart(builder)
            return int(schema.BufferEnd(builder))
        builder.StartVector(1, len(self.data), ALIGNMENT)
        builder.head = builder.Head() - len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


class FlatFile:
    """Collects tensors and operators in order; ``to_bytes`` ends it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tensors: list[Tensor] = []
        self._buffer_of: list[int] = []
        self._buffers: dict[bytes, int] = {b"": 0}
        self._constants: dict[tuple[object, ...], Tensor] = {}
        self._codes: dict[tuple[str, int], int] = {}
        self._operators: list[Any] = []

    def tensor(self, name: str, dims: Sequence[int], dtype: str, quant: Quant | None, free: Sequence[bool]) -> Tensor:
        """A tensor that an operator writes, or an input."""
        return self._add(Tensor(len(self._tensors), name, tuple(dims), dtype, quant, tuple(free)), 0)

    def constant(self, name: str, array: Array, quant: Quant | None = None) -> Tensor:
        """A constant tensor; equal constants share one tensor, with the name of the first."""
        data = np.ascontiguousarray(array).tobytes()
        key = (data, array.shape, str(array.dtype), quant)
        if key not in self._constants:
            buffer = self._buffers.setdefault(data, len(self._buffers))
            new = Tensor(len(self._tensors), name, array.shape, str(array.dtype), quant)
            self._constants[key] = self._add(new, buffer)
        return self._constants[key]

    def rename(self, tensor: Tensor, name: str) -> Tensor:
        """The same tensor under another name."""
        self._tensors[tensor.index] = replace(tensor, name=name)
        return self._tensors[tensor.index]

    def operator(
        self, op: str, inputs: Sequence[Tensor], output: Tensor, more: Sequence[Tensor] = (), **options: Any
    ) -> None:
        """Append an operator in the lowest version that has its types and options; ``options`` by schema name.

        ``more`` are its outputs after the first.
        """
        key = (op, tflite_versions.minimum(op, inputs, output, options))
        made = schema.OperatorT()
        made.opcodeIndex = self._codes.setdefault(key, len(self._codes))
        made.inputs = np.array([t.index for t in inputs], np.int32)
        made.outputs = np.array([output.index, *(t.index for t in more)], np.int32)
        kind = _OPTIONS.get(op) or "".join(word.capitalize() for word in op.split("_")) + "Options"
        if options or hasattr(schema.BuiltinOptions, kind):
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = getattr(schema, f"{kind}T")()
            for name, value in options.items():
                if not hasattr(made.builtinOptions, name):
                    raise AttributeError(f"{kind} of the TFLite schema has no field {name!r}")
                setattr(made.builtinOptions, name, value)
        self._operators.append(made)

    def operators(self) -> tuple[str, ...]:
        """The kinds of operators, each once, with their versions: ``CONV_2D:3``."""
        return tuple(f"{op}:{version}" for op, version in self._codes)

    def to_bytes(self, inputs: Ends, outputs: Ends, metadata: Mapping[str, bytes]) -> bytes:
        """The file's bytes, with inputs and outputs by signature name.

        The oldest runtime that has every operator is added to ``metadata``.
        """
        everything = dict(metadata) | {"min_runtime_version": tflite_versions.runtime(self._codes)}
        model = schema.ModelT()
        model.version = _SCHEMA_VERSION
        model.description = self.name
        model.operatorCodes = [_operator_code(op, version) for op, version in self._codes]
        model.subgraphs = [self._subgraph(inputs, outputs)]
        model.signatureDefs = [_signature(inputs, outputs)]
        model.metadata = [self._metadata(name, data) for name, data in sorted(everything.items())]
        model.buffers = [AlignedBuffer(data) for data in self._buffers]
        builder = flatbuffers.Builder(sum(map(len, self._buffers)) + 4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _add(self, tensor: Tensor, buffer: int) -> Tensor:
        self._tensors.append(tensor)
        self._buffer_of.append(buffer)
        return tensor

    def _metadata(self, name: str, data: bytes) -> Any:
        entry = schema.MetadataT()
        entry.name = name
        entry.buffer = self._buffers.setdefault(data, len(self._buffers))
        return entry

    def _subgraph(self, inputs: Ends, outputs: Ends) -> Any:
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors = [_packed(t, buffer) for t, buffer in zip(self._tensors, self._buffer_of, strict=True)]
        graph.operators = self._operators
        graph.inputs = np.array([tensor.index for tensor in inputs.values()], np.int32)
        graph.outputs = np.array([tensor.index for tensor in outputs.values()], np.int32)
        return graph


def _packed(tensor: Tensor, buffer: int) -> Any:
    made = schema.TensorT()
    made.name = tensor.name
    made.shape = np.array(tensor.dims, np.int32)
    made.type = getattr(schema.TensorType, _TYPES[tensor.dtype])
    made.buffer = buffer
    if any(tensor.free):
        made.shapeSignature = np.array(tensor.signature, np.int32)
    if tensor.quant is not None:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = np.array(tensor.quant.scale, np.float32)
        made.quantization.zeroPoint = np.full(len(tensor.quant.scale), tensor.quant.zero_point, np.int64)
        made.quantization.quantizedDimension = tensor.quant.axis
    return made


def _operator_code(op: str, version: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, op)
    # Readers from before 2020 know only this one-byte field; 127 refers newer readers to builtinCode.
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    return code


def _signature(inputs: Ends, outputs: Ends) -> Any:
    def entry(name: str, tensor: Tensor) -> Any:
        made = schema.TensorMapT()
        made.name, made.tensorIndex = name, tensor.index
        return made

    signature = schema.SignatureDefT()
    signature.signatureKey = SIGNATURE
    signature.inputs, signature.outputs = ([entry(*each) for each in ends.items()] for ends in (inputs, outputs))
    return signature
