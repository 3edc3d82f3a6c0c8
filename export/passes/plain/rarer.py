"""Write operators of older and rarer networks by those that every target has.

Given: LRN, LpPool, GlobalLpPool, MeanVarianceNormalization, Hardmax, ReduceProd, trigonometric and hyperbolic
functions, Mod of real numbers, IsNaN, IsInf, a Gemm of which both matrices are computed, a MatMul of a vector.
Result: sums by convolutions with constant kernels, products, exponentials and logarithms, comparisons; MatMul of
matrices. An operator that a record describes stays, as its targets know it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.plain.functions import called, clipped
from clearport.export.passes.plain.picks import picked, reshaped
from clearport.export.passes.rewriting import constant, conv_1x1, each_float, fixed, insert, rank, sizes
from clearport.graph import nodes as graphs
from clearport.operators import table

if TYPE_CHECKING:
    from clearport.base import Array, Graph

_MOST_FACTORS = 64
"""Numbers along an axis whose product is written as that of slices."""
_FINITE = 3.3e38
"""Nearly the largest number of float32: what is beyond it is infinite."""
_DEGREE = 10
"""Of the polynomial of the arc tangent: 2e-8 off."""


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    own = {op: rule for op, rule in _RULES.items() if not table.known(op)}
    return each_float(graph, own | _MATRICES)


def _local_response(node: ir.Node) -> ir.Value | None:
    """x / (bias + alpha / size * the sum of the squares of neighboring channels) ** beta."""
    x, shape = graphs.need(node, 0), fixed(graphs.need(node, 0))
    if shape is None or len(shape) != 4:
        return None
    size, channels = graphs.attr_int(node, "size", 1), shape[1]
    distance = np.arange(channels)[None] - np.arange(channels)[:, None]
    near = (distance >= -((size - 1) // 2)) & (distance <= size // 2)
    factor, bias = graphs.attr_float(node, "alpha", 1e-4) / size, graphs.attr_float(node, "bias", 1.0)
    summed = conv_1x1(node, called(node, "Mul", x, x), near * factor, np.full(channels, bias))
    return called(node, "Div", x, _raised(node, summed, graphs.attr_float(node, "beta", 0.75)))


def _raised(node: ir.Node, x: ir.Value, power: float) -> ir.Value:
    """A power of what is not negative; of quarters by roots, which every runtime has exactly."""
    if power == 1:
        return x
    if power not in {0.5, 0.75}:
        return called(node, "Pow", x, power)
    root = called(node, "Sqrt", x)
    return root if power == 0.5 else called(node, "Mul", root, called(node, "Sqrt", root))


def _magnitude(node: ir.Node, x: ir.Value, p: int) -> ir.Value:
    """|x| ** p."""
    if p == 2:
        return called(node, "Mul", x, x)
    return _raised(node, called(node, "Abs", x), p)


def _pooled(node: ir.Node) -> ir.Value | None:
    """A root of sums, which are those of a depthwise convolution with ones."""
    x, shape, after = graphs.need(node, 0), fixed(graphs.need(node, 0)), fixed(node.outputs[0])
    kernel, p = graphs.attr_ints(node, "kernel_shape", ()), graphs.attr_int(node, "p", 2)
    if shape is None or after is None or len(shape) != 4:
        return None
    attributes = {name: a.value for name, a in node.attributes.items() if name not in {"p", "ceil_mode"}}
    if graphs.attr_int(node, "ceil_mode", 0):
        attributes["pads"] = _reaching(node, kernel, shape, after)
    ones = constant(node, "ones", np.ones((shape[1], 1, *kernel)))
    none = constant(node, "zeros", np.zeros(shape[1]))
    operands = [_magnitude(node, x, p), ones, none]
    summed = insert(node, "Conv", operands, after, attributes | {"group": shape[1], "kernel_shape": kernel})
    return _raised(node, summed, 1 / p)


def _reaching(node: ir.Node, kernel: tuple[int, ...], shape: tuple[int, ...], after: tuple[int, ...]) -> list[int]:
    """Pads with which windows without ``ceil_mode`` are as many."""
    ones = (1,) * len(kernel)
    strides, dilations = (graphs.attr_ints(node, name, ones) for name in ("strides", "dilations"))
    pads = graphs.attr_ints(node, "pads", (0,) * (2 * len(kernel)))
    before, ends = pads[: len(kernel)], []
    for k, size in enumerate(kernel):
        reach = (after[2 + k] - 1) * strides[k] + (size - 1) * dilations[k] + 1
        ends.append(max(pads[len(kernel) + k], reach - shape[2 + k] - before[k]))
    return [*before, *ends]


def _pooled_whole(node: ir.Node) -> ir.Value:
    x, p = graphs.need(node, 0), graphs.attr_int(node, "p", 2)
    axes = list(range(2, rank(x)))
    given = sizes(x)
    after = None if given is None else (*given[:2], *[1] * len(axes))
    total = insert(node, "ReduceSum", [_magnitude(node, x, p), constant(node, "axes", axes)], after, {"keepdims": 1})
    return _raised(node, total, 1 / p)


def _mean_variance(node: ir.Node) -> ir.Value | None:
    """(x - mean) / (deviation + 1e-9)."""
    x, shape = graphs.need(node, 0), fixed(graphs.need(node, 0))
    if shape is None:
        return None
    axes = sorted(axis % len(shape) for axis in graphs.attr_ints(node, "axes", (0, 2, 3)))
    after = tuple(1 if axis in axes else n for axis, n in enumerate(shape))

    def mean(value: ir.Value) -> ir.Value:
        return insert(node, "ReduceMean", [value, constant(node, "axes", axes)], after, {"keepdims": 1})

    apart = called(node, "Sub", x, mean(x))
    deviation = called(node, "Sqrt", mean(called(node, "Mul", apart, apart)))
    return called(node, "Div", apart, called(node, "Add", deviation, 1e-9))


def _hardmax(node: ir.Node) -> ir.Value | None:
    """1 where the largest is, the first of equal ones; else 0."""
    x, shape = graphs.need(node, 0), fixed(graphs.need(node, 0))
    if shape is None:
        return None
    axis = graphs.attr_int(node, "axis", -1) % len(shape)
    without = (*shape[:axis], *shape[axis + 1 :])
    place = insert(node, "ArgMax", [x], without, {"axis": axis, "keepdims": 0})
    place.type = ir.TensorType(ir.DataType.INT64)
    operands = [place, constant(node, "depth", [shape[axis]]), constant(node, "values", np.array([0.0, 1.0]))]
    marked = insert(node, "OneHot", operands, shape, {"axis": axis})
    marked.type = ir.TensorType(ir.DataType.FLOAT)
    return marked


def _product(node: ir.Node) -> ir.Value | None:
    """Of all numbers along the axes, slice by slice."""
    x, given = graphs.need(node, 0), graphs.constant(graphs.operand(node, 1))
    shape, after = fixed(x), fixed(node.outputs[0])
    if shape is None or after is None or (given is None and graphs.operand(node, 1) is not None):
        return None
    if (given is None or not given.size) and graphs.attr_int(node, "noop_with_empty_axes", 0):
        return x
    axes = range(len(shape)) if given is None or not given.size else sorted(int(n) % len(shape) for n in given)
    if any(shape[axis] > _MOST_FACTORS for axis in axes):
        return None
    total = x
    for axis in axes:
        parts = [picked(node, total, axis, [place]) for place in range(shape[axis])]
        total = functools.reduce(lambda one, other: called(node, "Mul", one, other), filter(None, parts))
    return reshaped(node, total, after)


def _remainder(node: ir.Node) -> ir.Value | None:
    """As C's fmod: x - y * trunc(x / y)."""
    x, y = graphs.need(node, 0), graphs.need(node, 1)
    shape = fixed(node.outputs[0])
    if not graphs.attr_int(node, "fmod", 0) or shape is None:
        return None
    quotient = insert(node, "Div", [x, y], shape)
    whole = called(node, "Mul", called(node, "Sign", quotient), called(node, "Floor", called(node, "Abs", quotient)))
    return insert(node, "Sub", [x, insert(node, "Mul", [whole, y], shape)], shape)


