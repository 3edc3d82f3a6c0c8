"""Rules of the convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clearport.export.coreml import spatial
from clearport.export.coreml.lowering import Lowering, refuse
from clearport.graph.nodes import attr_int, attr_ints

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
