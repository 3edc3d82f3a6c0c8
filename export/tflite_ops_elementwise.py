"""TFLite rules: arithmetic and activations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from clearport import graphs
from clearport.export.tflite_file import Quant
from clearport.export.tflite_lower import Lowering
from clearport.export.tflite_rules import rule

if TYPE_CHECKING:
    import onnx_ir as ir


_SQUASHING = {"Sigmoid": ("LOGISTIC", Quant((1 / 256,), -128)), "Tanh": ("TANH", Quant((1 / 128,), 0))}
"""Their int8 output scale is fixed by TFLite's int8 specification."""


@rule("Add", "Sub", "Mul")
def arithmetic(low: Lowering, node: ir.Node) -> None:
    """Add, Sub, Mul -> ADD, SUB, MUL with a fused activation."""
    inputs = [low.tensor(node, 0), low.tensor(node, 1)]
    dims = np.broadcast_shapes(*(t.dims for t in inputs))
    low.write(node, node.op_type.upper(), inputs, dims, fusedActivationFunction=low.activation(node))


@rule("Relu", "Clip")
def clamp(low: Lowering, node: ir.Node) -> None:
    """What is left to clamp after fusion: nothing, RELU, RELU6, RELU_N1_TO_1, or MAXIMUM and MINIMUM."""
    image = low.tensor(node)
    steps = _clamps(low.bounds_left(node), int8=image.quant is not None)
    if not steps:
        low.same_scale(node, image)
        low.bind(node, image)
    for number, (op, bound) in enumerate(steps, 1):
        inputs = [image] if bound is None else [image, low.number(f"{op.lower()}_bound", bound, image)]
        output = low.between(node, op.lower(), image, image.dims)
        if number == len(steps):
            output = low.output(node, [image], image.dims)
        if op in {"MINIMUM", "MAXIMUM"}:
            low.same_scale(node, image)
        low.file.operator(op, inputs, output)
        image = output


@rule("LeakyRelu")
def leaky_relu(low: Lowering, node: ir.Node) -> None:
    """LeakyRelu -> LEAKY_RELU."""
    image = low.tensor(node)
    low.write(node, "LEAKY_RELU", [image], image.dims, alpha=graphs.attr_float(node, "alpha", 0.01))


@rule("PRelu")
def prelu(low: Lowering, node: ir.Node) -> None:
    """PRelu with a slope per channel, or one for all -> PRELU."""
    image = low.tensor(node)
    slope = graphs.need_constant(node, 1)
    channels = image.dims[3]
    if slope.size not in {1, channels}:
        raise low.refuse(node, f"a slope of shape {slope.shape}: one per channel was expected")
    slopes = low.constant(node, 1, lambda array: np.broadcast_to(array.reshape(1, 1, -1), (1, 1, channels)))
    if slopes.quant is not None and len(slopes.quant.scale) > 1:
        raise low.refuse(node, "TFLite takes one scale for all slopes in int8")
    low.write(node, "PRELU", [image, slopes], image.dims)


@rule("Sigmoid", "Tanh")
def squash(low: Lowering, node: ir.Node) -> None:
    """Sigmoid, Tanh -> LOGISTIC, TANH."""
    image = low.tensor(node)
    op, needed = _SQUASHING[node.op_type]
    if low.quant(node) not in {None, needed}:
        raise low.refuse(node, f"its int8 output must have scale {needed.scale[0]} and zero point {needed.zero_point}")
    low.write(node, op, [image], image.dims)


def _clamps(bounds: tuple[float, float], *, int8: bool) -> list[tuple[str, float | None]]:
    """Operators, each with its bound, that cut to ``bounds``."""
    lo, hi = bounds
    if not int8 and bounds in {(0.0, 6.0), (-1.0, 1.0)}:
        return [("RELU6" if hi == 6 else "RELU_N1_TO_1", None)]
    lower: list[tuple[str, float | None]] = [("MAXIMUM", lo)] if lo > -math.inf else []
    if lo == 0:
        lower = [("RELU", None)]
    return lower + ([("MINIMUM", hi)] if hi < math.inf else [])
