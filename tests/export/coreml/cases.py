"""The operators of ``test_coreml_ops.py``, each with the attributes and constants that matter to Core ML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

if TYPE_CHECKING:
    from clearport.base import Array

HEIGHT, WIDTH, WIDE = 12, 16, 8  # WIDE: channels before the operator


@dataclass(frozen=True)
class Case:
    """An operator on values of ``GIVEN``, all (1, 8, 12, 16), to ``y`` with ``channels`` channels.

    ``after``: the shape that ``y`` is brought to for the convolution that follows.
    """

    op: str
    channels: int = WIDE
    inputs: tuple[str, ...] = ("x",)
    constants: tuple[tuple[str, Any], ...] = ()
    attributes: tuple[tuple[str, Any], ...] = ()
    after: tuple[int, ...] = ()

    def __str__(self) -> str:
        shown = [f"{name}={value}" for name, value in self.attributes]
        shown += [f"{name}={value.tolist()}" for name, value in self.constants if value is not None and value.size < 9]
        return "-".join([self.op, *self.inputs, *shown])


GIVEN = {
    "x": (),
    "x2": (helper.make_node("Conv", ["image", "side_w", "side_b"], ["x2"], "side"),),
    "small": (helper.make_node("Mul", ["x", "hundredth"], ["small"], "smaller"),),
    "bright": (helper.make_node("Clip", ["x", "one"], ["bright"], "brighter"),),
    "turned": (
        helper.make_node("Mul", ["x", "hundredth"], ["small2"], "smaller2"),
        helper.make_node("Transpose", ["small2"], ["turned"], "turn", perm=[0, 1, 3, 2]),
    ),
    "pooled": (helper.make_node("GlobalAveragePool", ["x"], ["pooled"], "pool"),),
}
"""How each value that a case can read is made: of about 100 and both signs, of about 1, of 1 and more, per channel."""


def ints(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def weights(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(0, 0.1, shape).astype(np.float32)


def scales(*numbers: float) -> tuple[tuple[str, Any], ...]:
    return (("roi", None), ("scales", np.array(numbers, np.float32)))


def sizes(height: int, width: int) -> tuple[tuple[str, Any], ...]:
    return (("roi", None), ("scales", None), ("sizes", ints(1, WIDE, height, width)))


def sampled(mode: str, coordinates: str, rounding: str = "floor") -> tuple[tuple[str, Any], ...]:
    return (("mode", mode), ("coordinate_transformation_mode", coordinates), ("nearest_mode", rounding))


BEYOND_THE_PICTURE = [
    Case("MaxPool", attributes=(("kernel_shape", [2, 2]), ("strides", [3, 3]), ("pads", [1] * 4), ("ceil_mode", 1)))
]
CASES = (
    Case("Add", inputs=("x", "x2")),
    Case("AveragePool", attributes=(("kernel_shape", [2, 2]), ("strides", [2, 2]))),
    Case("AveragePool", attributes=(("kernel_shape", [3, 3]), ("pads", [1, 1, 1, 1]), ("count_include_pad", 0))),
    Case("AveragePool", attributes=(("kernel_shape", [3, 3]), ("pads", [1, 0, 1, 2]), ("count_include_pad", 1))),
    Case("Clip", constants=(("lo", np.float32(-10)), ("hi", np.float32(60)))),
    Case("Clip", constants=(("lo", None), ("hi", np.float32(40)))),
    Case("Clip", constants=(("lo", np.float32(-5)),)),
    Case("Concat", channels=16, inputs=("x", "x2"), attributes=(("axis", 1),)),
    Case("Conv", 4, constants=(("w", weights(4, 8, 3, 3)), ("b", weights(4))), attributes=(("pads", [1, 1, 1, 1]),)),
    Case(
        "Conv",
        constants=(("w", weights(8, 1, 3, 3)), ("b", weights(8))),
        attributes=(("group", 8), ("pads", [0, 1, 2, 1]), ("strides", [2, 1])),
    ),
    Case(
        "Conv",
        5,
        constants=(("w", weights(5, 8, 3, 3)), ("b", weights(5))),
        attributes=(("dilations", [2, 2]), ("pads", [2, 2, 2, 2])),
    ),
    Case(
        "ConvTranspose",
        4,
        constants=(("w", weights(8, 4, 3, 3)), ("b", weights(4))),
        attributes=(("strides", [2, 2]), ("pads", [1, 1, 1, 1]), ("output_padding", [1, 1])),
    ),
    Case("DepthToSpace", 2, attributes=(("blocksize", 2), ("mode", "DCR"))),
    Case("GlobalAveragePool"),
    Case("LeakyRelu", attributes=(("alpha", 0.1),)),
    Case("MaxPool", attributes=(("kernel_shape", [3, 3]), ("strides", [2, 2]), ("pads", [1, 1, 0, 1]))),
    Case("Mul", inputs=("x", "x2")),
    Case("PRelu", constants=(("slope", np.abs(weights(8, 1, 1))),)),
    Case("Pad", constants=(("pads", ints(0, 0, 1, 0, 0, 0, 2, 3)),)),
    Case("Relu"),
    Case(
        "Resize", constants=scales(1, 1, 2, 3), attributes=(("mode", "nearest"), ("nearest_mode", "round_prefer_ceil"))
    ),
    Case(
        "Resize",
        constants=scales(1, 1, 2, 2),
        attributes=(("nearest_mode", "floor"), ("coordinate_transformation_mode", "asymmetric")),
    ),
    Case("Resize", constants=scales(1, 1, 2, 2), attributes=(("mode", "linear"),)),
    Case("Resize", constants=scales(1, 1, 0.5, 1.5), attributes=(("mode", "linear"),)),
    Case(
        "Resize",
        constants=(("roi", None), ("scales", None), ("sizes", ints(1, 8, 20, 20))),
        attributes=(("mode", "linear"), ("coordinate_transformation_mode", "align_corners")),
    ),
    Case("Resize", constants=scales(1, 1, 1.5, 2.5), attributes=sampled("nearest", "asymmetric")),
    Case("Resize", constants=sizes(7, 23), attributes=sampled("nearest", "half_pixel", "round_prefer_floor")),
    Case("Resize", constants=sizes(6, 8), attributes=sampled("nearest", "half_pixel", "round_prefer_ceil")),
    Case("Resize", constants=sizes(7, 9), attributes=sampled("nearest", "align_corners", "ceil")),
    Case("Resize", constants=scales(1, 1, 0.5, 0.25), attributes=sampled("nearest", "asymmetric")),
    Case("Resize", constants=scales(1, 1, 0.2, 0.2), attributes=sampled("nearest", "asymmetric")),
    Case("Resize", constants=scales(1, 1, 0.5, 0.25), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=scales(1, 1, 1 / 3, 0.2), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=scales(1, 1, 0.5, 0.3), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=scales(1, 1, 1.3, 2), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=sizes(17, 21), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=sizes(1, 15), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=sizes(1, 15), attributes=sampled("linear", "pytorch_half_pixel")),
    Case("Resize", constants=sizes(1, 15), attributes=sampled("linear", "align_corners")),
    Case("Resize", constants=scales(1, 1, 2, 3), attributes=sampled("linear", "align_corners")),
    Case("Resize", constants=scales(1, 1, 2, 2), attributes=sampled("linear", "asymmetric")),
    Case("Resize", constants=scales(1, 1, 1.3, 2), attributes=sampled("linear", "asymmetric")),
    Case("Abs"),
    Case("Add", inputs=("x", "pooled")),
    Case("AveragePool", attributes=(("kernel_shape", [3, 3]), ("strides", [2, 2]), ("ceil_mode", 1))),
    Case("Div", inputs=("x", "bright")),
    Case("Div", constants=(("by", np.float32(7)),)),
    Case("Erf", inputs=("small",)),
    Case("Exp", inputs=("small",)),
    Case("Expand", inputs=("pooled",), constants=(("to", ints(1, 8, 4, 5)),)),
    Case("Expand", channels=4, inputs=("pooled",), constants=(("to", ints(4, 1, 1, 1, 3)),), after=(1, 4, 8, 3)),
    Case("Gelu", inputs=("small",), attributes=(("approximate", "none"),)),
    Case("Gelu", inputs=("small",), attributes=(("approximate", "tanh"),)),
    Case("GlobalMaxPool"),
    Case("HardSwish", inputs=("small",)),
    Case(
        "LayerNormalization",
        constants=(("scale", 1 + weights(16)), ("bias", weights(16))),
        attributes=(("axis", 3), ("epsilon", 0.5)),
    ),
    Case("LayerNormalization", constants=(("scale", weights(12, 16)),), attributes=(("axis", 2),)),
    Case("Log", inputs=("bright",)),
    Case("MatMul", inputs=("small", "turned")),
    Case("MatMul", constants=(("w", weights(16, 5)),)),
    Case("Max", inputs=("x", "x2")),
    Case("MaxPool", attributes=(("kernel_shape", [3, 3]), ("strides", [2, 2]), ("ceil_mode", 1))),
    *BEYOND_THE_PICTURE,
    Case("Min", inputs=("x", "x2")),
    Case("Mul", inputs=("x", "pooled")),
    Case("Neg"),
    Case("Pad", constants=(("pads", ints(0, 0, 1, 2, 0, 0, 3, 0)),), attributes=(("mode", "reflect"),)),
    Case("Pad", constants=(("pads", ints(0, 0, 1, 2, 0, 0, 3, 0)),), attributes=(("mode", "edge"),)),
    Case("Pad", constants=(("pads", ints(2, 3)), ("fill", np.float32(9)), ("axes", ints(3)))),
    Case("Pow", inputs=("bright",), constants=(("power", np.float32(0.45)),)),
    Case("Pow", inputs=("bright", "small")),
    Case("ReduceMax", 1, constants=(("axes", ints(1)),)),
    Case("ReduceMean", 1, constants=(("axes", ints(1)),)),
    Case("ReduceMean", constants=(("axes", ints(2, 3)),)),
    Case("ReduceMin", constants=(("axes", ints(3)),)),
    Case(
        "ReduceSum", constants=(("axes", ints(1, 2)),), attributes=(("keepdims", 0),), channels=1, after=(1, 1, 1, 16)
    ),
    Case("Reshape", 4, constants=(("shape", ints(1, 4, 24, 16)),)),
    Case("Sigmoid"),
    Case("Slice", 3, constants=(("starts", ints(2, 1)), ("ends", ints(5, -2)), ("axes", ints(1, 3)))),
    Case(
        "Slice",
        constants=(("starts", ints(0, -9)), ("ends", ints(2**62, 2**62)), ("axes", ints(2, 3)), ("steps", ints(2, 1))),
    ),
    Case("Slice", constants=(("starts", ints(1)), ("ends", ints(11)), ("axes", ints(2)), ("steps", ints(3)))),
    Case("Softmax", inputs=("small",), attributes=(("axis", 3),)),
    Case("Softmax", inputs=("small",), attributes=(("axis", 1),)),
    Case("SpaceToDepth", 32, attributes=(("blocksize", 2),)),
    Case("Sqrt", inputs=("bright",)),
    Case("Squeeze", inputs=("pooled",), after=(1, 8, 1, 1)),
    Case("Squeeze", constants=(("axes", ints(0)),), after=(1, 8, 12, 16)),
    Case("Sub", inputs=("x", "x2")),
    Case("Sub", inputs=("x2", "pooled")),
    Case("Tanh"),
    Case("Tile", constants=(("repeats", ints(1, 1, 2, 3)),)),
    Case("Transpose", 12, attributes=(("perm", [0, 2, 1, 3]),)),
    Case("Unsqueeze", constants=(("axes", ints(-1)),), after=(1, 8, 12, 16)),
)