def _is_nan(node: ir.Node) -> ir.Value:
    """What is not equal to itself."""
    x = graphs.need(node, 0)
    return _truth(called(node, "Not", _truth(called(node, "Equal", x, x))))


def _is_infinite(node: ir.Node) -> ir.Value | None:
    x = graphs.need(node, 0)
    positive, negative = (graphs.attr_int(node, f"detect_{sign}", 1) for sign in ("positive", "negative"))
    if not positive and not negative:
        return None
    if positive and negative:
        x = called(node, "Abs", x)
    return _truth(called(node, "Greater", x, _FINITE) if positive else called(node, "Less", x, -_FINITE))


def _truth(value: ir.Value) -> ir.Value:
    value.type = ir.TensorType(ir.DataType.BOOL)
    return value


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
    """By a polynomial of the smaller of |x| and 1 / |x|; beyond 1 it is a right angle less."""
    x = source or graphs.need(node, 0)
    size = called(node, "Abs", x)
    below = called(node, "Div", clipped(node, size, None, 1.0), clipped(node, size, 1.0, None))
    squared = called(node, "Mul", below, below)
    first, *others = _polynomial()
    value = called(node, "Add", called(node, "Mul", squared, first), others[0])
    for factor in others[1:]:
        value = called(node, "Add", called(node, "Mul", value, squared), factor)
    angle = called(node, "Mul", value, below)
    beyond = _truth(called(node, "Greater", size, 1.0))
    whole = called(node, "Where", beyond, called(node, "Sub", math.pi / 2, angle), angle)
    whole.type = ir.TensorType(ir.DataType.FLOAT)
    return called(node, "Mul", called(node, "Sign", x), whole)


