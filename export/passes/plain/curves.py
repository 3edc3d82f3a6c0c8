"""Decompose trigonometric, hyperbolic and error functions into exponentials, logarithms and polynomials.

Given: Tan, Asin, Acos, Atan, Sinh, Cosh, Asinh, Acosh, Atanh; for TFLite, which lacks it, Erf. Result: the float32
function to 1e-6. Functions with an operator record stay.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.plain.functions import called, clipped, truth
from clearport.export.passes.rewriting import each_float
from clearport.graph import nodes as graphs
from clearport.operators import table

if TYPE_CHECKING:
    from clearport.base import Array, Graph

_DEGREE = 10
"""Degree of the arctangent's polynomial: error 2e-8."""
_SLOPE = 0.3275911
_ERROR = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
"""Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: error 1.5e-7."""


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {op: rule for op, rule in _RULES.items() if not table.known(op)})


def without_erf(graph: Graph) -> Graph:
    """The graph with exponentials instead of the error function."""
    changed = each_float(graph, {"Erf": _error_function})
    return changed if changed is graph else graphs.check(changed)


def _tangent(node: ir.Node) -> ir.Value:
    x = graphs.need(node, 0)
    return called(node, "Div", called(node, "Sin", x), called(node, "Cos", x))


def _hyperbolic(sign: str) -> Callable[[ir.Node], ir.Value]:
    def rule(node: ir.Node) -> ir.Value:
        x = graphs.need(node, 0)
        both = called(node, "Exp", x), called(node, "Exp", called(node, "Neg", x))
        return called(node, "Mul", called(node, sign, *both), 0.5)

    return rule


def _area_sine(node: ir.Node) -> ir.Value:
    """sign(x) * log(|x| + sqrt(x^2 + 1)), whose sum cancels nothing."""
    x = graphs.need(node, 0)
    root = called(node, "Sqrt", called(node, "Add", called(node, "Mul", x, x), 1.0))
    grown = called(node, "Log", called(node, "Add", called(node, "Abs", x), root))
    return called(node, "Mul", called(node, "Sign", x), grown)


def _area_cosine(node: ir.Node) -> ir.Value:
    x = graphs.need(node, 0)
    root = called(node, "Sqrt", called(node, "Mul", called(node, "Sub", x, 1.0), called(node, "Add", x, 1.0)))
    return called(node, "Log", called(node, "Add", x, root))


def _area_tangent(node: ir.Node) -> ir.Value:
    x = graphs.need(node, 0)
    share = called(node, "Div", called(node, "Add", x, 1.0), called(node, "Sub", 1.0, x))
    return called(node, "Mul", called(node, "Log", share), 0.5)


def _arc_tangent(node: ir.Node, source: ir.Value | None = None) -> ir.Value:
    """Polynomial of min(|x|, 1 / |x|); beyond 1, pi/2 minus the result."""
    x = source or graphs.need(node, 0)
    size = called(node, "Abs", x)
    below = called(node, "Div", clipped(node, size, None, 1.0), clipped(node, size, 1.0, None))
    squared = called(node, "Mul", below, below)
    first, *others = _polynomial()
    value = called(node, "Add", called(node, "Mul", squared, first), others[0])
    for factor in others[1:]:
        value = called(node, "Add", called(node, "Mul", value, squared), factor)
    angle = called(node, "Mul", value, below)
    beyond = truth(called(node, "Greater", size, 1.0))
    whole = called(node, "Where", beyond, called(node, "Sub", math.pi / 2, angle), angle)
    whole.type = ir.TensorType(ir.DataType.FLOAT)
    return called(node, "Mul", called(node, "Sign", x), whole)


@functools.cache
def _polynomial() -> tuple[float, ...]:
    """Coefficients of atan(sqrt(z)) / sqrt(z) for z in 0..1, highest power first, by interpolation at Chebyshev
    nodes.
    """

    def wanted(z: Array) -> Array:
        root = np.sqrt(z)
        ratio: Array = np.arctan(root) / root
        return ratio

    found = np.polynomial.Chebyshev.interpolate(wanted, _DEGREE, domain=[0, 1])
    factors = found.convert(kind=np.polynomial.Polynomial).coef[::-1]
    return tuple(float(n) for n in factors)


def _arc_sine(node: ir.Node) -> ir.Value:
    """atan(x / sqrt(1 - x^2)), +-pi/2 at the ends."""
    x = graphs.need(node, 0)
    rest = called(node, "Sqrt", called(node, "Mul", called(node, "Sub", 1.0, x), called(node, "Add", x, 1.0)))
    return _arc_tangent(node, called(node, "Div", x, clipped(node, rest, 1e-18, None)))


def _arc_cosine(node: ir.Node) -> ir.Value:
    return called(node, "Sub", math.pi / 2, _arc_sine(node))


def _error_function(node: ir.Node) -> ir.Value:
    """sign(x) * (1 - polynomial(t) * exp(-x^2)), t = 1 / (1 + p |x|)."""
    x = graphs.need(node, 0)
    t = called(node, "Div", 1.0, called(node, "Add", called(node, "Mul", called(node, "Abs", x), _SLOPE), 1.0))
    value = called(node, "Mul", t, _ERROR[0])
    for factor in _ERROR[1:]:
        value = called(node, "Mul", called(node, "Add", value, factor), t)
    falling = called(node, "Exp", called(node, "Neg", called(node, "Mul", x, x)))
    return called(node, "Mul", called(node, "Sign", x), called(node, "Sub", 1.0, called(node, "Mul", value, falling)))


_RULES: dict[str, Callable[[ir.Node], ir.Value]] = {
    "Acos": _arc_cosine,
    "Acosh": _area_cosine,
    "Asin": _arc_sine,
    "Asinh": _area_sine,
    "Atan": _arc_tangent,
    "Atanh": _area_tangent,
    "Cosh": _hyperbolic("Add"),
    "Sinh": _hyperbolic("Sub"),
    "Tan": _tangent,
}
