"""Rules of the convolutions: Core AI's have neither padding nor bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreai.lowering import Lowering, refuse
from clearport.graph.nodes import attr_int, attr_ints, attr_str, operand

if TYPE_CHECKING:
    import onnx_ir as ir

    Pads = tuple[int, int, int, int]


def conv(low: Lowering, node: ir.Node) -> Any:
    """Conv -> pad, conv2d, and the bias added."""
    _two_axes(low, node)
    top, left, bottom, right = pads_of(node)
    x = padded(low, low.var(node, 0), (top, left, bottom, right), 0.0)
    steps = (np.array(attr_ints(node, name, (1, 1)), np.uint32) for name in ("strides", "dilations"))
    return _biased(low, node, low.ops.conv2d(x, low.weight(node), *steps, np.uint32(attr_int(node, "group", 1))))


def conv_transpose(low: Lowering, node: ir.Node) -> Any:
    """ConvTranspose -> conv_transpose2d; for asymmetric padding, one without padding, then cropped."""
    _two_axes(low, node)
    top, left, bottom, right = pads_of(node)
    more = attr_ints(node, "output_padding", (0, 0))
    even = (top, left) == (bottom, right)
    if not even and (more[0] > bottom or more[1] > right):
        raise refuse(node, f"its output_padding {more} is larger than its padding {(bottom, right)}")
    numbers = (
        attr_ints(node, "strides", (1, 1)),
        (top, left) if even else (0, 0),
        attr_ints(node, "dilations", (1, 1)),
        more if even else (0, 0),
    )
    settings = (np.array(pair, np.uint32) for pair in numbers)
    groups = np.uint32(attr_int(node, "group", 1))
    y = low.ops.conv_transpose2d(low.var(node, 0), low.weight(node), *settings, groups)
    return _biased(low, node, y if even else _cut(low, node, y, (top, left, bottom - more[0], right - more[1])))


def _cut(low: Lowering, node: ir.Node, y: Any, edges: Pads) -> Any:
    """``y`` cropped by rows and columns at its edges."""
    top, left, bottom, right = edges
    height, width = y.type.shape[2:]
    if height < 0 or width < 0:
        raise refuse(node, "asymmetric padding needs a fixed size: export it for one size")
    ends = (*y.type.shape[:2], height - bottom, width - right)
    return low.ops.slice_(y, *(np.array(v, np.int32) for v in ((0, 0, top, left), ends, (1, 1, 1, 1))))


def _two_axes(low: Lowering, node: ir.Node) -> None:
    rank = len(low.var(node, 0).type.shape)
    if rank != 4:
        raise refuse(node, f"input rank {rank}: expected 4")


def _biased(low: Lowering, node: ir.Node, y: Any) -> Any:
    if operand(node, 2) is None:
        return y
    return low.ops.broadcasting_add(y, low.array(node, 2).reshape(1, -1, 1, 1))


def pads_of(node: ir.Node) -> Pads:
    """Top, left, bottom and right of a window's padding.

    Raises:
        UnsupportedOperator: they are not given in numbers.
    """
    if attr_str(node, "auto_pad", "NOTSET") != "NOTSET":
        raise refuse(node, "its pads must be explicit, not auto_pad")
    top, left, bottom, right = attr_ints(node, "pads", (0, 0, 0, 0))
    return top, left, bottom, right


def padded(low: Lowering, x: Any, pads: Pads, value: float, mode: str = "constant") -> Any:
    """``x`` with rows and columns around it."""
    top, left, bottom, right = pads
    if not any(pads):
        return x
    amounts = np.array([0, 0, 0, 0, top, bottom, left, right], np.uint32)
    return low.ops.pad(x, amounts, low.compute(value), mode)
