"""Operators that only move data: every number that they give is one that they took."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from clearport.graph.nodes import attr_int, constant, need_constant, operand
from clearport.operators.record import Int8, Operator, always, in_torch, mil, ncnn, tflite

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir


def _joins_values_alone(node: ir.Node) -> bool:
    """Whether nothing that is joined is a constant, which would have to lie on the grid of what is beside it."""
    return not any(constant(value) is not None for value in node.inputs)


def _finer(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    del sizes, axis
    return step / attr_int(node, "blocksize", 1)


def _coarser(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    del sizes, axis
    return step * attr_int(node, "blocksize", 1)


def _leaves_channels(node: ir.Node) -> bool:
    """Whether a Pad of all axes leaves the channels alone."""
    pads = need_constant(node, 1).tolist()
    return operand(node, 3) is None and pads[1] == 0 and pads[len(pads) // 2 + 1] == 0


def _cuts_pixels(node: ir.Node) -> bool:
    axes = constant(operand(node, 3))
    return axes is not None and any(axis != 1 for axis in axes.tolist())


CONCAT = Operator(
    "Concat",
    "mover",
    Int8("shared", when=_joins_values_alone),
    moves_data=True,
    tflite=tflite("move:concat"),
    mil=mil("spatial:concat"),
    ncnn=ncnn("spatial:concat"),
    openvino=("Concat",),
    torch=in_torch("concat"),
)
DEPTH_TO_SPACE = Operator(
    "DepthToSpace",
    "mover",
    Int8("shared"),
    moves_data=True,
    stride=_finer,
    tflite=tflite("spatial:depth_to_space"),
    mil=mil("spatial:depth_to_space"),
    ncnn=ncnn("spatial:depth_to_space"),
    openvino=("DepthToSpace",),
    torch=in_torch("depth_to_space"),
)
EXPAND = Operator(
    "Expand",
    "mover",
    moves_data=True,
    fits_one_size=always,
    tflite=tflite("move:expand"),
    mil=mil("matrix:expand"),
    openvino=("Broadcast",),
)
GATHER = Operator("Gather", "mover", moves_data=True, openvino=("Gather",))
PAD = Operator(
    "Pad",
    "mover",
    Int8("shared", constants=(1,)),
    moves_data=True,
    per_channel=_leaves_channels,
    tflite=tflite("move:pad"),
    mil=mil("spatial:pad"),
    ncnn=ncnn("spatial:pad"),
    openvino=("Pad",),
    torch=in_torch("pad"),
)
RESHAPE = Operator(
    "Reshape",
    "mover",
    Int8("shared", constants=(1,)),
    moves_data=True,
    fits_one_size=always,
    tflite=tflite("move:reshape"),
    mil=mil("matrix:reshape"),
    ncnn=ncnn("conv:reshape"),
    openvino=("Reshape",),
    torch=in_torch("reshape"),
)
SLICE = Operator(
    "Slice",
    "mover",
    Int8("shared", constants=(1, 2)),
    moves_data=True,
    fits_one_size=_cuts_pixels,
    tflite=tflite("move:cut"),
    mil=mil("spatial:slice_"),
    ncnn=ncnn("spatial:cut"),
    openvino=("Slice", "StridedSlice"),
    torch=in_torch("slice_"),
)
SPACE_TO_DEPTH = Operator(
    "SpaceToDepth",
    "mover",
    Int8("shared"),
    moves_data=True,
    stride=_coarser,
    tflite=tflite("spatial:space_to_depth"),
    mil=mil("spatial:space_to_depth"),
    ncnn=ncnn("spatial:space_to_depth"),
    openvino=("SpaceToDepth",),
    torch=in_torch("space_to_depth"),
)
SPLIT = Operator("Split", "mover", moves_data=True, openvino=("Split", "VariadicSplit"), torch=in_torch("split"))
SQUEEZE = Operator(
    "Squeeze",
    "mover",
    moves_data=True,
    mil=mil("matrix:squeeze"),
    ncnn=ncnn("conv:reshape"),
    openvino=("Squeeze",),
)
TILE = Operator("Tile", "mover", moves_data=True, mil=mil("matrix:tile"), openvino=("Tile",))
TRANSPOSE = Operator(
    "Transpose",
    "mover",
    Int8("shared"),
    moves_data=True,
    tflite=tflite("move:transpose"),
    mil=mil("matrix:transpose"),
    ncnn=ncnn("spatial:transpose"),
    openvino=("Transpose",),
    torch=in_torch("transpose"),
)
UNSQUEEZE = Operator(
    "Unsqueeze",
    "mover",
    moves_data=True,
    mil=mil("matrix:unsqueeze"),
    ncnn=ncnn("conv:reshape"),
    openvino=("Unsqueeze",),
)

OPERATORS = (
    CONCAT,
    DEPTH_TO_SPACE,
    EXPAND,
    GATHER,
    PAD,
    RESHAPE,
    SLICE,
    SPACE_TO_DEPTH,
    SPLIT,
    SQUEEZE,
    TILE,
    TRANSPOSE,
    UNSQUEEZE,
)
