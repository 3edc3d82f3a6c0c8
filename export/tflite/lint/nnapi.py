"""Which operators of a .tflite file Android's NNAPI supports, from which API level, and why it rejects others.

The checks are those of TensorFlow Lite's NNAPI delegate (``NNAPIDelegateKernel::Validate`` in
``tensorflow/lite/delegates/nnapi/nnapi_delegate.cc``): operator, version, types, ranks, scales. It is a prediction: a
phone's driver may reject more. NNAPI is deprecated since Android 15 (API 35). The rules were compared with the delegate
of LiteRT at commit 5c8a6d4b; where older versions are stricter, theirs apply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from clearport.errors import BadInput
from clearport.graph import partitions
from clearport.operators import table

API_LEVELS = (27, 28, 29, 30, 31)
"""Android 8.1 (NNAPI 1.0), 9 (1.1), 10 (1.2), 11 (1.3) and 12."""
_NEVER = 99


Need = tuple[int, str]
"""An API level and the reason that requires it."""
Edge = tuple[frozenset[int], frozenset[int]]
"""An operator's input and output tensors."""


@dataclass(frozen=True)
class Finding:
    """One operator: ``api_level`` is the first that supports it (None: none does), ``reason`` the deciding condition.

    ``needs`` are all of its conditions, and ``writes`` is the name of its output tensor.
    """

    index: int
    op: str
    version: int
    dtype: str
    api_level: int | None
    reason: str
    needs: tuple[Need, ...] = ()
    writes: str = ""

    def taken(self, api_level: int) -> bool:
        """Whether NNAPI supports it at an API level."""
        return self.api_level is not None and self.api_level <= api_level


@dataclass(frozen=True)
class NnapiReport:
    """Every operator of a file, in order, with its inputs and outputs (for the partitions)."""

    findings: tuple[Finding, ...]
    edges: tuple[Edge, ...]

    @property
    def api_level(self) -> int | None:
        """The first API level that supports every operator; None if there is none."""
        levels = [f.api_level for f in self.findings]
        return None if None in levels else max((n for n in levels if n is not None), default=API_LEVELS[0])

    def refused(self, api_level: int) -> tuple[Finding, ...]:
        """The operators that stay on the CPU at an API level."""
        return tuple(f for f in self.findings if not f.taken(api_level))

    def partitions(self, api_level: int) -> int:
        """Number of NNAPI partitions at an API level; each costs a round trip to the accelerator."""
        return partitions.count(self.edges, [finding.taken(api_level) for finding in self.findings])


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file; ``dtype`` is the schema's name."""

    name: str
    dtype: str
    rank: int
    dims: tuple[int, ...]
    constant: bool
    scales: tuple[float, ...]
    zero_point: int


@dataclass(frozen=True)
class Op:
    """An operator of a file: its schema name, version, inputs, outputs and options."""

    op: str
    version: int
    inputs: tuple[Tensor, ...]
    output: Tensor
    options: Any


@dataclass(frozen=True)
class _Rule:
    """Highest supported version; first API level for float32 and for 8 bit; further conditions."""

    max_version: int
    float32: int = 27
    quantized: int = 27
    more: Callable[[Op], Iterable[Need]] = lambda _: ()


def lint(path: Path) -> NnapiReport:
    """Look at every operator of a .tflite file.

    Raises:
        BadInput: it is not a .tflite file.
    """
    operators, edges = operators_of(path)
    return NnapiReport(tuple(_finding(i, op) for i, op in enumerate(operators)), edges)


def operators_of(path: Path) -> tuple[list[Op], tuple[Edge, ...]]:
    """The operators of a .tflite file, in order, and each one's input and output tensors.

    Raises:
        BadInput: it is not a .tflite file.
    """
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise BadInput(f"{path}: not a TFLite file (identifier {data[4:8]!r}, expected b'TFL3')")
    model = schema.ModelT.InitFromPackedBuf(data)
    graph = model.subgraphs[0]
    tensors = [_tensor(model, t) for t in graph.tensors]
    edges = [(frozenset(map(int, o.inputs)), frozenset(map(int, o.outputs))) for o in graph.operators]
    return [_operator(model, o, tensors) for o in graph.operators], tuple(edges)


