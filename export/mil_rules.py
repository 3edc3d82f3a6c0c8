"""ONNX operator -> MIL: one rule each, in one table. An operator without a rule is an error that names its layer.

A rule gets the ``Lowering``, the node and the name of its result, and returns the MIL variable. ``since`` is the
first iOS whose operator set has what the rule writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.base import UnsupportedOperator
from clearport.export import mil_spatial as spatial
from clearport.export.mil_lowering import Lowering, refuse
from clearport.graphs import attr_float, attr_int, attr_ints, attr_str, clamp_of, operand

if TYPE_CHECKING:
    import onnx_ir as ir


def conv(low: Lowering, node: ir.Node, name: str) -> Any:
    """Conv -> conv. Pads are (top, bottom, left, right) in MIL and (top, left, bottom, right) in ONNX."""
    return low.mb.conv(
        x=low.var(node, 0),
        weight=low.weight(node, axis=0),
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
        weight=low.weight(node, axis=1),
        **spatial.bias(low, node),
        **settings,
        dilations=attr_ints(node, "dilations", (1, 1)),
        groups=attr_int(node, "group", 1),
        name=name,
    )


def clip(low: Lowering, node: ir.Node, name: str) -> Any:
    """Clip -> clip, or the half of it that has a finite bound."""
    clamp = clamp_of(node)
    if clamp is None:
        raise refuse(node, "its bounds must be constants")
    x, lo, hi = low.var(node, 0), clamp.lo, clamp.hi
    if math.isinf(lo) and math.isinf(hi):
        return low.mb.identity(x=x, name=name)
    if math.isinf(hi):
        return low.mb.maximum(x=x, y=low.fit(node, lo), name=name)
    if math.isinf(lo):
        return low.mb.minimum(x=x, y=low.fit(node, hi), name=name)
    return low.mb.clip(x=x, alpha=low.fit(node, lo), beta=low.fit(node, hi), name=name)


def unary(mil_name: str) -> Callable[[Lowering, ir.Node, str], Any]:
    """The rule of an operator with one input and no settings."""

    def rule(low: Lowering, node: ir.Node, name: str) -> Any:
        return getattr(low.mb, mil_name)(x=low.var(node, 0), name=name)

    return rule


def binary(mil_name: str) -> Callable[[Lowering, ir.Node, str], Any]:
    """The rule of an elementwise operator with two inputs, which broadcast."""

    def rule(low: Lowering, node: ir.Node, name: str) -> Any:
        return getattr(low.mb, mil_name)(x=low.var(node, 0), y=low.var(node, 1), name=name)

    return rule


def leaky_relu(low: Lowering, node: ir.Node, name: str) -> Any:
    """LeakyRelu -> leaky_relu."""
    slope = low.fit(node, attr_float(node, "alpha", 0.01))
    return low.mb.leaky_relu(x=low.var(node, 0), alpha=slope, name=name)


def prelu(low: Lowering, node: ir.Node, name: str) -> Any:
    """PRelu -> prelu with one slope per channel; one slope for all is repeated."""
    x, slope = low.var(node, 0), low.array(node, 1)
    channels = x.shape[1]
    if slope.size not in {1, channels} or (slope.ndim >= 3 and slope.shape[-3] != slope.size):
        raise refuse(node, f"slopes of shape {slope.shape} are not one per channel")
    return low.mb.prelu(x=x, alpha=np.resize(slope.reshape(-1), channels), name=name)


def depth_to_space(low: Lowering, node: ir.Node, name: str) -> Any:
    """DepthToSpace DCR -> depth_to_space (TensorFlow's order); CRD -> pixel_shuffle (PyTorch's)."""
    x, block = low.var(node, 0), attr_int(node, "blocksize", 0)
    if attr_str(node, "mode", "DCR") == "CRD":
        return low.mb.pixel_shuffle(x=x, upscale_factor=block, name=name)
    return low.mb.depth_to_space(x=x, block_size=block, name=name)


def concat(low: Lowering, node: ir.Node, name: str) -> Any:
    """Concat -> concat."""
    parts = tuple(low.var(node, i) for i in range(len(node.inputs)))
    return low.mb.concat(values=parts, axis=attr_int(node, "axis", 1), name=name)


@dataclass(frozen=True)
class Rule:
    """How one operator is written. ``moves_data``: every number it gives is one that it took, so no rounding is due."""

    write: Callable[[Lowering, ir.Node, str], Any]
    since: int = 15
    moves_data: bool = False


RULES: dict[str, Rule] = {
    "Add": Rule(binary("add")),
    "AveragePool": Rule(spatial.average_pool),
    "Clip": Rule(clip),
    "Concat": Rule(concat, moves_data=True),
    "Conv": Rule(conv),
    "ConvTranspose": Rule(conv_transpose),
    "DepthToSpace": Rule(depth_to_space, moves_data=True),
    "GlobalAveragePool": Rule(spatial.global_average_pool),
    "LeakyRelu": Rule(leaky_relu),
    "MaxPool": Rule(spatial.max_pool, moves_data=True),
    "Mul": Rule(binary("mul")),
    "PRelu": Rule(prelu),
    "Pad": Rule(spatial.pad, moves_data=True),
    "Relu": Rule(unary("relu")),
    "Resize": Rule(spatial.resize),
    "Sigmoid": Rule(unary("sigmoid")),
    "Slice": Rule(spatial.slice_, moves_data=True),
    "Sub": Rule(binary("sub")),
    "Tanh": Rule(unary("tanh")),
}


def rule_for(node: ir.Node) -> Rule:
    """The rule of an operator.

    Raises:
        UnsupportedOperator: there is none.
    """
    if node.op_type not in RULES or node.domain not in {"", "ai.onnx"}:
        raise UnsupportedOperator("coreml", node.op_type, node.name or operand_name(node))
    return RULES[node.op_type]


def operand_name(node: ir.Node) -> str:
    """A name for a node that has none: that of what it writes, else of what it reads."""
    first = node.outputs[0] if node.outputs else operand(node, 0)
    return (first.name if first is not None else None) or "?"
