"""Editable .tflite files: read, remove and insert operators, write.

Constants are aligned to 16 bytes, as the schema requires and the generated Python code does not.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from clearport.errors import BadInput
from clearport.export.tflite.file import AlignedBuffer

if TYPE_CHECKING:
    from clearport.base import Array

IDENTIFIER = b"TFL3"
OPERATOR_NAMES = {n: name for name, n in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
DTYPES = {n: name.lower() for name, n in vars(schema.TensorType).items() if not name.startswith("_")}
_CODES_OF_OLD = 127
"""``deprecatedBuiltinCode`` is one byte; with this value readers use ``builtinCode``."""


class FlatGraph:
    """The only subgraph of a .tflite file, in schema objects; tensors are indices.

    Raises:
        BadInput: not a TFLite file, or it has several subgraphs.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if data[4:8] != IDENTIFIER:
            raise BadInput(f"{path}: not a TFLite file (identifier {data[4:8]!r}, expected {IDENTIFIER!r})")
        self.model = schema.ModelT.InitFromPackedBuf(data)
        if len(self.model.subgraphs) != 1:
            raise BadInput(f"{path}: holds {len(self.model.subgraphs)} subgraphs; only one is supported")
        self._graph = self.model.subgraphs[0]

    @property
    def operators(self) -> list[Any]:
        """Operators in execution order."""
        return list(self._graph.operators)

    @operators.setter
    def operators(self, operators: Sequence[Any]) -> None:
        self._graph.operators = list(operators)

    @property
    def inputs(self) -> list[int]:
        return [int(t) for t in self._graph.inputs]

    @property
    def outputs(self) -> list[int]:
        return [int(t) for t in self._graph.outputs]

    def tensor(self, index: int) -> Any:
        return self._graph.tensors[index]

    def dims(self, index: int) -> tuple[int, ...]:
        shape = self.tensor(index).shape
        return () if shape is None else tuple(int(n) for n in shape)

    def dtype(self, index: int) -> str:
        return str(DTYPES[self.tensor(index).type])

    def name(self, index: int) -> str:
        """The tensor's name."""
        return _text(self.tensor(index).name)

    def kind(self, operator: Any) -> str:
        """The operator's name such as ``CONV_2D``, or its custom code."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        if number == schema.BuiltinOperator.CUSTOM:
            return _text(code.customCode)
        return str(OPERATOR_NAMES[number])

    @property
    def free(self) -> bool:
        """Whether an input has a dynamic shape."""
        return any(-1 in map(int, self.tensor(t).shapeSignature) for t in self.inputs if self._signed(t))

    def _signed(self, index: int) -> bool:
        return self.tensor(index).shapeSignature is not None

    def values(self, index: int) -> Array:
        """A constant tensor's values."""
        data = self.model.buffers[self.tensor(index).buffer].data
        return np.frombuffer(bytes(data), self.dtype(index)).reshape(self.dims(index))

    def constant(self, index: int) -> bool:
        """Whether the tensor is constant."""
        return index >= 0 and self.model.buffers[self.tensor(index).buffer].data is not None

    def writer(self, index: int) -> Any | None:
        """The operator that writes a tensor; None for inputs and constants."""
        return next((op for op in self.operators if index in list(op.outputs)), None)

    def readers(self, index: int) -> int:
        """Number of consumers of a tensor; being a graph output counts as one."""
        return sum(list(op.inputs).count(index) for op in self.operators) + self.outputs.count(index)

    def like(self, index: int, dims: Sequence[int], name: str) -> int:
        """A new tensor with another's dtype and quantization; returns its index."""
        made = schema.TensorT()
        made.name, made.type, made.buffer = name, self.tensor(index).type, 0
        made.shape = np.array(dims, np.int32)
        made.quantization = copy.deepcopy(self.tensor(index).quantization)
        return self._add(made)

    def new_constant(self, array: Array, name: str, like: int | None = None, part: slice | None = None) -> int:
        """A new constant with the quantization of ``like``, of which ``part`` is used if per channel; returns its
        index.
        """
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        made = schema.TensorT()
        made.name, made.buffer = name, len(self.model.buffers) - 1
        made.shape = np.array(array.shape, np.int32)
        made.type = getattr(schema.TensorType, str(array.dtype).upper())
        if like is not None:
            made.quantization = copy.deepcopy(self.tensor(like).quantization)
            _cut(made.quantization, part)
        return self._add(made)

    def new_operator(
        self, kind: str, version: int, inputs: Sequence[int], output: int, options: str, **fields: object
    ) -> Any:
        """A new operator, not yet inserted; ``options`` is the schema's name of its options."""
        made = schema.OperatorT()
        made.opcodeIndex = self.code(kind, version)
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        made.builtinOptions = getattr(schema, f"{options}T")()
        for name, value in fields.items():
            setattr(made.builtinOptions, name, value)
        return made

    def copy(self, operator: Any, inputs: Sequence[int], output: int) -> Any:
        """A copy of an operator with other tensors."""
        made = copy.deepcopy(operator)
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        return made

    def reshape(self, source: int, result: int, name: str) -> Any:
        """A RESHAPE of one tensor to the shape of another."""
        dims = list(self.dims(result))
        shape = self.new_constant(np.array(dims, np.int32), f"{name}/shape")
        return self.new_operator("RESHAPE", 1, [source, shape], result, "ReshapeOptions", newShape=dims)

    def slice(self, source: int, begin: Sequence[int], result: int, name: str) -> Any:
        """A SLICE from ``begin`` of the shape of ``result``."""
        places = [
            self.new_constant(np.array(numbers, np.int32), f"{name}/{what}")
            for what, numbers in (("begin", begin), ("size", self.dims(result)))
        ]
        return self.new_operator("SLICE", 2, [source, *places], result, "SliceOptions")

    def strided_slice(self, source: int, steps: Sequence[int], result: int) -> Any:
        """A STRIDED_SLICE of all of a tensor, in ``steps``."""
        name = self.name(result)
        places = [
            self.new_constant(np.array(numbers, np.int32), f"{name}/{what}")
            for what, numbers in (("begin", [0] * len(steps)), ("end", self.dims(source)), ("strides", steps))
        ]
        return self.new_operator("STRIDED_SLICE", 2, [source, *places], result, "StridedSliceOptions")

    def concatenation(self, parts: Sequence[int], axis: int, result: int) -> Any:
        return self.new_operator("CONCATENATION", 2, parts, result, "ConcatenationOptions", axis=axis)

    def drop_unread(self) -> None:
        """Remove operators without consumers."""
        while True:
            read = {int(t) for op in self.operators for t in op.inputs} | set(self.outputs)
            kept = [op for op in self.operators if any(int(t) in read for t in op.outputs)]
            if len(kept) == len(self.operators):
                return
            self.operators = kept

    def to_bytes(self) -> bytes:
        data = [b"" if b.data is None else bytes(b.data) for b in self.model.buffers]
        kept = self.model.buffers
        self.model.buffers = [AlignedBuffer(d) for d in data]
        try:
            builder = flatbuffers.Builder(sum(map(len, data)) + 4096)
            builder.Finish(self.model.Pack(builder), IDENTIFIER)
            return bytes(builder.Output())
        finally:
            self.model.buffers = kept

    def _add(self, tensor: Any) -> int:
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def code(self, kind: str, version: int) -> int:
        """The index of an operator code, which is added if missing."""
        number = getattr(schema.BuiltinOperator, kind)
        for index, code in enumerate(self.model.operatorCodes):
            if (max(code.builtinCode, code.deprecatedBuiltinCode), code.version) == (number, version):
                return index
        made = schema.OperatorCodeT()
        made.builtinCode, made.version = number, version
        made.deprecatedBuiltinCode = min(number, _CODES_OF_OLD)
        self.model.operatorCodes.append(made)
        return len(self.model.operatorCodes) - 1


def _text(said: str | bytes) -> str:
    return said.decode() if isinstance(said, bytes) else said


def _cut(quantization: Any, part: slice | None) -> None:
    if part is not None and quantization is not None and len(quantization.scale) > 1:
        quantization.scale = np.asarray(quantization.scale)[part]
        quantization.zeroPoint = np.asarray(quantization.zeroPoint)[part]


def census(graph: FlatGraph, operators: Iterable[Any]) -> dict[str, int]:
    """Kind -> count, sorted."""
    kinds = [graph.kind(op) for op in operators]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}