def _finding(index: int, op: Op) -> Finding:
    needs = sorted(_needs(op), key=lambda need: need[0])
    level, reason = needs[-1]
    dtype = op.inputs[0].dtype
    return Finding(
        index, op.op, op.version, dtype, None if level == _NEVER else level, reason, tuple(needs), op.output.name
    )


def _needs(op: Op) -> list[Need]:
    rule = RULES.get(op.op) or _brought(op.op)
    if rule is None:
        return [(_NEVER, "NNAPI has no such operator")]
    if op.op == "DEQUANTIZE" and op.inputs[0].dtype == "FLOAT16" and op.inputs[0].constant:
        return [(30, "a float16 constant is handed over as it is")]
    dtype = next((t.dtype for t in op.inputs if t.dtype != "INT32" or not t.constant), "INT32")
    level = {"FLOAT32": rule.float32, "INT8": rule.quantized, "UINT8": rule.quantized}.get(dtype, _NEVER)
    needs = [(level, "" if level == 27 else f"{op.op} of {dtype}")]
    if op.version > rule.max_version:
        needs.append((_NEVER, f"version {op.version}: NNAPI takes up to {rule.max_version}"))
    if any(t.rank > 4 for t in (*op.inputs, op.output)):
        needs.append((_NEVER, "a tensor of more than four axes"))
    return [*needs, *rule.more(op)]


def _brought(op: str) -> _Rule | None:
    """The NNAPI rule from an operator's record, for a kernel that the table lacks."""
    kernel = table.kernel(op)
    if kernel is None or kernel.float32 is None:
        return None
    versions = len(kernel.versions)
    return _Rule(versions, kernel.float32, _NEVER if kernel.int8 is None else kernel.int8)


def _convolution(op: Op) -> Iterable[Need]:
    if len(op.inputs) != 3:
        yield _NEVER, "a convolution without bias"
    if len(op.inputs[1].scales) > 1:
        yield 29, "one scale per channel"
    if op.options.dilationHFactor != 1 or op.options.dilationWFactor != 1:
        yield 29, "dilation"


def _transposed(op: Op) -> Iterable[Need]:
    if not (op.inputs[0].constant and op.inputs[1].constant):
        yield _NEVER, "an output shape or kernel that is not constant"


def _resize(op: Op) -> Iterable[Need]:
    if not op.inputs[1].constant:
        yield _NEVER, "an output size that is not constant"
    if op.options.alignCorners or op.options.halfPixelCenters:
        yield 30, "half_pixel_centers or align_corners"
    if op.op == "RESIZE_BILINEAR" and op.output.dims[1] != op.output.dims[2]:
        yield 29, "RESIZE_BILINEAR to another height than width"


def _mean(op: Op) -> Iterable[Need]:
    if (op.inputs[0].scales, op.inputs[0].zero_point) != (op.output.scales, op.output.zero_point):
        yield _NEVER, "MEAN with another scale at its output than at its input"


def _average(op: Op) -> Iterable[Need]:
    if op.inputs[0].scales and op.options.filterHeight * op.options.filterWidth > 256:
        yield _NEVER, "a window of more than 256 pixels in 8 bit"


def _quantize(op: Op) -> Iterable[Need]:
    if op.output.dtype == "INT8":
        yield 30, "QUANTIZE to INT8"


def _dequantize(op: Op) -> Iterable[Need]:
    if op.inputs[0].dtype == "INT8":
        yield (29, "DEQUANTIZE of INT8") if op.inputs[0].zero_point == 0 else (30, "DEQUANTIZE of asymmetric INT8")


def _unfused(op: Op) -> Iterable[Need]:
    if op.options.fusedActivationFunction:
        yield _NEVER, "a fused activation"


def _split(op: Op) -> Iterable[Need]:
    if op.inputs[1].dtype == "INT8":
        yield 30, "SPLIT of INT8"


def _linear(op: Op) -> Iterable[Need]:
    if op.options.keepNumDims:
        yield 30, "keep_num_dims"


