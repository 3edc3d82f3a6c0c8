"""Operators that only rearrange or repeat elements: Reshape, Transpose, Expand, Tile ..."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from clearport.graph.nodes import attr_int
from clearport.operators.case import after_conv, i64, one, wrote
from clearport.operators.record import Int8, Operator, always, coreai, in_torch, listed, mil, ncnn, reaching, tflite

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir


def _finer(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    del sizes, axis
    return step / attr_int(node, "blocksize", 1)


def _coarser(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    del sizes, axis
    return step * attr_int(node, "blocksize", 1)


DEPTH_TO_SPACE = Operator(
    "DepthToSpace",
    "mover",
    Int8("shared"),
    moves_data=True,
    stride=_finer,
    reach=reaching("blocks"),
    tflite=tflite("spatial:depth_to_space"),
    mil=mil("spatial:depth_to_space"),
    coreai=coreai("spatial:depth_to_space"),
    ncnn=ncnn("spatial:depth_to_space"),
    openvino=("DepthToSpace",),
    elsewhere=listed("htp", "webgpu"),
    torch=in_torch("depth_to_space"),
    cases=(
        after_conv(
            "depth to space", one("DepthToSpace", blocksize=2, mode="DCR"), tflite=wrote("CONV_2D DEPTH_TO_SPACE")
        ),
        after_conv("shuffle of PyTorch", one("DepthToSpace", blocksize=2, mode="CRD"), refused={"tflite": "DCR only"}),
    ),
)
EXPAND = Operator(
    "Expand",
    "mover",
    moves_data=True,
    fits_one_size=always,
    tflite=tflite("move:expand"),
    mil=mil("matrix:expand"),
    coreai=coreai("matrix:expand"),
    ncnn=ncnn("spatial:expand"),
    openvino=("Broadcast",),
    elsewhere=listed("htp", "webgpu", "webnn"),
    cases=(
        after_conv(
            "a channel over all",
            ("ReduceMean", "x a", "p", {}),
            ("Expand", "p n", "q", {}),
            one("Concat", "x q", axis=1),
            constants={"a": i64(1), "n": i64(1, 2, 10, 12)},
            tflite=wrote(
                "CONV_2D MEAN BROADCAST_TO CONCATENATION", outside="BROADCAST_TO", nnapi=None, float_only=True
            ),
            one_size=("ncnn", "tflite"),
        ),
        after_conv(
            "expand, of a value per channel, to 1 8 4 5",
            ("GlobalAveragePool", "x", "pooled", {}),
            one("Expand", "pooled to"),
            constants={"to": i64(1, 8, 4, 5)},
            sides=(12, 16),
        ),
        after_conv(
            "expand, of a value per channel, to 4 1 1 1 3",
            ("GlobalAveragePool", "x", "pooled", {}),
            ("Expand", "pooled to", "t", {}),
            one("Reshape", "t after"),
            constants={"to": i64(4, 1, 1, 1, 3), "after": i64(1, 4, 8, 3)},
            sides=(12, 16),
            refused={"ncnn": "ranks 1 to 4", "tflite": "changes rank 4 to 5"},
        ),
    ),
)
FLATTEN = Operator("Flatten", "mover", moves_data=True, elsewhere=listed("htp", "webgpu", "webnn"))
RESHAPE = Operator(
    "Reshape",
    "mover",
    Int8("shared", constants=(1,)),
    moves_data=True,
    fits_one_size=always,
    tflite=tflite("move:reshape"),
    mil=mil("matrix:reshape"),
    coreai=coreai("matrix:reshape"),
    ncnn=ncnn("conv:reshape"),
    openvino=("Reshape",),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("reshape"),
    cases=(
        after_conv(
            "rows in groups of two",
            one("Reshape", "x n"),
            constants={"n": i64(1, 8, 5, 24)},
            tflite=wrote("CONV_2D RESHAPE", float_only=True),
            one_size=("coreml", "ncnn", "tflite"),
        ),
        after_conv(
            "channels among the rows",
            one("Reshape", "x n"),
            constants={"n": i64(1, 4, 20, 12)},
            tflite=wrote("CONV_2D TRANSPOSE RESHAPE TRANSPOSE", float_only=True),
            one_size=("coreml", "ncnn", "tflite"),
        ),
        after_conv(
            "a value of fewer axes",
            ("GlobalAveragePool", "x", "g", {}),
            ("Reshape", "g n", "v", {}),
            one("Add", "x v"),
            constants={"n": i64(8, 1, 1)},
            tflite=wrote("CONV_2D MEAN RESHAPE RESHAPE ADD", float_only=True),
        ),
        after_conv(
            "reshape, shape 1 4 24 16",
            one("Reshape", "x shape"),
            constants={"shape": i64(1, 4, 24, 16)},
            sides=(12, 16),
            one_size=("coreml", "ncnn", "tflite"),
        ),
    ),
)
SPACE_TO_DEPTH = Operator(
    "SpaceToDepth",
    "mover",
    Int8("shared"),
    moves_data=True,
    stride=_coarser,
    reach=reaching("blocks"),
    tflite=tflite("spatial:space_to_depth"),
    mil=mil("spatial:space_to_depth"),
    coreai=coreai("spatial:space_to_depth"),
    ncnn=ncnn("spatial:space_to_depth"),
    openvino=("SpaceToDepth",),
    elsewhere=listed("htp"),
    torch=in_torch("space_to_depth"),
    cases=(after_conv("space to depth", one("SpaceToDepth", blocksize=2), tflite=wrote("CONV_2D SPACE_TO_DEPTH")),),
)
SQUEEZE = Operator(
    "Squeeze",
    "mover",
    moves_data=True,
    mil=mil("matrix:squeeze"),
    coreai=coreai("matrix:squeeze"),
    ncnn=ncnn("conv:reshape"),
    openvino=("Squeeze",),
    elsewhere=listed("htp", "webgpu", "webnn"),
    cases=(
        after_conv(
            "squeezed",
            ("GlobalAveragePool", "x", "g", {}),
            ("Squeeze", "g a", "s", {}),
            one("Unsqueeze", "s a"),
            constants={"a": i64(3)},
            refused={"tflite": "no conversion rule"},
        ),
        after_conv(
            "squeeze, of a value per channel",
            ("GlobalAveragePool", "x", "pooled", {}),
            ("Squeeze", "pooled", "t", {}),
            one("Reshape", "t after"),
            constants={"after": i64(1, 8, 1, 1)},
            sides=(12, 16),
            refused={"tflite": "no conversion rule"},
        ),
        after_conv(
            "squeeze, axes 0",
            ("Squeeze", "x axes", "t", {}),
            one("Reshape", "t after"),
            constants={"axes": i64(0), "after": i64(1, 8, 12, 16)},
            sides=(12, 16),
            refused={"tflite": "no conversion rule"},
            one_size=("coreml", "ncnn"),
        ),
    ),
)
TILE = Operator(
    "Tile",
    "mover",
    moves_data=True,
    mil=mil("matrix:tile"),
    coreai=coreai("matrix:tile"),
    openvino=("Tile",),
    elsewhere=listed("htp", "webgpu", "webnn"),
    cases=(
        after_conv(
            "tile, repeats 1 1 2 3",
            one("Tile", "x repeats"),
            constants={"repeats": i64(1, 1, 2, 3)},
            sides=(12, 16),
            refused={"ncnn": "no conversion rule", "tflite": "no conversion rule"},
        ),
    ),
)
TRANSPOSE = Operator(
    "Transpose",
    "mover",
    Int8("shared"),
    moves_data=True,
    reach=reaching("transpose"),
    tflite=tflite("move:transpose"),
    mil=mil("matrix:transpose"),
    coreai=coreai("matrix:transpose"),
    ncnn=ncnn("spatial:transpose"),
    openvino=("Transpose",),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("transpose"),
    cases=(
        after_conv(
            "transposed picture",
            one("Transpose", perm=[0, 1, 3, 2]),
            tflite=wrote("CONV_2D TRANSPOSE", float_only=True),
        ),
        after_conv("transpose, perm 0 2 1 3", one("Transpose", perm=[0, 2, 1, 3]), sides=(12, 16)),
    ),
)
UNSQUEEZE = Operator(
    "Unsqueeze",
    "mover",
    moves_data=True,
    mil=mil("matrix:unsqueeze"),
    coreai=coreai("matrix:unsqueeze"),
    ncnn=ncnn("conv:reshape"),
    openvino=("Unsqueeze",),
    elsewhere=listed("htp", "webgpu", "webnn"),
    cases=(
        after_conv(
            "unsqueeze, axes -1",
            ("Unsqueeze", "x axes", "t", {}),
            one("Reshape", "t after"),
            constants={"axes": i64(-1), "after": i64(1, 8, 12, 16)},
            sides=(12, 16),
            refused={"tflite": "no conversion rule"},
            one_size=("coreml", "ncnn"),
        ),
    ),
)

OPERATORS = (DEPTH_TO_SPACE, EXPAND, FLATTEN, RESHAPE, SPACE_TO_DEPTH, SQUEEZE, TILE, TRANSPOSE, UNSQUEEZE)
