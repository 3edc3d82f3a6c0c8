"""Resizing."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from clearport.graph.nodes import attr_int, attr_str, channels, constant, name_of, need, operand
from clearport.operators.case import after_conv, f32, i64, one, wrote
from clearport.operators.record import Int8, Operator, coreai, in_torch, listed, mil, ncnn, reaching, tflite

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

_PARTS = 64
"""Largest denominator of a scale as a fraction: 0.7 is read as 7/10, although its float32 value is slightly less."""


def _stride(node: ir.Node, step: Fraction, sizes: Mapping[str, Fraction], axis: int) -> Fraction:
    """Output stride from the node's scales; given sizes are assumed to be rounded."""
    scales, target = constant(operand(node, 2)), operand(node, 3)
    if scales is not None:
        return step / Fraction(float(scales[2 + axis])).limit_denominator(_PARTS)
    if target is not None and name_of(target) in sizes:
        return sizes[name_of(target)]
    ends = (need(node, 0), node.outputs[0])
    given, made = (v.shape[2 + axis] if v.shape is not None else None for v in ends)
    if not isinstance(given, int) or not isinstance(made, int):
        return step
    return Fraction(max(1, round(step * Fraction(given, made))))


def _to_a_size(node: ir.Node) -> bool:
    return operand(node, 3) is not None


def _keeps_channels(node: ir.Node) -> bool:
    return channels(need(node, 0)) == channels(node.outputs[0])


def _as_in_webnn(node: ir.Node) -> bool:
    plain = attr_int(node, "antialias", 0) == 0 and attr_int(node, "exclude_outside", 0) == 0
    return plain and attr_str(node, "mode", "nearest") in {"linear", "nearest"}


