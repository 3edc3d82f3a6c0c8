"""TFLite rules: arithmetic and activations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from clearport.export.passes.signs import never_negative
from clearport.export.tflite.lower import NONE, Lowering
from clearport.export.tflite.operands import aligned
from clearport.export.tflite.tensors import Quant, quant_of
from clearport.graph import nodes as graphs
from clearport.operators import table

if TYPE_CHECKING:
    import onnx_ir as ir


_NORMAL = float(np.finfo(np.float32).tiny)
_LEAST_EXPONENT = 0.25
"""The smallest normal number to this power is 3e-10."""

Step = tuple[str, float | None]
"""A clamping operator, and its bound if it has a parameter."""


def arithmetic(low: Lowering, node: ir.Node, op: str) -> None:
    """Add, Sub, Mul, Div -> ADD, SUB, MUL, DIV with a fused activation."""
    inputs, order = aligned(low, node)
    dims = np.broadcast_shapes(*(t.dims for t in inputs))
    low.write(node, op, inputs, dims, order, fusedActivationFunction=low.activation(node))


def binary(low: Lowering, node: ir.Node, op: str) -> None:
    """Max, Min -> MAXIMUM, MINIMUM."""
    inputs, order = aligned(low, node)
    low.same_scale(node, *inputs)
    low.write(node, op, inputs, np.broadcast_shapes(*(t.dims for t in inputs)), order)


def power(low: Lowering, node: ir.Node) -> None:
    """Pow -> POW; by a number, of what is never negative -> EXP of the number times LOG, which XNNPACK has.

    Its LOG is minus infinity for subnormal inputs too (LiteRT 2.3.0): small exponents would make much of what is lost.
    """
    base, exponent = graphs.need(node, 0), graphs.scalar(graphs.operand(node, 1))
    small = exponent is None or exponent < _LEAST_EXPONENT
    if exponent is None or exponent <= 0 or (small and not _away_from_zero(base)) or not never_negative(base):
        binary(low, node, "POW")
        return
    image, order = low.stored(node)
    log, times = (low.between(node, what, image, image.dims) for what in ("log", "times"))
    low.file.operator("LOG", [image], log)
    low.file.operator("MUL", [log, low.number("exponent", exponent, image)], times, fusedActivationFunction=NONE)
    low.write(node, "EXP", [times], image.dims, order)


def _away_from_zero(value: ir.Value) -> bool:
    """Whether a value is clamped to what float32 represents in full."""
    maker = graphs.producer(value)
    clamp = None if maker is None else graphs.clamp_of(maker)
    return clamp is not None and clamp.lo >= _NORMAL


def clamp(low: Lowering, node: ir.Node) -> None:
    """The clamp that remains after fusion: nothing, RELU, RELU6, RELU_N1_TO_1, or MAXIMUM and MINIMUM."""
    (image, order), own, bounds = low.stored(node), low.quant(node), low.bounds_left(node)
    steps = _in_float(bounds) if own is None else _in_int8(bounds, image.quant, own)
    if not steps:
        low.bind(node, image, order)
    for op, bound in steps:
        if (op, bound) == steps[-1]:
            output = low.output(node, [image], image.dims, order)
        else:
            output = low.between(node, op.lower(), image, image.dims, rescaled=True)
        inputs = [image] if bound is None else [image, low.number(f"{op.lower()}_bound", bound, output)]
        low.file.operator(op, inputs, output)
        image = output


def leaky_relu(low: Lowering, node: ir.Node) -> None:
    """LeakyRelu -> LEAKY_RELU."""
    image, order = low.stored(node)
    low.write(node, "LEAKY_RELU", [image], image.dims, order, alpha=graphs.attr_float(node, "alpha", 0.01))


def prelu(low: Lowering, node: ir.Node) -> None:
    """PRelu with a slope per channel, or one for all -> PRELU."""
    image = low.pictures(node)
    slope = graphs.need_constant(node, 1)
    channels = image.dims[3]
    if slope.size not in {1, channels}:
        raise low.refuse(node, f"a slope of shape {slope.shape}: expected one per channel")
    slopes = low.constant(node, 1, lambda array: np.broadcast_to(array.reshape(1, 1, -1), (1, 1, channels)))
    if slopes.quant is not None and len(slopes.quant.scale) > 1:
        raise low.refuse(node, "TFLite supports only one scale for all slopes in int8")
    low.write(node, "PRELU", [image, slopes], image.dims)


def squash(low: Lowering, node: ir.Node, op: str) -> None:
    """Sigmoid, Tanh -> LOGISTIC, TANH."""
    image, order = low.stored(node)
    form, given = table.of(node).int8, low.quant(node)
    if given is not None and form is not None and form.grid is not None and given != quant_of(form.grid):
        needed = form.grid
        raise low.refuse(node, f"its int8 output must have scale {needed.scale[0]} and zero point {needed.zero_point}")
    low.write(node, op, [image], image.dims, order)


def _in_float(bounds: tuple[float, float]) -> list[Step]:
    if bounds in {(0.0, 6.0), (-1.0, 1.0)}:
        return [("RELU6" if bounds[1] == 6 else "RELU_N1_TO_1", None)]
    lower: Step = ("RELU", None) if bounds[0] == 0 else ("MAXIMUM", bounds[0])
    upper: Step = ("MINIMUM", bounds[1])
    return [lower] * (bounds[0] > -math.inf) + [upper] * (bounds[1] < math.inf)


def _in_int8(bounds: tuple[float, float], given: Quant | None, own: Quant) -> list[Step]:
    """Requantization clamps to the output's range; tighter bounds are clamped explicitly."""
    steps: list[Step] = []
    if given != own or bounds[0] == 0:
        steps.append(("RELU" if bounds[0] >= 0 else "QUANTIZE", None))
    scale = own.scale[0]
    lowest, highest = ((end - own.zero_point) * scale for end in (-128, 127))
    if bounds[0] > max(lowest, 0 if steps == [("RELU", None)] else -math.inf) + scale / 2:
        steps.append(("MAXIMUM", bounds[0]))
    if bounds[1] < highest - scale / 2:
        steps.append(("MINIMUM", bounds[1]))
    return steps
