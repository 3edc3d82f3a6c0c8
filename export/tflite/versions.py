"""The lowest version of each TFLite operator that supports the types and options in use.

Higher versions than needed cost accelerators: NNAPI's delegate refuses an operator by its version alone. Source:
``tensorflow/lite/tools/versioning/op_version.cc`` and ``runtime_version.cc``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clearport.operators import table

if TYPE_CHECKING:
    from clearport.export.tflite.tensors import Tensor

_SAME_FOR_INT8 = frozenset({"HARD_SWISH", "LEAKY_RELU", "PRELU", "QUANTIZE", "RESHAPE"})
"""Operators whose first version already supports int8."""

_RUNTIME: Mapping[str, tuple[str, ...]] = {
    "ABS": ("1.13.0", "2.4.0"),
    "ADD": ("1.5.0", "1.14.0"),
    "AVERAGE_POOL_2D": ("1.5.0", "1.14.0"),
    "BATCH_MATMUL": ("2.3.0", "2.3.0"),
    "BROADCAST_TO": ("2.5.0", "2.5.0", "2.5.0"),
    "CONCATENATION": ("1.5.0", "1.14.0"),
    "CONV_2D": ("1.5.0", "1.14.0", "1.14.0", "2.3.0", "2.4.0", "2.9.0"),
    "DEPTHWISE_CONV_2D": ("1.5.0", "1.12.0", "1.14.0"),
    "DEPTH_TO_SPACE": ("2.1.0", "2.5.0"),
    "DEQUANTIZE": ("1.13.1", "1.14.0", "1.15.0"),
    "DIV": ("1.6.0",),
    "EXP": ("1.7.0",),
    "FULLY_CONNECTED": ("1.5.0", "1.10.0", "1.14.0", "1.14.0", "2.0.0"),
    "GELU": ("2.9.0", "2.9.0"),
    "HARD_SWISH": ("1.15.0",),
    "LEAKY_RELU": ("1.13.1",),
    "LOG": ("1.14.0",),
    "LOGISTIC": ("1.14.0", "1.14.0"),
    "MAXIMUM": ("1.14.0", "1.14.0"),
    "MAX_POOL_2D": ("1.5.0", "1.14.0"),
    "MEAN": ("1.6.0", "1.14.0"),
    "MINIMUM": ("1.14.0", "1.14.0"),
    "MIRROR_PAD": ("1.13.1", "2.3.0"),
    "MUL": ("1.5.0", "1.14.0", "1.15.0"),
    "NEG": ("1.9.0",),
    "PAD": ("1.5.0", "1.14.0"),
    "PADV2": ("1.9.0", "1.14.0"),
    "POW": ("1.10.0",),
    "PRELU": ("1.8.0",),
    "QUANTIZE": ("1.14.0",),
    "REDUCE_MAX": ("1.11.0", "1.14.0"),
    "REDUCE_MIN": ("1.11.0", "1.14.0"),
    "RELU": ("1.5.0", "2.1.0"),
    "RELU6": ("1.5.0",),
    "RELU_N1_TO_1": ("1.5.0",),
    "RESHAPE": ("1.5.0",),
    "RESIZE_BILINEAR": ("1.7.0", "1.14.0", "2.2.0"),
    "RESIZE_NEAREST_NEIGHBOR": ("1.13.1", "1.14.0", "2.3.0"),
    "RSQRT": ("1.10.0", "2.5.0"),
    "SLICE": ("1.14.0", "1.14.0"),
    "SOFTMAX": ("1.5.0", "1.14.0"),
    "SPACE_TO_DEPTH": ("1.5.0", "1.14.0"),
    "SQRT": ("1.10.0",),
    "STRIDED_SLICE": ("1.6.0", "1.14.0"),
    "SUB": ("1.6.0", "1.14.0"),
    "SUM": ("1.10.0", "1.15.0"),
    "TANH": ("1.14.0", "1.14.0"),
    "TRANSPOSE": ("1.6.0", "1.14.0"),
    "TRANSPOSE_CONV": ("1.9.0", "2.2.0", "2.3.0"),
}
"""Operator -> the first runtime that had its version 1, 2, 3 ..."""


def minimum(op: str, inputs: Sequence[Tensor], output: Tensor, options: Mapping[str, Any]) -> int:
    """The lowest version of ``op`` for these tensors and options (named as in the schema)."""
    int8 = any(t.dtype == "int8" for t in inputs)
    brought = table.kernel(op)
    version = (2 if brought is None else brought.int8_version) if int8 else 1
    if op in _SAME_FOR_INT8:
        version = 1
    elif op == "CONV_2D":
        grouped = inputs[0].dims[3] != inputs[1].dims[3]
        version = 6 if grouped else 3 if int8 else 1
    elif op == "FULLY_CONNECTED":
        version = 5 if options["keepNumDims"] else 4 if int8 else 1
    elif op == "BROADCAST_TO":
        version = 3 if int8 else 2
    elif op == "DEPTHWISE_CONV_2D":
        dilated = options["dilationHFactor"] != 1 or options["dilationWFactor"] != 1
        version = 3 if int8 else 2 if dilated else 1
    elif op == "TRANSPOSE_CONV":
        version = 3 if len(inputs) == 4 else version
    elif op == "DEQUANTIZE":
        version = 3 if inputs[0].dtype == "float16" else version
    elif op in {"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"}:
        aligned = op == "RESIZE_NEAREST_NEIGHBOR" and options["alignCorners"]
        version = 3 if options["halfPixelCenters"] or aligned else version
    elif op == "MUL" and int8:
        version = 3 if _scale(inputs[0]) * _scale(inputs[1]) >= _scale(output) else 2
    return version


def runtime(operators: Iterable[tuple[str, int]]) -> bytes:
    """The oldest TFLite runtime that has all of ``(operator, version)``, as the 16 bytes of ``min_runtime_version``.

    Unknown operators are ignored, as in TensorFlow.
    """
    needed = [known[version - 1] for op, version in operators if (known := _runtimes(op))]
    newest = max(needed, key=lambda text: tuple(map(int, text.split("."))), default="1.5.0")
    return newest.encode().ljust(16, b"\0")


def _runtimes(op: str) -> tuple[str, ...]:
    """The first runtime with each version of an operator; empty if neither the table nor a record knows."""
    brought = table.kernel(op)
    return _RUNTIME.get(op, brought.versions if brought is not None else ())


def _scale(tensor: Tensor) -> float:
    return tensor.quant.scale[0] if tensor.quant is not None else 1.0
