"""Which operators of a .tflite file LiteRT's GPU delegate supports, and why it rejects others.

The checks are the delegate's own (``CheckGpuDelegateCompatibility`` in
``tensorflow/lite/tools/versioning/gpu_compatibility.cc``, TensorFlow at commit 03a5e4e1), for the operators that
clearport writes. It is a prediction: LiteRT.js and ML Drift, which share its kernels, may support more, and a driver
may reject more. int8 files are accepted, too, and computed in float.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from clearport.export.tflite.lint.nnapi import Edge, Op, operators_of
from clearport.graph import partitions

_REFLECT = 0
_FLOATS = frozenset({"FLOAT16", "FLOAT32"})


@dataclass(frozen=True)
class GpuFinding:
    """One operator; ``reason``: why the GPU delegate rejects it, or empty."""

    op: str
    writes: str
    reason: str


@dataclass(frozen=True)
class GpuReport:
    """Every operator of a file, in order, with its inputs and outputs."""

    findings: tuple[GpuFinding, ...]
    edges: tuple[Edge, ...]

    @property
    def partitions(self) -> int:
        """Number of GPU partitions. By default the delegate takes only the largest."""
        return partitions.count(self.edges, [not finding.reason for finding in self.findings])


def lint(path: Path) -> GpuReport:
    """Look at every operator of a .tflite file.

    Raises:
        BadInput: it is not a .tflite file.
    """
    operators, edges = operators_of(path)
    return GpuReport(tuple(GpuFinding(op.op, op.output.name, _reason(op)) for op in operators), edges)


def _reason(op: Op) -> str:
    if op.op not in _TAKEN:
        return "the GPU delegate has no such operator"
    return _MORE[op.op](op) if op.op in _MORE else ""


def _mirrored(op: Op) -> str:
    return "" if op.options.mode == _REFLECT else "repeats the edge: only reflection is taken"


def _product(op: Op) -> str:
    one, other = op.inputs
    if one.rank != other.rank:
        return ""
    pairs = list(zip(one.dims, other.dims, strict=True))
    smaller = any(a < b for a, b in pairs) and any(b < a for a, b in pairs)
    return "both operands are broadcast" if smaller else ""


def _gathered(op: Op) -> str:
    if op.inputs[0].dtype == "INT32":
        return "it picks whole numbers"
    return "" if op.inputs[1].rank == 1 else "its indices have more than one axis"


def _cut(op: Op) -> str:
    return "" if op.inputs[0].rank in {3, 4} else f"it cuts {op.inputs[0].rank} axes: 3 and 4 are taken"


def _cast(op: Op) -> str:
    kinds = {op.inputs[0].dtype, op.output.dtype}
    known = kinds <= {"FLOAT32", "INT32"} or ("BOOL" in kinds and kinds & _FLOATS)
    return "" if known else f"from {op.inputs[0].dtype} to {op.output.dtype}"


def _padded(op: Op) -> str:
    return "" if op.inputs[0].rank in {3, 4} else f"it pads {op.inputs[0].rank} axes: 3 and 4 are taken"


_TAKEN = frozenset(
    " ".join(
        (
            "ABS ADD ADD_N ATAN2 AVERAGE_POOL_2D BATCH_MATMUL CAST CEIL CONCATENATION CONV_2D COS CUMSUM DENSIFY",
            "DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED",
            "GATHER GELU GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGISTIC MAXIMUM",
            "MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT PACK PAD PADV2 POW PRELU QUANTIZE",
            "REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR",
            "RESIZE_NEAREST_NEIGHBOR RSQRT SELECT SELECT_V2 SIGN SIN SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT",
            "SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE TRANSPOSE_CONV",
        )
    ).split()
)
"""TFLite operators that the delegate supports."""

_MORE: Mapping[str, Callable[[Op], str]] = {
    "CAST": _cast,
    "GATHER": _gathered,
    "MIRROR_PAD": _mirrored,
    "MUL": _product,
    "PAD": _padded,
    "PADV2": _padded,
    "SLICE": _cut,
    "STRIDED_SLICE": _cut,
}
"""Operator -> check of its attributes; returns the reason for a rejection."""
