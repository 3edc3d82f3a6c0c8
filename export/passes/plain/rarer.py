"""Decompose operators of older and rarer networks into ones that every target supports.

Given: LRN, LpPool, GlobalLpPool, MeanVarianceNormalization, Hardmax, ReduceProd, float Mod, IsNaN, IsInf, Col2Im,
AffineGrid and CenterCropPad of a fixed size, Gemm of two computed matrices, MatMul with a vector.
Result: sums by convolutions with constant kernels, products, comparisons; DepthToSpace of non-overlapping patches;
MatMul of matrices; Slice and Pad. Operators with an operator record stay.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.plain.functions import called, truth
from clearport.export.passes.plain.picks import picked
from clearport.export.passes.rewriting import constant, conv_1x1, each_float, fixed, insert, rank, reshaped, sizes
from clearport.graph import nodes as graphs
from clearport.operators import table

if TYPE_CHECKING:
    from clearport.base import Graph

_MOST_FACTORS = 64
"""Maximum length of an axis whose product is expanded into slices."""
_FINITE = 3.3e38
"""Slightly below the largest float32: anything beyond counts as infinite."""


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
    """A power of a nonnegative value; multiples of 1/4 by square roots, which every runtime computes accurately."""
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
    """A root of window sums, by a depthwise convolution with ones."""
    x, shape, after = graphs.need(node, 0), fixed(graphs.need(node, 0)), fixed(node.outputs[0])
    kernel, p = graphs.attr_ints(node, "kernel_shape", ()), graphs.attr_int(node, "p", 2)
    if shape is None or after is None or len(shape) != 4:
        return None
    attributes = {name: a.value for name, a in node.attributes.items() if name not in {"p", "ceil_mode"}}
    ones = constant(node, "ones", np.ones((shape[1], 1, *kernel)))
    none = constant(node, "zeros", np.zeros(shape[1]))
    operands = [_magnitude(node, x, p), ones, none]
    summed = insert(node, "Conv", operands, after, attributes | {"group": shape[1], "kernel_shape": kernel})
    return _raised(node, summed, 1 / p)


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


def _folded(node: ir.Node) -> ir.Value | None:
    """Col2Im: overlapping patches are summed by a transposed convolution with one-tap kernels."""
    x, before = graphs.need(node, 0), fixed(graphs.need(node, 0))
    size, block = (graphs.constant(graphs.need(node, index)) for index in (1, 2))
    if before is None or size is None or block is None or size.size != 2:
        return None
    height, width = (int(n) for n in block)
    strides, dilations = (graphs.attr_ints(node, name, (1, 1)) for name in ("strides", "dilations"))
    pads = graphs.attr_ints(node, "pads", (0,) * 4)
    reach = [(int(n) - 1) * d + 1 for n, d in zip(block, dilations, strict=True)]
    room = [int(size[k]) + pads[k] + pads[2 + k] - reach[k] for k in (0, 1)]
    rows, columns = (n // step + 1 for n, step in zip(room, strides, strict=True))
    channels = before[1] // (height * width)
    patches = reshaped(node, x, (*before[:2], rows, columns))
    after = (before[0], channels, int(size[0]), int(size[1]))
    beside = list(strides) == [height, width] and set(dilations) == {1} and not any(pads)
    if beside and height == width and not any(n % height for n in room):
        return insert(node, "DepthToSpace", [patches], after, {"blocksize": height, "mode": "CRD"})
    taps = np.tile(np.eye(height * width).reshape(-1, 1, height, width), (channels, 1, 1, 1))
    attributes = {
        "group": channels, "kernel_shape": [height, width], "strides": strides, "dilations": dilations, "pads": pads,
        "output_padding": [n % step for n, step in zip(room, strides, strict=True)],
    }  # fmt: skip
    return insert(node, "ConvTranspose", [patches, constant(node, "taps", taps)], after, attributes)


def _hardmax(node: ir.Node) -> ir.Value | None:
    """1 at the first maximum, else 0."""
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
    """Product over the axes, slice by slice."""
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
    if not graphs.attr_int(node, "fmod", 0) or shape is None or x.dtype != ir.DataType.FLOAT:
        return None
    quotient = insert(node, "Div", [x, y], shape)
    whole = called(node, "Mul", called(node, "Sign", quotient), called(node, "Floor", called(node, "Abs", quotient)))
    return insert(node, "Sub", [x, insert(node, "Mul", [whole, y], shape)], shape)


def _is_nan(node: ir.Node) -> ir.Value:
    """x != x."""
    x = graphs.need(node, 0)
    return truth(called(node, "Not", truth(called(node, "Equal", x, x))))


def _is_infinite(node: ir.Node) -> ir.Value | None:
    x = graphs.need(node, 0)
    positive, negative = (graphs.attr_int(node, f"detect_{sign}", 1) for sign in ("positive", "negative"))
    if not positive and not negative:
        return None
    if positive and negative:
        x = called(node, "Abs", x)
    return truth(called(node, "Greater", x, _FINITE) if positive else called(node, "Less", x, -_FINITE))


def _gemm(node: ir.Node) -> ir.Value | None:
    """alpha * A B + beta * C, if B is not constant or A is transposed."""
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
    """A left vector becomes a row, a right vector a column."""
    both, after = [fixed(graphs.need(node, index)) for index in (0, 1)], fixed(node.outputs[0])
    if both[0] is None or both[1] is None or after is None or min(len(both[0]), len(both[1])) > 1:
        return None
    left, right = graphs.need(node, 0), graphs.need(node, 1)
    rows, columns = (1, *both[0]) if len(both[0]) == 1 else both[0], (*both[1], 1) if len(both[1]) == 1 else both[1]
    shape = (*np.broadcast_shapes(rows[:-2], columns[:-2]), rows[-2], columns[-1])
    made = insert(node, "MatMul", [reshaped(node, left, rows), reshaped(node, right, columns)], shape)
    return reshaped(node, made, after)


def _places(node: ir.Node) -> ir.Value | None:
    """AffineGrid: the middles of the pixels, or with aligned corners their places from -1 to 1, by the matrix."""
    matrix, after = graphs.need(node, 0), fixed(node.outputs[0])
    if after is None:
        return None
    corners = graphs.attr_int(node, "align_corners", 0)
    sides = [np.linspace(-1, 1, n) if corners and n > 1 else (2 * np.arange(n) + 1) / n - 1 for n in after[1:-1]]
    spread = np.meshgrid(*sides, indexing="ij")[::-1]  # x first
    points = np.stack([*spread, np.ones(after[1:-1])], -1).reshape(-1, len(sides) + 1)
    turned = insert(node, "Transpose", [matrix], (after[0], len(sides) + 1, len(sides)), {"perm": [0, 2, 1]})
    flat = insert(node, "MatMul", [constant(node, "points", points), turned], (after[0], len(points), len(sides)))
    return reshaped(node, flat, after)


def _centered(node: ir.Node) -> ir.Value | None:
    """CenterCropPad: a Slice of longer axes and a Pad of shorter ones; the odd pixel is at the end."""
    value, before, after = graphs.need(node, 0), fixed(graphs.need(node, 0)), fixed(node.outputs[0])
    if before is None or after is None:
        return None
    for axis, (old, new) in enumerate(zip(before, after, strict=True)):
        first = (old - new) // 2
        cut = value if old <= new else picked(node, value, axis, range(first, first + new))
        if cut is None:
            return None
        value = cut
    ends = [[(new - old) // 2, new - old - (new - old) // 2] for old, new in zip(before, after, strict=True)]
    amounts = [max(0, pair[side]) for side in (0, 1) for pair in ends]
    return insert(node, "Pad", [value, constant(node, "pads", amounts)], after) if any(amounts) else value


_RULES: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    "AffineGrid": _places,
    "CenterCropPad": _centered,
    "Col2Im": _folded,
    "GlobalLpPool": _pooled_whole,
    "Hardmax": _hardmax,
    "IsInf": _is_infinite,
    "IsNaN": _is_nan,
    "LRN": _local_response,
    "LpPool": _pooled,
    "MeanVarianceNormalization": _mean_variance,
    "Mod": _remainder,
    "ReduceProd": _product,
}
_MATRICES: dict[str, Callable[[ir.Node], ir.Value | None]] = {"Gemm": _gemm, "MatMul": _matrix_product}
