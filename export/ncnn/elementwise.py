"""ncnn rules: arithmetic, clamps and activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from clearport.export.ncnn.file import Setting, plain
from clearport.export.ncnn.lower import Lowering, refuse
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    Rule = Callable[[Lowering, ir.Node], object]

_BINARY = {"Add": 0, "Sub": 1, "Mul": 2, "Div": 3, "Max": 4, "Min": 5, "Pow": 6}
"""``BinaryOp``'s own numbers."""
_REVERSED = {"Sub": 7, "Div": 8, "Pow": 9}
"""The same with the number before the blob."""
_UNARY = {"Abs": 0, "Neg": 1, "Floor": 2, "Ceil": 3, "Sqrt": 5, "Exp": 7, "Log": 8, "Reciprocal": 15}
"""``UnaryOp``'s own numbers."""
_GELU = {"none": 0, "tanh": 1}


def binary(low: Lowering, node: ir.Node) -> None:
    """Add, Sub, Mul, Div, Max, Min, Pow -> BinaryOp, with the number where one of two operands is one."""
    if len(node.inputs) != 2:
        raise refuse(node, f"it has {len(node.inputs)} inputs, not two")
    left, right = (graphs.scalar(value) for value in node.inputs)
    rank = len(low.dims(node.outputs[0]))
    if right is not None and len(low.dims(graphs.need(node, 0))) == rank:
        low.write(node, "BinaryOp", [low.blob(node, 0)], {0: _BINARY[node.op_type], 1: 1, 2: right})
    elif left is not None and len(low.dims(graphs.need(node, 1))) == rank:
        operation = _REVERSED.get(node.op_type, _BINARY[node.op_type])
        low.write(node, "BinaryOp", [low.blob(node, 1)], {0: operation, 1: 1, 2: left})
    else:
        operands = [low.operand(node, index, rank) for index in range(2)]
        low.write(node, "BinaryOp", operands, {0: _BINARY[node.op_type]})


def unary(low: Lowering, node: ir.Node) -> None:
    """Abs, Neg, Sqrt and the like -> UnaryOp."""
    low.write(node, "UnaryOp", [low.blob(node)], {0: _UNARY[node.op_type]})


def plainly(kind: str) -> Rule:
    """The rule of an operator that is one layer without settings."""

    def rule(low: Lowering, node: ir.Node) -> None:
        low.write(node, kind, [low.blob(node)])

    return rule


def clamp(low: Lowering, node: ir.Node) -> None:
    """Relu, Clip -> ReLU, Clip; a Clip without bounds is nothing."""
    lowest, highest = bounds(node)
    if math.isinf(lowest) and math.isinf(highest):
        low.bind(node, low.blob(node))
    elif (lowest, highest) == (0.0, math.inf):
        low.write(node, "ReLU", [low.blob(node)])
    else:
        ends = {0: lowest, 1: highest}
        low.write(node, "Clip", [low.blob(node)], {key: end for key, end in ends.items() if math.isfinite(end)})


def bounds(node: ir.Node) -> tuple[float, float]:
    """What a Relu or Clip clamps to.

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


def prelu(low: Lowering, node: ir.Node) -> None:
    """PRelu with a slope per channel, or one for all -> PReLU."""
    slope, channels = graphs.need_constant(node, 1), low.dims(graphs.need(node, 0))[0]
    if slope.size not in {1, channels} or (slope.ndim >= 3 and slope.shape[-3] != slope.size):
        raise refuse(node, f"a slope of shape {slope.shape}: one per channel was expected")
    low.write(node, "PReLU", [low.picture(node)], {0: int(slope.size)}, [plain(slope)])


def gelu(low: Lowering, node: ir.Node) -> None:
    """Gelu -> GELU: by erf or by tanh."""
    mode = graphs.attr_str(node, "approximate", "none")
    if mode not in _GELU:
        raise refuse(node, f"there is no rule for the approximation {mode!r}")
    low.write(node, "GELU", [low.blob(node)], {0: _GELU[mode]})


def hard_swish(low: Lowering, node: ir.Node) -> None:
    """HardSwish -> HardSwish with alpha 1/6 and beta 1/2."""
    low.write(node, "HardSwish", [low.blob(node)], {0: 1 / 6, 1: 0.5})


def fused(low: Lowering, node: ir.Node) -> dict[int, Setting]:
    """The activation settings of a convolution, which takes over the Relu, Clip, LeakyRelu or Sigmoid behind it."""
    follower = graphs.only_consumer(node.outputs[0])
    settings = None if follower is None else _activation(follower)
    if follower is None or settings is None:
        return {}
    low.absorb(follower)
    return settings


def _activation(node: ir.Node) -> dict[int, Setting] | None:
    if node.op_type == "LeakyRelu":
        return {9: 2, 10: [graphs.attr_float(node, "alpha", 0.01)]}
    if node.op_type == "Sigmoid":
        return {9: 4}
    found = graphs.clamp_of(node)
    if found is None or math.isinf(found.lo):
        return None
    if math.isinf(found.hi):
        return {9: 1} if found.lo == 0 else None
    return {9: 3, 10: [found.lo, found.hi]}