def _softmax(op: Op) -> Iterable[Need]:
    if op.output.rank not in {2, 4}:
        yield 29, "SOFTMAX of other than 2 or 4 axes"


RULES: Mapping[str, _Rule] = {
    "ABS": _Rule(1, 29, _NEVER),
    "ADD": _Rule(2),
    "AVERAGE_POOL_2D": _Rule(2, more=_average),
    "CONCATENATION": _Rule(2, more=_unfused),
    "CONV_2D": _Rule(3, quantized=29, more=_convolution),
    "DEPTHWISE_CONV_2D": _Rule(3, quantized=29, more=_convolution),
    "DEPTH_TO_SPACE": _Rule(2),
    "DEQUANTIZE": _Rule(2, float32=_NEVER, more=_dequantize),
    "DIV": _Rule(1, 28, _NEVER),
    "EXP": _Rule(1, 29, _NEVER),
    "FULLY_CONNECTED": _Rule(5, 27, 29, _linear),
    "HARD_SWISH": _Rule(1),
    "LEAKY_RELU": _Rule(1, 29, 29),
    "LOG": _Rule(1, 29, _NEVER),
    "LOGISTIC": _Rule(2),
    "MAXIMUM": _Rule(3, 29, 29),
    "MAX_POOL_2D": _Rule(2),
    "MEAN": _Rule(2, 28, 29, _mean),
    "MINIMUM": _Rule(3, 29, 29),
    "MUL": _Rule(2),
    "NEG": _Rule(1, 29, _NEVER),
    "PAD": _Rule(2, 28, 29),
    "PADV2": _Rule(2, 29, 29),
    "POW": _Rule(1, 29, _NEVER),
    "PRELU": _Rule(1, 29, 29),
    "QUANTIZE": _Rule(2, 29, 29, _quantize),
    "REDUCE_MAX": _Rule(2, 29, 29),
    "REDUCE_MIN": _Rule(2, 29, 29),
    "RELU": _Rule(2),
    "RELU6": _Rule(2),
    "RELU_N1_TO_1": _Rule(2),
    "RESHAPE": _Rule(1),
    "RESIZE_BILINEAR": _Rule(3, 27, 29, _resize),
    "RESIZE_NEAREST_NEIGHBOR": _Rule(3, 29, 29, _resize),
    "SLICE": _Rule(2, 29, 29),
    "RSQRT": _Rule(1, 29, _NEVER),
    "SOFTMAX": _Rule(2, 27, 29, _softmax),
    "SPACE_TO_DEPTH": _Rule(2),
    "SPLIT": _Rule(3, 29, 29, _split),
    "SQRT": _Rule(1, 29, _NEVER),
    "STRIDED_SLICE": _Rule(2, 28, 28),
    "SUB": _Rule(3, 28, 29),
    "SUM": _Rule(1, 29, _NEVER),
    "TANH": _Rule(2, 27, 29),
    "TRANSPOSE": _Rule(2, 28, 28),
    "TRANSPOSE_CONV": _Rule(3, 29, 29, _transposed),
}
"""Operator -> NNAPI's conditions. Operators that are not listed stay on the CPU."""


def _tensor(model: Any, tensor: Any) -> Tensor:
    names = {number: name for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
    quant = tensor.quantization
    scales = () if quant is None or quant.scale is None else tuple(np.asarray(quant.scale, np.float64).tolist())
    zero_point = int(quant.zeroPoint[0]) if scales else 0
    dims = () if tensor.shape is None else tuple(map(int, tensor.shape))
    name = tensor.name.decode() if isinstance(tensor.name, bytes) else str(tensor.name)
    return Tensor(
        name, names[tensor.type], len(dims), dims, model.buffers[tensor.buffer].data is not None, scales, zero_point
    )


def _operator(model: Any, operator: Any, tensors: Sequence[Tensor]) -> Op:
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    code = model.operatorCodes[operator.opcodeIndex]
    op = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
    inputs = tuple(tensors[i] for i in operator.inputs if i >= 0)
    return Op(op, code.version, inputs, tensors[operator.outputs[0]], operator.builtinOptions)
