"""Gathers, scatters and TopK: indexing by constant or computed indices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.graph.nodes import constant, operand
from clearport.operators.record import Kernel, Operator, coreai, listed, mil, ncnn, tflite

if TYPE_CHECKING:
    import onnx_ir as ir


def _from_the_front(node: ir.Node) -> bool:
    """Whether no index is negative (counted from the end)."""
    indices = constant(operand(node, 1))
    return indices is None or int(indices.min(initial=0)) >= 0


GATHER = Operator(
    "Gather",
    "mover",
    moves_data=True,
    tflite=tflite("index:gather"),
    mil=mil("index:gather"),
    coreai=coreai("index:gather"),
    ncnn=ncnn("index:gather"),
    kernels=(Kernel("GATHER", ("1.6.0", "1.14.0", "2.2.0", "2.5.0"), float32=29),),
    openvino=("Gather",),
    elsewhere=listed("webgpu", "webnn", htp=_from_the_front),
)
GRID_SAMPLE = Operator(
    "GridSample",
    "resize",
    mil=mil("index:resample"),
    ncnn=ncnn("index:grid_sample"),
    reference={"resample": "clearport.runtime.coreml_reference.choices:resample"},
    elsewhere=listed("htp"),
)
TOP_K = Operator(
    "TopK",
    "other",
    jumps=True,
    tflite=tflite("index:top_k"),
    mil=mil("index:top_k", since="index:first_ios"),
    kernels=(Kernel("TOPK_V2", ("1.7.0", "1.14.0"), float32=29),),
    reference={"topk": "clearport.runtime.coreml_reference.choices:topk"},
    elsewhere=listed("htp"),
)
ARG_MAX = Operator(
    "ArgMax",
    "other",
    jumps=True,
    tflite=tflite("index:extreme", op="ARG_MAX"),
    mil=mil("index:extreme", op="reduce_argmax"),
    coreai=coreai("choices:extreme"),
    ncnn=ncnn("index:extreme", code=4),
    kernels=(Kernel("ARG_MAX", ("1.9.0", "1.14.0"), float32=29),),
    reference={"reduce_argmax": "clearport.runtime.coreml_reference.choices:argmax"},
    elsewhere=listed("htp", "webgpu", "webnn"),
)
ARG_MIN = Operator(
    "ArgMin",
    "other",
    jumps=True,
    tflite=tflite("index:extreme", op="ARG_MIN"),
    mil=mil("index:extreme", op="reduce_argmin"),
    coreai=coreai("choices:extreme", smallest=True),
    ncnn=ncnn("index:extreme", code=5),
    kernels=(Kernel("ARG_MIN", ("1.9.0", "1.14.0"), float32=29),),
    reference={"reduce_argmin": "clearport.runtime.coreml_reference.choices:argmin"},
    elsewhere=listed("htp", "webgpu", "webnn"),
)

OPERATORS = (ARG_MAX, ARG_MIN, GATHER, GRID_SAMPLE, TOP_K)
