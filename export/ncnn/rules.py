"""ONNX operator -> the function that writes it as ncnn layers; an operator without a line here is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clearport.export.ncnn import conv, elementwise, spatial
from clearport.export.ncnn.lower import TARGET_NAME, Lowering, layer_of
from clearport.export.ncnn.resize import resize
from clearport.export.without_rule import unknown
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

RULES: dict[str, Callable[[Lowering, ir.Node], object]] = {
    "Abs": elementwise.unary,
    "Add": elementwise.binary,
    "AveragePool": spatial.pool,
    "Ceil": elementwise.unary,
    "Clip": elementwise.clamp,
    "Concat": spatial.concat,
    "Conv": conv.convolution,
    "ConvTranspose": conv.transposed,
    "DepthToSpace": spatial.shuffle,
    "Div": elementwise.binary,
    "Erf": elementwise.plainly("Erf"),
    "Exp": elementwise.unary,
    "Floor": elementwise.unary,
    "Gelu": elementwise.gelu,
    "GlobalAveragePool": spatial.reduce,
    "GlobalMaxPool": spatial.reduce,
    "HardSwish": elementwise.hard_swish,
    "LayerNormalization": conv.layer_norm,
    "LeakyRelu": elementwise.leaky_relu,
    "Log": elementwise.unary,
    "MatMul": conv.matmul,
    "Max": elementwise.binary,
    "MaxPool": spatial.pool,
    "Min": elementwise.binary,
    "Mul": elementwise.binary,
    "Neg": elementwise.unary,
    "PRelu": elementwise.prelu,
    "Pad": spatial.pad,
    "Pow": elementwise.binary,
    "Reciprocal": elementwise.unary,
    "ReduceMax": spatial.reduce,
    "ReduceMean": spatial.reduce,
    "ReduceMin": spatial.reduce,
    "ReduceSum": spatial.reduce,
    "Relu": elementwise.clamp,
    "Reshape": conv.reshape,
    "Resize": resize,
    "Sigmoid": elementwise.plainly("Sigmoid"),
    "Slice": spatial.cut,
    "Softmax": conv.softmax,
    "SpaceToDepth": spatial.shuffle,
    "Sqrt": elementwise.unary,
    "Squeeze": conv.reshape,
    "Sub": elementwise.binary,
    "Tanh": elementwise.plainly("TanH"),
    "Transpose": spatial.transpose,
    "Unsqueeze": conv.reshape,
}


def write(low: Lowering, node: ir.Node) -> None:
    """Write one node, unless it computes sizes (Resize reads those from the graph) or is done already.

    Raises:
        UnsupportedOperator: there is no rule, or none for this use of the operator.
    """
    if node.op_type == "Constant" or low.absorbed(node) or _computes_sizes(node):
        return
    if node.domain not in {"", "ai.onnx"} or node.op_type not in RULES:
        raise unknown(TARGET_NAME, node, layer_of(node))
    RULES[node.op_type](low, node)


def _computes_sizes(node: ir.Node) -> bool:
    """Whether the node is part of what tells Resize a size: Shape, and what joins shapes."""
    if node.op_type == "Shape":
        return True
    parts = [graphs.producer(value) for value in node.inputs if value is not None and graphs.constant(value) is None]
    return (
        node.op_type == "Concat" and bool(parts) and all(part is not None and _computes_sizes(part) for part in parts)
    )
