"""Slices, pads and concatenations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.graph.nodes import attr_str, constant, need_constant, operand
from clearport.operators.case import after_conv, i64, number, one, weight, wrote
from clearport.operators.record import Int8, Operator, coreai, in_torch, listed, mil, ncnn, reaching, tflite

if TYPE_CHECKING:
    import onnx_ir as ir


def _joins_values_alone(node: ir.Node) -> bool:
    """Whether no operand is a constant, which would have to be rounded to the other operands' grid."""
    return not any(constant(value) is not None for value in node.inputs)


def _leaves_channels(node: ir.Node) -> bool:
    """Whether a Pad of all axes does not pad channels."""
    pads = need_constant(node, 1).tolist()
    return operand(node, 3) is None and pads[1] == 0 and pads[len(pads) // 2 + 1] == 0


def _cuts_pixels(node: ir.Node) -> bool:
    axes = constant(operand(node, 3))
    return axes is not None and any(axis != 1 for axis in axes.tolist())


def _unwrapped(node: ir.Node) -> bool:
    return attr_str(node, "mode", "constant") != "wrap"


CONCAT = Operator(
    "Concat",
    "mover",
    Int8("shared", when=_joins_values_alone),
    moves_data=True,
    tflite=tflite("move:concat"),
    mil=mil("spatial:concat"),
    coreai=coreai("spatial:concat"),
    ncnn=ncnn("spatial:concat"),
    openvino=("Concat",),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("concat"),
    cases=(
        after_conv("concat", one("Concat", "x y", axis=1), tflite=wrote("CONV_2D CONV_2D CONCATENATION")),
        after_conv("concat of rows", one("Concat", "x y", axis=2), tflite=wrote("CONV_2D CONV_2D CONCATENATION")),
    ),
)
PAD = Operator(
    "Pad",
    "mover",
    Int8("shared", constants=(1,)),
    moves_data=True,
    per_channel=_leaves_channels,
    reach=reaching("pad"),
    tflite=tflite("pad:pad"),
    mil=mil("spatial:pad"),
    coreai=coreai("spatial:pad"),
    ncnn=ncnn("spatial:pad"),
    openvino=("Pad",),
    elsewhere=listed("htp", "webgpu", webnn=_unwrapped),
    torch=in_torch("pad"),
    cases=(
        after_conv("pad", one("Pad", "x p"), constants={"p": i64(0, 0, 1, 2, 0, 0, 3, 0)}, tflite=wrote("CONV_2D PAD")),
        after_conv(
            "pad with a number",
            one("Pad", "x p k"),
            constants={"p": i64(0, 0, 1, 2, 0, 0, 3, 0), "k": number(0.25)},
            tflite=wrote("CONV_2D PADV2", outside="PADV2"),
        ),
        after_conv(
            "edges, one pixel",
            one("Pad", "x p", mode="edge"),
            constants={"p": i64(0, 0, 1, 1, 0, 0, 1, 1)},
            tflite=wrote("CONV_2D SLICE SLICE CONCATENATION SLICE SLICE CONCATENATION"),
        ),
        after_conv(
            "edges, unevenly",
            one("Pad", "x p", mode="edge"),
            constants={"p": i64(0, 0, 2, 0, 0, 0, 1, 3)},
            tflite=wrote("CONV_2D SLICE SLICE CONCATENATION SLICE CONCATENATION CONCATENATION"),
        ),
        after_conv(
            "reflection",
            one("Pad", "x p", mode="reflect"),
            constants={"p": i64(0, 0, 1, 2, 0, 0, 3, 0)},
            tflite=wrote("CONV_2D SLICE SLICE SLICE SLICE CONCATENATION CONCATENATION SLICE SLICE CONCATENATION"),
        ),
        after_conv(
            "pad, pads 0 0 1 0 0 0 2 3",
            one("Pad", "x pads"),
            constants={"pads": i64(0, 0, 1, 0, 0, 0, 2, 3)},
            sides=(12, 16),
        ),
        after_conv(
            "pad, edge, pads 0 0 1 2 0 0 3 0",
            one("Pad", "x pads", mode="edge"),
            constants={"pads": i64(0, 0, 1, 2, 0, 0, 3, 0)},
            sides=(12, 16),
        ),
        after_conv(
            "pad of a vector",
            ("GlobalAveragePool", "x", "means", {}),
            ("Reshape", "means flat", "vector", {}),
            ("Pad", "vector pads", "padded", {}),
            ("MatMul", "padded w", "mixed", {}),
            ("Reshape", "mixed back", "factors", {}),
            one("Mul", "x factors"),
            constants={"flat": i64(1, 8), "pads": i64(0, 3, 0, 5), "w": weight(16, 8), "back": i64(1, 8, 1, 1)},
            sides=(12, 16),
        ),
        after_conv(
            "pad, pads 2 3, fill 9, axes 3",
            one("Pad", "x pads fill axes"),
            constants={"pads": i64(2, 3), "fill": number(9), "axes": i64(3)},
            sides=(12, 16),
        ),
    ),
)
SLICE = Operator(
    "Slice",
    "mover",
    Int8("shared", constants=(1, 2)),
    moves_data=True,
    fits_one_size=_cuts_pixels,
    reach=reaching("cut"),
    tflite=tflite("move:cut"),
    mil=mil("spatial:slice_"),
    coreai=coreai("spatial:cut"),
    ncnn=ncnn("spatial:cut"),
    openvino=("Slice", "StridedSlice"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("slice_"),
    cases=(
        after_conv(
            "slice channels",
            one("Slice", "x a b c"),
            constants={"a": i64(2), "b": i64(6), "c": i64(1)},
            tflite=wrote("CONV_2D SLICE"),
        ),
        after_conv(
            "slice rows and columns",
            one("Slice", "x a b c"),
            constants={"a": i64(1, -5), "b": i64(-2, 2**62), "c": i64(2, 3)},
            tflite=wrote("CONV_2D SLICE"),
            one_size=("coreai", "ncnn", "tflite"),
        ),
        after_conv(
            "slice every second",
            one("Slice", "x a b c d"),
            constants={"a": i64(1), "b": i64(2**62), "c": i64(3), "d": i64(2)},
            tflite=wrote("CONV_2D STRIDED_SLICE", outside="STRIDED_SLICE"),
            one_size=("ncnn",),
        ),
        after_conv(
            "slice, starts 2 1, ends 5 -2, axes 1 3",
            one("Slice", "x starts ends axes"),
            constants={"starts": i64(2, 1), "ends": i64(5, -2), "axes": i64(1, 3)},
            sides=(12, 16),
            one_size=("coreai", "tflite"),
        ),
        after_conv(
            "slice, starts 0 -9, ends end end, axes 2 3, steps 2 1",
            one("Slice", "x starts ends axes steps"),
            constants={"starts": i64(0, -9), "ends": i64(2**62, 2**62), "axes": i64(2, 3), "steps": i64(2, 1)},
            sides=(12, 16),
            one_size=("coreai", "ncnn", "tflite"),
        ),
        after_conv(
            "slice, starts 1, ends 11, axes 2, steps 3",
            one("Slice", "x starts ends axes steps"),
            constants={"starts": i64(1), "ends": i64(11), "axes": i64(2), "steps": i64(3)},
            sides=(12, 16),
            one_size=("coreai", "ncnn", "tflite"),
        ),
    ),
)
SPLIT = Operator(
    "Split",
    "mover",
    moves_data=True,
    openvino=("Split", "VariadicSplit"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("split"),
)

OPERATORS = (CONCAT, PAD, SLICE, SPLIT)
