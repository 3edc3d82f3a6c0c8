"""ncnn rules: comparisons, logic and choices, by arithmetic, since ncnn has none of them.

Booleans are 0 or 1. A comparison scales the difference up and clamps it to 0 or 1, in steps that stay within float16;
values less than 2e-12 apart count as equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export.ncnn.lower import Lowering, refuse
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

_ADD, _SUB, _MUL, _MAX, _TURNED_SUB = 0, 1, 2, 4, 7
"""``BinaryOp``'s own numbers."""
_ABS, _TRUNCATED = 0, 19
"""``UnaryOp``'s own numbers."""
_STEPS, _FACTOR = 3, 8192.0


def greater(low: Lowering, node: ir.Node) -> None:
    """a > b: 1 where a - b is above 0."""
    low.bind(node, _above(low, node, (0, 1)))


def less(low: Lowering, node: ir.Node) -> None:
    """a < b."""
    low.bind(node, _above(low, node, (1, 0)))


def not_less(low: Lowering, node: ir.Node) -> None:
    """a >= b: not a < b."""
    _write_other(low, node, _above(low, node, (1, 0)))


def not_greater(low: Lowering, node: ir.Node) -> None:
    """a <= b: not a > b."""
    _write_other(low, node, _above(low, node, (0, 1)))


def equal(low: Lowering, node: ir.Node) -> None:
    """a == b: not |a - b| > 0."""
    apart = low.between(node, "apart", "BinaryOp", _operands(low, node, (0, 1)), {0: _SUB})
    _write_other(low, node, _grown(low, node, low.between(node, "far", "UnaryOp", [apart], {0: _ABS}), 0.0))


def both(low: Lowering, node: ir.Node) -> None:
    """And -> a product."""
    low.write(node, "BinaryOp", _operands(low, node, (0, 1)), {0: _MUL})


def either(low: Lowering, node: ir.Node) -> None:
    """Or -> max."""
    low.write(node, "BinaryOp", _operands(low, node, (0, 1)), {0: _MAX})


def one_of_two(low: Lowering, node: ir.Node) -> None:
    """Xor -> |a - b|."""
    apart = low.between(node, "apart", "BinaryOp", _operands(low, node, (0, 1)), {0: _SUB})
    low.write(node, "UnaryOp", [apart], {0: _ABS})


def negation(low: Lowering, node: ir.Node) -> None:
    """Not -> 1 - a."""
    _write_other(low, node, low.blob(node))


def where(low: Lowering, node: ir.Node) -> None:
    """Where -> a * c + b * (1 - c), right where both sides are finite."""
    chosen, yes, no = _operands(low, node, (0, 1, 2))
    other = low.between(node, "other", "BinaryOp", [chosen], {0: _TURNED_SUB, 1: 1, 2: 1.0})
    first = low.between(node, "first", "BinaryOp", [yes, chosen], {0: _MUL})
    second = low.between(node, "second", "BinaryOp", [no, other], {0: _MUL})
    low.write(node, "BinaryOp", [first, second], {0: _ADD})


def sign(low: Lowering, node: ir.Node) -> None:
    """Sign -> the value scaled up and clamped to -1, 0 and 1."""
    low.bind(node, _grown(low, node, low.blob(node), -1.0))


def cast(low: Lowering, node: ir.Node) -> None:
    """Cast -> nothing, since all blobs are float; truncation if the result is an integer."""
    given, wanted = graphs.need(node, 0).dtype, node.outputs[0].dtype
    if given is None or wanted is None or wanted.name == "BOOL" != given.name:
        raise refuse(node, f"from {given} to {wanted}: ncnn has floating-point values only")
    if given.is_floating_point() and wanted.is_integer():
        low.write(node, "UnaryOp", [low.blob(node)], {0: _TRUNCATED})
        return
    low.bind(node, low.blob(node))


def _operands(low: Lowering, node: ir.Node, indices: tuple[int, ...]) -> list[str]:
    rank = len(low.dims(node.outputs[0]))
    return [low.operand(node, index, rank) for index in indices]


def _above(low: Lowering, node: ir.Node, indices: tuple[int, int]) -> str:
    return _grown(low, node, low.between(node, "apart", "BinaryOp", _operands(low, node, indices), {0: _SUB}), 0.0)


def _grown(low: Lowering, node: ir.Node, blob: str, lowest: float) -> str:
    for step in range(_STEPS):
        large = low.between(node, f"large{step}", "BinaryOp", [blob], {0: _MUL, 1: 1, 2: _FACTOR})
        blob = low.between(node, f"cut{step}", "Clip", [large], {0: lowest, 1: 1.0})
    return blob


def _write_other(low: Lowering, node: ir.Node, blob: str) -> None:
    low.write(node, "BinaryOp", [blob], {0: _TURNED_SUB, 1: 1, 2: 1.0})
