"""Decompose pads that few targets support.

Given: Pad with negative amounts, Pad in mode wrap. Result: Slice before the remaining Pad; Concat of the picture with
its opposite ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.plain.picks import picked
from clearport.export.passes.rewriting import constant, each_float, fixed, insert
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Graph


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    return each_float(graph, {"Pad": _pad})


def _pad(node: ir.Node) -> ir.Value | None:
    source, given, named = (
        graphs.need(node, 0),
        graphs.constant(graphs.need(node, 1)),
        graphs.constant(graphs.operand(node, 3)),
    )
    shape, mode = fixed(source), graphs.attr_str(node, "mode", "constant")
    if shape is None or given is None or (mode != "wrap" and (given >= 0).all()):
        return None
    amounts = np.zeros((2, len(shape)), int)
    amounts[:, range(len(shape)) if named is None else named.astype(int)] = given.reshape(2, -1)
    value: ir.Value | None = source
    for axis, (before, after) in enumerate(amounts.T.tolist()):
        places = list(range(max(0, -before), shape[axis] - max(0, -after)))
        if not places:
            return None
        value = None if value is None else picked(node, value, axis, places)
        if mode == "wrap" and value is not None:
            amounts[:, axis] = 0
            value = _wrapped(node, value, axis, max(0, before), max(0, after))
    if value is None or not (amounts > 0).any():
        return value
    more = constant(node, "pads", np.maximum(amounts, 0).reshape(-1).tolist())
    return insert(node, "Pad", [value, more, *node.inputs[2:3]], fixed(node.outputs[0]), {"mode": mode})


def _wrapped(node: ir.Node, value: ir.Value, axis: int, before: int, after: int) -> ir.Value | None:
    """The end prepended and the beginning appended; None if the pad is larger than the picture."""
    shape = fixed(value) or ()
    length = shape[axis]
    if max(before, after) > length:
        return None
    ends = (range(length - before, length), range(after))
    first, last = (picked(node, value, axis, list(end)) if len(end) else None for end in ends)
    parts = [part for part in (first, value, last) if part is not None]
    after_ = (*shape[:axis], length + before + after, *shape[axis + 1 :])
    return value if len(parts) == 1 else insert(node, "Concat", parts, after_, {"axis": axis})
