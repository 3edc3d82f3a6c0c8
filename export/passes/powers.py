"""Powers and divisions as products, where exact or required by runtimes: see ``operators``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.rewriting import constant, insert, sizes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array

_POWERS = frozenset(range(2, 65))
"""Exponents that become products, since runtimes compute powers by logarithms, which fail for negative bases."""


def power(node: ir.Node) -> ir.Value | None:
    base, exponent = graphs.need(node, 0), graphs.scalar(graphs.operand(node, 1))
    shape = sizes(node.outputs[0])
    if shape is None or shape != sizes(base):
        return None
    if exponent == 1:
        return base
    if exponent in _POWERS:
        return _multiplied(node, base, int(exponent))
    if exponent == 0.5:
        return insert(node, "Sqrt", [base], shape)
    if exponent is not None and (exponent in {-0.5, -1} or -exponent in _POWERS):
        inverse = {-0.5: lambda: insert(node, "Sqrt", [base], shape), -1: lambda: base}
        below = inverse.get(exponent, lambda: _multiplied(node, base, int(-exponent)))()
        return insert(node, "Div", [constant(node, "one", np.ones(1)), below], shape)
    return None


def _multiplied(node: ir.Node, base: ir.Value, exponent: int) -> ir.Value:
    """A power as a product."""
    product, shape = base, sizes(base)
    for bit in f"{exponent:b}"[1:]:
        product = insert(node, "Mul", [product, product], shape)
        product = insert(node, "Mul", [product, base], shape) if bit == "1" else product
    return product


def reciprocal(node: ir.Node) -> ir.Value:
    return insert(node, "Div", [constant(node, "one", np.ones(1)), graphs.need(node, 0)], sizes(node.outputs[0]))


def division(node: ir.Node) -> ir.Value | None:
    divisor = graphs.constant(graphs.need(node, 1))
    if not is_real(node) or divisor is None or not divisor.all() or _counted(node, divisor):
        return None
    factor = constant(node, "factor", 1 / divisor.astype(np.float64))
    return insert(node, "Mul", [graphs.need(node, 0), factor], sizes(node.outputs[0]))


def is_real(node: ir.Node) -> bool:
    """Whether a node's output is float; True if its dtype is unknown."""
    dtype = node.outputs[0].dtype
    return dtype is None or dtype == ir.DataType.FLOAT


_STEPPED = frozenset({"Ceil", "Cast", "Equal", "Floor", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Round"})
"""Operators that can turn the last bit of a quotient into a whole step."""


def _counted(node: ir.Node, divisor: Array) -> bool:
    """Whether a quotient is rounded to integers, so that multiplying by the reciprocal is not exact enough.

    49 times the float32 nearest to 1/49 is below 1.
    """
    exact = bool(np.all(np.frexp(divisor)[0] == np.copysign(0.5, divisor)))
    return not exact and any(use.node.op_type in _STEPPED for use in node.outputs[0].uses())
