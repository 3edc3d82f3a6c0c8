"""Remedies for layers that a target or an accelerator does not support, from the operator's record and form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from clearport.graph import nodes as graphs
from clearport.graph.nodes import attr_str
from clearport.operators import table
from clearport.operators.layouts import DEPTH_TO_SPACE, SPACE_TO_DEPTH
from clearport.operators.movers import PAD
from clearport.quantize.ranges.constrain import is_copy

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.operators.record import Kind

    Test = Callable[[ir.Node], bool]

_MOST_AXES = 4

LEFT = "left-to-the-cpu"
"""The rule of layers without a more specific one."""


def advice(node: ir.Node | None) -> tuple[str, str]:
    """(rule, remedy) for an unsupported layer; None for a layer that exists only in a file."""
    if node is None:
        return LEFT, "remove the operator, or use another precision or accelerator"
    special = next(((rule, todo) for rule, todo, holds in _FORMS if holds(node)), None)
    return special or (LEFT, BY_KIND[table.of(node).kind])


def _reflects(node: ir.Node) -> bool:
    return node.op_type == PAD.name and attr_str(node, "mode", "constant") == "reflect"


def _repeats(node: ir.Node) -> bool:
    return node.op_type == PAD.name and attr_str(node, "mode", "constant") == "edge"


def wrong_order(node: ir.Node) -> bool:
    """Whether it is a convolution that the passes inserted to reorder channels, for a PixelShuffle or channel shuffle
    whose order the preceding layers could not produce.
    """
    follower = graphs.only_consumer(node.outputs[0])
    return is_copy(node) and follower is not None and table.of(follower).kind == "mover"


def many_axes(node: ir.Node) -> bool:
    """Whether an input or output has more axes than mobile runtimes support."""
    values = (*node.outputs, *(value for value in node.inputs if value is not None))
    return any(value.shape is not None and len(value.shape) > _MOST_AXES for value in values)


_FORMS: tuple[tuple[str, str, Test], ...] = (
    (
        "reflection-padding",
        "train with padding_mode='zeros', which is part of the convolution, or pad the picture once before the network",
        _reflects,
    ),
    (
        "edge-padding",
        "train with padding_mode='zeros', which is part of the convolution, or pad the picture once before the network",
        _repeats,
    ),
    (
        "shuffle-order",
        "put the PixelShuffle directly after a convolution, with only activations between them",
        wrong_order,
    ),
    (
        "many-axes",
        "use PixelShuffle, PixelUnshuffle or ChannelShuffle, or merge axes that move together",
        many_axes,
    ),
    (
        LEFT,
        "move it to the beginning or end of the network, where it splits nothing",
        lambda node: node.op_type in {DEPTH_TO_SPACE.name, SPACE_TO_DEPTH.name},
    ),
)
"""(rule, remedy, predicate of nodes): forms with more specific advice than their operators."""

BY_KIND: Mapping[Kind, str] = {
    "binary": "write it with additions and multiplications; a division by a constant is a multiplication, and one by "
    "a computed value can often be trained as one",
    "convolution": "write it as plain convolutions with groups, dilations and strides that all runtimes support",
    "matrix": "if one operand is constant, a 1x1 convolution is equivalent",
    "mover": "rearrange pixels by PixelShuffle, concatenations and slices of channels, on four axes",
    "normalization": "train with BatchNorm2d, which becomes part of the convolution before it",
    "other": "compute it outside the network, or train without it",
    "pool": "use strided convolutions, or pools without ceil_mode whose windows divide the picture",
    "quantization": "export the float network and let clearport quantize it",
    "reduction": "use AdaptiveAvgPool2d(1), or a strided convolution",
    "resize": "resize by a whole factor, mode nearest or bilinear with align_corners=False and antialias=False",
    "shape": "export for one size: --size HEIGHTxWIDTH",
    "unary": "use an activation that every runtime has in int8: ReLU, LeakyReLU, PReLU, Sigmoid or Tanh",
}
"""Remedy for an operator, by its record's kind."""
