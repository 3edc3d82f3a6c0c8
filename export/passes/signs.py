"""Detection of nonnegative values, from their producers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

_NEVER = frozenset(
    {
        "Abs",
        "ArgMax",
        "ArgMin",
        "Exp",
        "HardSigmoid",
        "ReduceL1",
        "ReduceL2",
        "Relu",
        "Sigmoid",
        "Softmax",
        "Softplus",
        "Sqrt",
    }
)
_IF_ALL_ARE = frozenset({"Add", "Concat", "Div", "Min", "Mul", "Sum"})
_MOVES = frozenset({"DepthToSpace", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile"})
_TURNS = frozenset({"Pad", "Transpose", "Unsqueeze"})
_ROUNDS = frozenset({"Cast", "Ceil", "Floor", "Round"})
_POOLS = frozenset({"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"})
_REDUCES = frozenset({"ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"})
_OF_THE_FIRST = _MOVES | _TURNS | _ROUNDS | _POOLS | _REDUCES
_DEPTH = 16
"""Operators that preserve the sign."""


def never_negative(value: ir.Value, depth: int = _DEPTH) -> bool:
    """Whether a value is at least 0 for any picture; False if unknown.

    Integer inputs are classes or tokens, which are nonnegative.
    """
    held, node = graphs.constant(value), graphs.producer(value)
    if held is not None:
        return bool((held >= 0).all())
    if node is None:
        return value.dtype is not None and value.dtype.is_integer()
    if node.op_type == "TopK":
        return value is node.outputs[1]
    return depth > 0 and _gives_none(node, depth - 1)


def _gives_none(node: ir.Node, depth: int) -> bool:
    """Whether an operator's output is nonnegative."""
    clamp, operands = graphs.clamp_of(node), [each for each in node.inputs if each is not None]
    if node.op_type in _NEVER or (clamp is not None and clamp.lo >= 0):
        return True
    if node.op_type == "Mul" and operands[0] is operands[1]:
        return True
    if node.op_type == "Max":
        return any(never_negative(each, depth) for each in operands)
    if node.op_type == "Where":
        return all(never_negative(each, depth) for each in operands[1:])
    if node.op_type in _IF_ALL_ARE:
        return all(never_negative(each, depth) for each in operands)
    fill = graphs.operand(node, 2) if node.op_type == "Pad" else None
    read = [operands[0], *([] if fill is None else [fill])]
    return node.op_type in _OF_THE_FIRST and all(never_negative(each, depth) for each in read)
