"""ncnn rules: arithmetic, clamps and activations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from clearport.export.ncnn.file import Setting, plain
from clearport.export.ncnn.lower import Lowering, refuse
from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.record import resolved

if TYPE_CHECKING:
    import onnx_ir as ir

CLIP = "Clip"
"""The layer."""
_GELU = {"none": 0, "tanh": 1}
_PRODUCT, _POWER, _POWER_OF_NUMBER = 2, 6, 9
"""``BinaryOp``'s own numbers."""
_LEAST = 1e-36
"""Smaller bases count as zero."""
_LOGARITHM, _LEAST_LOG = 8, 1.2e-38
"""``UnaryOp``'s code, and the smallest value that ncnn does not treat as zero."""


def binary(low: Lowering, node: ir.Node, code: int, turned: int | None = None) -> None:
    """Add, Sub, Mul, Div, Max, Min, Pow -> BinaryOp ``code``, with a scalar operand as a parameter.

    ``turned`` is the code for a scalar as the first operand, if it differs.
    """
    if len(node.inputs) != 2:
        raise refuse(node, f"it has {len(node.inputs)} inputs, not two")
    left, right = (graphs.scalar(value) for value in node.inputs)
    rank = len(low.dims(node.outputs[0]))
    if right is not None and len(low.dims(graphs.need(node, 0))) == rank:
        low.write(node, "BinaryOp", [low.blob(node, 0)], {0: code, 1: 1, 2: right})
    elif left is not None and len(low.dims(graphs.need(node, 1))) == rank:
        low.write(node, "BinaryOp", [low.blob(node, 1)], {0: code if turned is None else turned, 1: 1, 2: left})
    else:
        operands = [low.operand(node, index, rank) for index in range(2)]
        low.write(node, "BinaryOp", operands, {0: code})


def power(low: Lowering, node: ir.Node) -> None:
    """Pow -> BinaryOp with a nonzero base; the result for a base of 0 is multiplied by 0 (see the quirk)."""
    base, exponent = (graphs.scalar(value) for value in node.inputs[:2])
    if base is not None or (exponent is not None and exponent <= 0):
        binary(low, node, _POWER, _POWER_OF_NUMBER)
        return
    rank = len(low.dims(node.outputs[0]))
    source = low.operand(node, 0, rank)
    over = low.between(node, "positive", CLIP, [source], {0: _LEAST})
    if exponent is None:
        raised = low.between(node, "raised", "BinaryOp", [over, low.operand(node, 1, rank)], {0: _POWER})
    else:
        raised = low.between(node, "raised", "BinaryOp", [over], {0: _POWER, 1: 1, 2: exponent})
    large = low.between(node, "large", "BinaryOp", [source], {0: _PRODUCT, 1: 1, 2: 1 / _LEAST})
    one = low.between(node, "one", CLIP, [large], {0: 0.0, 1: 1.0})
    low.write(node, "BinaryOp", [raised, one], {0: _PRODUCT})


def logarithm(low: Lowering, node: ir.Node) -> None:
    """Log -> UnaryOp of a nonzero input: ncnn's smallest logarithm is -87.3 (see the quirk)."""
    over = low.between(node, "positive", CLIP, [low.blob(node)], {0: _LEAST_LOG})
    low.write(node, "UnaryOp", [over], {0: _LOGARITHM})


def unary(low: Lowering, node: ir.Node, code: int) -> None:
    """Abs, Neg, Sqrt and the like -> UnaryOp ``code``."""
    low.write(node, "UnaryOp", [low.blob(node)], {0: code})


def identity(low: Lowering, node: ir.Node) -> None:
    """Identity -> nothing."""
    low.bind(node, low.blob(node))


def plain_layer(low: Lowering, node: ir.Node, kind: str) -> None:
    """An operator that maps to one layer without parameters."""
    low.write(node, kind, [low.blob(node)])


