"""ONNX operator -> MIL: one rule each, in one table. An operator without a rule is an error that names its layer.

A rule gets the ``Lowering``, the node and the name of its result, and returns the MIL variable. ``since`` tells the
first iOS whose operator set has what the rule writes for a node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clearport.export.coreml import elementwise, matrix, spatial
from clearport.export.coreml import resize as resizes
from clearport.export.coreml.elementwise import binary, unary
from clearport.export.coreml.lowering import Lowering, refuse
from clearport.export.without_rule import unknown
from clearport.graph.nodes import attr_int, attr_ints, operand

if TYPE_CHECKING:
    import onnx_ir as ir


def conv(low: Lowering, node: ir.Node, name: str) -> Any:
    """Conv -> conv. Pads are (top, bottom, left, right) in MIL and (top, left, bottom, right) in ONNX."""
    return low.mb.conv(
        x=low.var(node, 0),
        weight=low.weight(node),
        **spatial.bias(low, node),
        **spatial.window(node),
        dilations=attr_ints(node, "dilations", (1, 1)),
        groups=attr_int(node, "group", 1),
        name=name,
    )


def conv_transpose(low: Lowering, node: ir.Node, name: str) -> Any:
    """ConvTranspose -> conv_transpose. Output padding is taken off the padding at the end, which crops the result."""
    settings = spatial.window(node)
    top, bottom, left, right = settings["pad"]
    more = attr_ints(node, "output_padding", (0, 0))
    if more[0] > bottom or more[1] > right:
        raise refuse(node, f"its output_padding {more} is larger than its padding {(bottom, right)}")
    settings["pad"] = (top, bottom - more[0], left, right - more[1])
    return low.mb.conv_transpose(
        x=low.var(node, 0),
        weight=low.weight(node),
        **spatial.bias(low, node),
        **settings,
        dilations=attr_ints(node, "dilations", (1, 1)),
        groups=attr_int(node, "group", 1),
        name=name,
    )


def concat(low: Lowering, node: ir.Node, name: str) -> Any:
    """Concat -> concat."""
    parts = tuple(low.var(node, i) for i in range(len(node.inputs)))
    return low.mb.concat(values=parts, axis=attr_int(node, "axis", 1), name=name)


@dataclass(frozen=True)
class Rule:
    """How one operator is written. ``moves_data``: every number it gives is one that it took, so no rounding is due."""

    write: Callable[[Lowering, ir.Node, str], Any]
    since: Callable[[ir.Node], int] = lambda _: 15
    moves_data: bool = False


RULES: dict[str, Rule] = {
    "Abs": Rule(unary("abs")),
    "Add": Rule(binary("add")),
    "AveragePool": Rule(spatial.average_pool),
    "Clip": Rule(elementwise.clip),
    "Concat": Rule(concat, moves_data=True),
    "Conv": Rule(conv),
    "ConvTranspose": Rule(conv_transpose),
    "DepthToSpace": Rule(spatial.depth_to_space, moves_data=True),
    "Div": Rule(binary("real_div")),
    "Erf": Rule(unary("erf")),
    "Exp": Rule(unary("exp")),
    "Expand": Rule(matrix.expand, moves_data=True),
    "Gelu": Rule(elementwise.gelu),
    "GlobalAveragePool": Rule(matrix.global_pool("reduce_mean")),
    "GlobalMaxPool": Rule(matrix.global_pool("reduce_max"), moves_data=True),
    "HardSwish": Rule(elementwise.hard_swish),
    "LayerNormalization": Rule(matrix.layer_norm),
    "LeakyRelu": Rule(elementwise.leaky_relu),
    "Log": Rule(elementwise.log),
    "MatMul": Rule(matrix.matmul),
    "Max": Rule(binary("maximum")),
    "MaxPool": Rule(spatial.max_pool, moves_data=True),
    "Min": Rule(binary("minimum")),
    "Mul": Rule(binary("mul")),
    "Neg": Rule(elementwise.neg),
    "PRelu": Rule(elementwise.prelu),
    "Pad": Rule(spatial.pad, moves_data=True),
    "Pow": Rule(binary("pow")),
    "ReduceMax": Rule(matrix.reduction("reduce_max"), moves_data=True),
    "ReduceMean": Rule(matrix.reduction("reduce_mean")),
    "ReduceMin": Rule(matrix.reduction("reduce_min"), moves_data=True),
    "ReduceSum": Rule(matrix.reduction("reduce_sum")),
    "Relu": Rule(unary("relu")),
    "Reshape": Rule(matrix.reshape, moves_data=True),
    "Resize": Rule(resizes.resize, since=resizes.first_ios),
    "Shape": Rule(matrix.shape_of),
    "Sigmoid": Rule(unary("sigmoid")),
    "Slice": Rule(spatial.slice_, moves_data=True),
    "Softmax": Rule(matrix.softmax),
    "SpaceToDepth": Rule(spatial.space_to_depth, moves_data=True),
    "Sqrt": Rule(unary("sqrt")),
    "Squeeze": Rule(matrix.squeeze, moves_data=True),
    "Sub": Rule(binary("sub")),
    "Tanh": Rule(unary("tanh")),
    "Tile": Rule(matrix.tile, moves_data=True),
    "Transpose": Rule(matrix.transpose, moves_data=True),
    "Unsqueeze": Rule(matrix.unsqueeze, moves_data=True),
}


def rule_for(node: ir.Node) -> Rule:
    """The rule of an operator.

    Raises:
        UnsupportedOperator: there is none.
    """
    if node.op_type not in RULES or node.domain not in {"", "ai.onnx"}:
        raise unknown("coreml", node, node.name or operand_name(node))
    return RULES[node.op_type]


def operand_name(node: ir.Node) -> str:
    """A name for a node that has none: that of what it writes, else of what it reads."""
    first = node.outputs[0] if node.outputs else operand(node, 0)
    return (first.name if first is not None else None) or "?"