RESIZE = Operator(
    "Resize",
    "resize",
    Int8("shared"),
    per_channel=_keeps_channels,
    not_data=(1, 2, 3),
    stride=_stride,
    fits_one_size=_to_a_size,
    reach=reaching("resize"),
    tflite=tflite("spatial:resize"),
    mil=mil("resize:resize", since="resize:first_ios"),
    coreai=coreai("resize:resize"),
    ncnn=ncnn("resize:resize"),
    elsewhere=listed("htp", "webgpu", webnn=_as_in_webnn),
    torch=in_torch("resize"),
    cases=(
        after_conv(
            "resize nearest",
            one("Resize", "x  s", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
            constants={"s": f32(1, 1, 2, 2)},
            tflite=wrote("CONV_2D RESIZE_NEAREST_NEIGHBOR", outside="RESIZE_NEAREST_NEIGHBOR"),
            one_size=("tflite",),
        ),
        after_conv(
            "resize nearest, half pixel",
            one("Resize", "x  s", mode="nearest"),
            constants={"s": f32(1, 1, 3, 3)},
            tflite=wrote("CONV_2D RESIZE_NEAREST_NEIGHBOR", outside="RESIZE_NEAREST_NEIGHBOR"),
            one_size=("tflite",),
        ),
        after_conv(
            "resize bilinear",
            one("Resize", "x  s", mode="linear"),
            constants={"s": f32(1, 1, 2, 2)},
            tflite=wrote("CONV_2D RESIZE_BILINEAR", nnapi=30, min_exact=0.8),
            one_size=("tflite",),
        ),
        after_conv(
            "resize bilinear to a size",
            one("Resize", "x   n", mode="linear", coordinate_transformation_mode="align_corners"),
            constants={"n": i64(1, 8, 17, 9)},
            tflite=wrote("CONV_2D RESIZE_BILINEAR", nnapi=30, min_exact=0.8),
            one_size=("coreai", "coreml", "tflite"),
        ),
        after_conv(
            "corners aligned",
            one("Resize", "x  s", mode="linear", coordinate_transformation_mode="align_corners"),
            constants={"s": f32(1, 1, 2, 3)},
            one_size=("coreai", "tflite"),
        ),
        after_conv(
            "resize, nearest, round_prefer_ceil, by 1 1 2 3",
            one("Resize", "x  scales", mode="nearest", nearest_mode="round_prefer_ceil"),
            constants={"scales": f32(1, 1, 2, 3)},
            sides=(12, 16),
            one_size=("tflite",),
        ),
        after_conv(
            "resize, floor, asymmetric, by 1 1 2 2",
            one("Resize", "x  scales", nearest_mode="floor", coordinate_transformation_mode="asymmetric"),
            constants={"scales": f32(1, 1, 2, 2)},
            sides=(12, 16),
            one_size=("tflite",),
        ),
        after_conv(
            "resize, linear, by 1 1 0.5 1.5",
            one("Resize", "x  scales", mode="linear"),
            constants={"scales": f32(1, 1, 0.5, 1.5)},
            sides=(12, 16),
            one_size=("coreai", "coreml", "tflite"),
        ),
        after_conv(
            "resize, linear, align_corners, to 1 8 20 20",
            one("Resize", "x   sizes", mode="linear", coordinate_transformation_mode="align_corners"),
            constants={"sizes": i64(1, 8, 20, 20)},
            sides=(12, 16),
            one_size=("coreai", "coreml", "tflite"),
        ),
        after_conv(
            "resize, nearest, asymmetric, floor, by 1 1 1.5 2.5",
            one(
                "Resize", "x  scales", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
            ),
            constants={"scales": f32(1, 1, 1.5, 2.5)},
            sides=(12, 16),
            one_size=("coreai", "coreml", "openvino", "tflite"),
        ),
        after_conv(
            "resize, nearest, half_pixel, round_prefer_floor, to 1 8 7 23",
            one(
                "Resize",
                "x   sizes",
                mode="nearest",
                coordinate_transformation_mode="half_pixel",
                nearest_mode="round_prefer_floor",
            ),
            constants={"sizes": i64(1, 8, 7, 23)},
            sides=(12, 16),
            one_size=("coreai", "coreml", "ncnn", "openvino", "tflite"),
        ),
        after_conv(
            "resize, nearest, half_pixel, round_prefer_ceil, to 1 8 6 8",
            one(
                "Resize",
                "x   sizes",
                mode="nearest",
                coordinate_transformation_mode="half_pixel",
                nearest_mode="round_prefer_ceil",
            ),
            constants={"sizes": i64(1, 8, 6, 8)},
            sides=(12, 16),
            one_size=("coreai", "coreml", "ncnn", "openvino", "tflite"),
        ),
        after_conv(
            "resize, nearest, align_corners, ceil, to 1 8 7 9",
            one(
                "Resize",
                "x   sizes",
                mode="nearest",
                coordinate_transformation_mode="align_corners",
                nearest_mode="ceil",
            ),
            constants={"sizes": i64(1, 8, 7, 9)},
            sides=(12, 16),
            one_size=("coreai", "coreml", "ncnn", "openvino", "tflite"),
        ),
        after_conv(
            "resize, nearest, asymmetric, floor, by 1 1 0.5 0.25",
            one(
                "Resize", "x  scales", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
            ),
            constants={"scales": f32(1, 1, 0.5, 0.25)},
            sides=(12, 16),
            one_size=("coreai", "tflite"),
        ),
        after_conv(
            "resize, nearest, asymmetric, floor, by 1 1 0.2 0.2",
            one(
                "Resize", "x  scales", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
            ),
            constants={"scales": f32(1, 1, 0.2, 0.2)},
            sides=(12, 16),
            one_size=("coreai", "openvino", "tflite"),
        ),
        after_conv(
            "resize, linear, half_pixel, by 1 1 0.5 0.25",
            one(
                "Resize", "x  scales", mode="linear", coordinate_transformation_mode="half_pixel", nearest_mode="floor"
            ),
            constants={"scales": f32(1, 1, 0.5, 0.25)},
            sides=(12, 16),
            one_size=("coreai", "tflite"),
        ),
        after_conv(
            "resize, linear, half_pixel, by 1 1 0.333 0.2",
            one(
                "Resize", "x  scales", mode="linear", coordinate_transformation_mode="half_pixel", nearest_mode="floor"
            ),
            constants={"scales": f32(1, 1, 1 / 3, 0.2)},
            sides=(12, 16),
            refused_int8={"tflite": "uses another pixel alignment"},
            one_size=("coreai", "tflite"),
        ),
        after_conv(
            "resize, linear, half_pixel, by 1 1 0.5 0.3",
            one(
                "Resize", "x  scales", mode="linear", coordinate_transformation_mode="half_pixel", nearest_mode="floor"
            ),
            constants={"scales": f32(1, 1, 0.5, 0.3)},
            sides=(12, 16),
            refused_int8={"tflite": "uses another pixel alignment"},
            one_size=("coreai", "coreml", "tflite"),
        ),
        after_conv(
            "resize, linear, half_pixel, by 1 1 1.3 2",
            one(
                "Resize", "x  scales", mode="linear", coordinate_transformation_mode="half_pixel", nearest_mode="floor"
            ),
            constants={"scales": f32(1, 1, 1.3, 2)},
            sides=(12, 16),
            refused_int8={"tflite": "uses another pixel alignment"},
            one_size=("coreai", "coreml", "tflite"),
        ),
        after_conv(
            "resize, linear, half_pixel, to 1 8 17 21",
            one(
                "Resize", "x   sizes", mode="linear", coordinate_transformation_mode="half_pixel", nearest_mode="floor"
            ),
            constants={"sizes": i64(1, 8, 17, 21)},
            sides=(12, 16),
            one_size=("coreai", "coreml", "tflite"),
        ),
        after_conv(
            "resize, linear, half_pixel, to 1 8 1 15",
            one(
                "Resize", "x   sizes", mode="linear", coordinate_transformation_mode="half_pixel", nearest_mode="floor"
            ),
            constants={"sizes": i64(1, 8, 1, 15)},
            sides=(12, 16),
            one_size=("coreai", "coreml", "tflite"),
        ),
        after_conv(
            "resize, linear, pytorch_half_pixel, to 1 8 1 15",
            one(
                "Resize",
                "x   sizes",
                mode="linear",
                coordinate_transformation_mode="pytorch_half_pixel",
                nearest_mode="floor",
            ),
            constants={"sizes": i64(1, 8, 1, 15)},
            sides=(12, 16),
            refused_int8={"tflite": "uses another pixel alignment"},
            one_size=("coreai", "coreml", "ncnn", "tflite"),
        ),
        after_conv(
            "resize, linear, align_corners, to 1 8 1 15",
            one(
                "Resize",
                "x   sizes",
                mode="linear",
                coordinate_transformation_mode="align_corners",
                nearest_mode="floor",
            ),
            constants={"sizes": i64(1, 8, 1, 15)},
            sides=(12, 16),
            one_size=("coreai", "coreml", "tflite"),
        ),
        after_conv(
            "resize, linear, align_corners, by 1 1 2 3",
            one(
                "Resize",
                "x  scales",
                mode="linear",
                coordinate_transformation_mode="align_corners",
                nearest_mode="floor",
            ),
            constants={"scales": f32(1, 1, 2, 3)},
            sides=(12, 16),
            one_size=("coreai", "tflite"),
        ),
        after_conv(
            "resize, linear, asymmetric, by 1 1 2 2",
            one(
                "Resize", "x  scales", mode="linear", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
            ),
            constants={"scales": f32(1, 1, 2, 2)},
            sides=(12, 16),
            one_size=("coreml", "ncnn", "tflite"),
        ),
        after_conv(
            "resize, linear, asymmetric, by 1 1 1.3 2",
            one(
                "Resize", "x  scales", mode="linear", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
            ),
            constants={"scales": f32(1, 1, 1.3, 2)},
            sides=(12, 16),
            refused_int8={"tflite": "uses another pixel alignment"},
            one_size=("coreai", "coreml", "ncnn", "tflite"),
        ),
    ),
)

OPERATORS = (RESIZE,)
