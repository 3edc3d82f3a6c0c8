"""Deviations of Core AI's runtime for Linux from ONNX (see ``table.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export.quirks.table import Quirk
from clearport.graph.nodes import need
from clearport.operators.layouts import RESHAPE, SQUEEZE, UNSQUEEZE
from clearport.operators.matrix import MATMUL

if TYPE_CHECKING:
    import onnx_ir as ir

_VIEWS = frozenset({RESHAPE.name, SQUEEZE.name, UNSQUEEZE.name})


def _reshaped(node: ir.Node) -> bool:
    maker = need(node, 1).producer()
    return maker is not None and maker.op_type in _VIEWS


RESHAPED_MATRIX = Quirk(
    "products with a reshaped matrix",
    "coreai-core 1.0.0b3",
    MATMUL.name,
    "a second matrix of 8 rows and 64, 96 or 128 columns that comes from a reshape",
    "numbers that have nothing to do with the product",
    "rewritten",
    "export/coreai/matrix.py: matmul multiplies the matrix by one first, whatever its size",
    _reshaped,
)

QUIRKS = (RESHAPED_MATRIX,)