def clamp(low: Lowering, node: ir.Node) -> None:
    """Relu, Clip -> ReLU, Clip; a Clip without bounds emits nothing."""
    lowest, highest = bounds(node)
    if math.isinf(lowest) and math.isinf(highest):
        low.bind(node, low.blob(node))
    elif (lowest, highest) == (0.0, math.inf):
        low.write(node, "ReLU", [low.blob(node)])
    else:
        ends = {0: lowest, 1: highest}
        low.write(node, CLIP, [low.blob(node)], {key: end for key, end in ends.items() if math.isfinite(end)})


def bounds(node: ir.Node) -> tuple[float, float]:
    """The bounds of a Relu or Clip.

    Raises:
        UnsupportedOperator: that is computed.
    """
    found = graphs.clamp_of(node)
    if found is None:
        raise refuse(node, "its bounds are not constants")
    return found.lo, found.hi


def leaky_relu(low: Lowering, node: ir.Node) -> None:
    """LeakyRelu -> ReLU with a slope."""
    low.write(node, "ReLU", [low.blob(node)], {0: graphs.attr_float(node, "alpha", 0.01)})


def elu(low: Lowering, node: ir.Node) -> None:
    """Elu -> ELU."""
    low.write(node, "ELU", [low.blob(node)], {0: graphs.attr_float(node, "alpha", 1.0)})


def prelu(low: Lowering, node: ir.Node) -> None:
    """PRelu with a slope per channel, or one for all -> PReLU."""
    slope, shape, count = graphs.need_constant(node, 1), low.shape(graphs.need(node, 0)), low.count(node)
    channels = shape[1] if count > 1 else low.dims(graphs.need(node, 0))[0]
    if slope.size not in {1, channels} or (slope.ndim >= 3 and slope.shape[-3] != slope.size):
        raise refuse(node, f"a slope of shape {slope.shape}: expected one per channel")
    many = np.tile(slope.reshape(-1), count if slope.size > 1 else 1)
    low.write_each(node, "PReLU", {0: int(many.size)}, [plain(many)])


def gelu(low: Lowering, node: ir.Node) -> None:
    """Gelu -> GELU: by erf or by tanh."""
    mode = graphs.attr_str(node, "approximate", "none")
    if mode not in _GELU:
        raise refuse(node, f"no conversion rule for the approximation {mode!r}")
    low.write(node, "GELU", [low.blob(node)], {0: _GELU[mode]})


def hard_swish(low: Lowering, node: ir.Node) -> None:
    """HardSwish -> HardSwish with alpha 1/6 and beta 1/2."""
    low.write(node, "HardSwish", [low.blob(node)], {0: 1 / 6, 1: 0.5})


def fused(low: Lowering, node: ir.Node) -> dict[int, Setting]:
    """The activation parameters of a convolution, fused from its consumer if ncnn supports that."""
    follower = graphs.only_consumer(node.outputs[0])
    rule = None if follower is None else table.of(follower).ncnn
    if follower is None or rule is None or rule.fused is None:
        return {}
    settings: dict[int, Setting] | None = resolved(rule.fused)(follower)
    if settings is None:
        return {}
    low.absorb(follower)
    return settings


def fused_leaky_relu(node: ir.Node) -> dict[int, Setting]:
    """A leaky ReLU as the activation of a convolution."""
    return {9: 2, 10: [graphs.attr_float(node, "alpha", 0.01)]}


def fused_sigmoid(node: ir.Node) -> dict[int, Setting]:
    """A sigmoid as the activation of a convolution."""
    del node
    return {9: 4}


def fused_clamp(node: ir.Node) -> dict[int, Setting] | None:
    """A Relu or Clip as the activation of a convolution; None if ncnn has no equivalent."""
    found = graphs.clamp_of(node)
    if found is None or math.isinf(found.lo):
        return None
    if math.isinf(found.hi):
        return {9: 1} if found.lo == 0 else None
    return {9: 3, 10: [found.lo, found.hi]}
