"""Fold constants and drop what does nothing.

Given: a graph as the exporter wrote it: shapes computed by nodes, constants cast at run time, biases of zeros that are
computed, batch normalisation, Identity, ``x + 0``, a Pad before a Conv, doubled clamps, equal subexpressions.
Result: constants are initializers, batch normalisation and zero padding are inside the convolutions, dead and
doubled nodes are gone. All of it is onnxscript's optimizer.
"""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import optimizer

from clearport import graphs
from clearport.base import Graph

_FOLDABLE = 1 << 24
"""Bytes up to which an operand is folded: above onnxscript's default, which is smaller than a large kernel."""


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    folded = graphs.clone(graph)
    optimizer.optimize_ir(folded.model, input_size_limit=_FOLDABLE, output_size_limit=_FOLDABLE)
    for value in folded.model.graph.initializers.values():
        _own(value)
    return folded


def _own(value: ir.Value) -> None:
    """Give an initializer a plain tensor of its own name, whatever class of tensor the optimizer left in it."""
    array = graphs.constant(value)
    assert array is not None
    value.const_value = ir.tensor(array, name=value.name)
