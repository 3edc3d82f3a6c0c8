"""Make the pads of transposed convolutions explicit, since few runtimes derive them from other attributes.

Given: ConvTranspose with ``auto_pad``, as TensorFlow's SAME becomes, or with ``output_shape``.
Result: explicit pads, and output padding if the output is larger than the taps reach. The values are ONNX Runtime's,
which crops the odd pixel at the end for SAME_UPPER, otherwise at the beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from clearport.errors import BadInput
from clearport.export.passes.rewriting import rank, sizes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Graph


@dataclass(frozen=True)
class _Axis:
    """One spatial axis: its length (None: dynamic), stride, kernel extent, and output padding."""

    length: int | None
    stride: int
    reach: int
    more: int


def run(graph: Graph) -> Graph:
    """Given and result: see the module.

    Raises:
        BadInput: the pads follow from a size that is not known.
    """
    if not any(_is_implicit(node) for node in graph.model.graph):
        return graph
    result = graphs.clone(graph)
    for node in result.model.graph:
        if _is_implicit(node):
            _write_out(node)
    return result


def _is_implicit(node: ir.Node) -> bool:
    automatic = graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET"
    return node.op_type == "ConvTranspose" and (automatic or "output_shape" in node.attributes)


def _write_out(node: ir.Node) -> None:
    kernel = graphs.constant(graphs.need(node, 1))
    if kernel is None:
        return
    count, mode = rank(graphs.need(node, 0)) - 2, graphs.attr_str(node, "auto_pad", "NOTSET")
    ones, none = (1,) * count, (0,) * count
    strides, dilations = (graphs.attr_ints(node, name, ones) for name in ("strides", "dilations"))
    more = graphs.attr_ints(node, "output_padding", none)
    lengths = (sizes(graphs.need(node, 0)) or (None,) * (2 + count))[2:]
    axes = [
        _Axis(n if isinstance(n, int) else None, strides[k], (kernel.shape[2 + k] - 1) * dilations[k] + 1, more[k])
        for k, n in enumerate(lengths)
    ]
    wanted = graphs.attr_ints(node, "output_shape", ())[-count:]
    if not wanted and mode == "VALID":
        pads = [(0, 0, axis.more) for axis in axes]
    else:
        pads = [_shared(node, axis, wanted[k] if wanted else None, mode) for k, axis in enumerate(axes)]
    for name in ("auto_pad", "output_shape"):
        node.attributes.pop(name, None)
    node.attributes["pads"] = ir.AttrInt64s("pads", [p[0] for p in pads] + [p[1] for p in pads])
    node.attributes["output_padding"] = ir.AttrInt64s("output_padding", [p[2] for p in pads])


def _shared(node: ir.Node, axis: _Axis, wanted: int | None, mode: str) -> tuple[int, int, int]:
    """Pads at both ends, and output padding."""
    if wanted is None:
        total = max(0, axis.reach + axis.more - axis.stride)
        lacking = 0
    else:
        if axis.length is None:
            layer = node.name or graphs.name_of(node.outputs[0])
            raise BadInput(f"ConvTranspose {layer!r}: its output_shape needs a fixed size: give --size HEIGHTxWIDTH")
        natural = (axis.length - 1) * axis.stride + axis.more + axis.reach
        total, lacking = max(0, natural - wanted), max(0, wanted - natural)
    half = total // 2
    before = half if mode == "SAME_UPPER" else total - half
    return before, total - before, axis.more + lacking