@functools.cache
def _polynomial() -> tuple[float, ...]:
    """Factors of atan(sqrt(z)) / sqrt(z) for z in 0..1, the highest power first: through its Chebyshev nodes."""

    def wanted(z: Array) -> Array:
        root = np.sqrt(z)
        ratio: Array = np.arctan(root) / root
        return ratio

    found = np.polynomial.Chebyshev.interpolate(wanted, _DEGREE, domain=[0, 1])
    factors = found.convert(kind=np.polynomial.Polynomial).coef[::-1]
    return tuple(float(n) for n in factors)


def _arc_sine(node: ir.Node) -> ir.Value:
    """atan(x / sqrt(1 - x^2)), a right angle at the ends."""
    x = graphs.need(node, 0)
    rest = called(node, "Sqrt", called(node, "Mul", called(node, "Sub", 1.0, x), called(node, "Add", x, 1.0)))
    return _arc_tangent(node, called(node, "Div", x, clipped(node, rest, 1e-18, None)))


def _arc_cosine(node: ir.Node) -> ir.Value:
    return called(node, "Sub", math.pi / 2, _arc_sine(node))


def _gemm(node: ir.Node) -> ir.Value | None:
    """alpha * A B + beta * C, where neither a constant B nor a plain A let it be one product with weights."""
    left, right, other = graphs.need(node, 0), graphs.need(node, 1), graphs.operand(node, 2)
    plain = graphs.constant(right) is not None and not graphs.attr_int(node, "transA", 0)
    if plain and (other is None or graphs.constant(other) is not None):
        return None
    shape, both = fixed(node.outputs[0]), (fixed(left), fixed(right))
    if shape is None or both[0] is None or both[1] is None:
        return None
    one, two = (
        _turned(node, value) if graphs.attr_int(node, name, 0) else value
        for value, name in ((left, "transA"), (right, "transB"))
    )
    made = insert(node, "MatMul", [one, two], shape)
    alpha, beta = (graphs.attr_float(node, name, 1.0) for name in ("alpha", "beta"))
    made = made if alpha == 1 else called(node, "Mul", made, alpha)
    if other is None or beta == 0:
        return made
    held = graphs.constant(other)
    if held is not None:
        return insert(node, "Add", [made, constant(node, "offset", held * beta)], shape)
    return insert(node, "Add", [made, other if beta == 1 else called(node, "Mul", other, beta)], shape)


def _turned(node: ir.Node, matrix: ir.Value) -> ir.Value:
    held = graphs.constant(matrix)
    if held is not None:
        return constant(node, "turned", held.T)
    return insert(node, "Transpose", [matrix], (fixed(matrix) or ())[::-1], {"perm": [1, 0]})


def _matrix_product(node: ir.Node) -> ir.Value | None:
    """A vector on the left is a row, on the right a column."""
    both, after = [fixed(graphs.need(node, index)) for index in (0, 1)], fixed(node.outputs[0])
    if both[0] is None or both[1] is None or after is None or min(len(both[0]), len(both[1])) > 1:
        return None
    left, right = graphs.need(node, 0), graphs.need(node, 1)
    rows, columns = (1, *both[0]) if len(both[0]) == 1 else both[0], (*both[1], 1) if len(both[1]) == 1 else both[1]
    shape = (*np.broadcast_shapes(rows[:-2], columns[:-2]), rows[-2], columns[-1])
    made = insert(node, "MatMul", [reshaped(node, left, rows), reshaped(node, right, columns)], shape)
    return reshaped(node, made, after)


_RULES: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    "Acos": _arc_cosine,
    "Acosh": _area_cosine,
    "Asin": _arc_sine,
    "Asinh": _area_sine,
    "Atan": _arc_tangent,
    "Atanh": _area_tangent,
    "Cosh": _hyperbolic("Add"),
    "GlobalLpPool": _pooled_whole,
    "Hardmax": _hardmax,
    "IsInf": _is_infinite,
    "IsNaN": _is_nan,
    "LRN": _local_response,
    "LpPool": _pooled,
    "MeanVarianceNormalization": _mean_variance,
    "Mod": _remainder,
    "ReduceProd": _product,
    "Sinh": _hyperbolic("Sub"),
    "Tan": _tangent,
}
_MATRICES: dict[str, Callable[[ir.Node], ir.Value | None]] = {"Gemm": _gemm, "MatMul": _matrix_product}
