"""Equivalent forms of operators that OpenVINO computes differently from ONNX Runtime (``quirks.openvino``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from clearport.errors import UnsupportedOperator
from clearport.export import resampling
from clearport.export.passes.rewriting import constant, insert, sizes, substitute
from clearport.export.quirks import openvino as known
from clearport.export.quirks.table import Quirk, of
from clearport.graph import nodes as graphs
from clearport.operators.binary import MAX, MIN
from clearport.operators.index import GATHER
from clearport.operators.matrix import MATMUL
from clearport.operators.quantization import QUANTIZE

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array

TARGET_NAME = "openvino"


def rewritten(model: ir.Model) -> ir.Model:
    """Replace the operators that OpenVINO is known to compute differently, in place.

    Raises:
        UnsupportedOperator: an operator has no form that OpenVINO computes correctly.
    """
    for node in tuple(model.graph):
        quirk = of(node, known.QUIRKS)
        if quirk is not None:
            _FORMS.get(quirk.name, _refused)(node, quirk)
    return model


def as_matrices(node: ir.Node, quirk: Quirk) -> None:
    """Resize -> two products with ONNX Runtime's interpolation matrices for rows and columns."""
    rows, columns = (resampling.weights(node, 2 + i, n) for i, n in enumerate(_sides(node, quirk)))
    source = graphs.need(node, 0)
    shape = sizes(source) or ()
    taller = insert(
        node, MATMUL.name, [constant(node, "rows", rows[None, None]), source], (*shape[:2], len(rows), shape[3])
    )
    result = insert(node, MATMUL.name, [taller, constant(node, "columns", columns.T.copy())], sizes(node.outputs[0]))
    _replace(node, taller, result)


def as_limits(node: ir.Node, quirk: Quirk) -> None:
    """Clip of int8 values -> Max and Min, unless the ranges of its int8 input and output imply them.

    Both together would be a clamp again.
    """
    del quirk
    value = graphs.need(node, 0)
    given, shape = value.producer(), sizes(value)
    readers = [reader for reader, _ in node.outputs[0].uses()]
    grids = [given, *(readers if {reader.op_type for reader in readers} == {QUANTIZE.name} else ())]
    for index, operator in ((1, MAX.name), (2, MIN.name)):
        bound = graphs.scalar(graphs.operand(node, index))
        if bound is not None and all(_inside(bound, grid) for grid in grids if grid is not None):
            limit = constant(node, operator.lower(), np.array(bound, np.float32))
            value = insert(node, operator, [value, limit], shape)
            value.name = f"{graphs.name_of(node.outputs[0])}.{operator.lower()}ed"
    substitute(node, value)


def _inside(bound: float, grid: ir.Node) -> bool:
    """Whether a bound lies within the range of an int8 tensor, whose QuantizeLinear or DequantizeLinear is given."""
    scale, zero = (float(graphs.need_constant(grid, index)) for index in (1, 2))
    return 0 < round(bound / scale + zero) < _HIGHEST


_HIGHEST = 255
"""The highest level of int8 values (as uint8)."""


def as_gathers(node: ir.Node, quirk: Quirk) -> None:
    """Nearest Resize -> Gathers of rows and columns, with ONNX Runtime's indices."""
    rows, columns = (resampling.places(node, 2 + i, n).astype(int) for i, n in enumerate(_sides(node, quirk)))
    source = graphs.need(node, 0)
    shape = sizes(source) or ()
    taller = _gathered(node, source, rows, 2, (*shape[:2], len(rows), shape[3]))
    _replace(node, taller, _gathered(node, taller, columns, 3, sizes(node.outputs[0])))


def _gathered(
    node: ir.Node, source: ir.Value, picked: Array, axis: int, shape: tuple[int | str, ...] | None
) -> ir.Value:
    indices = constant(node, "rows" if axis == 2 else "columns", picked.tolist())
    return insert(node, GATHER.name, [source, indices], shape, {"axis": axis})


def _replace(node: ir.Node, first: ir.Value, second: ir.Value) -> None:
    name = graphs.name_of(node.outputs[0])
    first.name, second.name = f"{name}.taller", f"{name}.wider"
    for value, part in ((first, "rows"), (second, "columns")):
        made = value.producer()
        assert made is not None
        made.name = f"{node.name}.{part}"
    substitute(node, second)


def _sides(node: ir.Node, quirk: Quirk) -> tuple[int, int]:
    given = graphs.need(node, 0).shape
    height, width = (None, None) if given is None else given[2:4]
    if not (isinstance(height, int) and isinstance(width, int)):
        raise _refusal(node, quirk, "at a free size: give --size HEIGHTxWIDTH")
    if not resampling.known(node):
        raise _refusal(node, quirk, "where other axes change, or its numbers are computed")
    return height, width


def _refused(node: ir.Node, quirk: Quirk) -> None:
    raise _refusal(node, quirk, "")


def _refusal(node: ir.Node, quirk: Quirk, where: str) -> UnsupportedOperator:
    why = f"{quirk.form}, OpenVINO gives {quirk.instead} ({quirk.seen})"
    layer = node.name or graphs.name_of(node.outputs[0])
    return UnsupportedOperator(TARGET_NAME, node.op_type, layer, f"{why} {where}".strip())


_FORMS: dict[str, Callable[[ir.Node, Quirk], None]] = {
    known.ANTIALIAS.name: as_matrices,
    known.EXCLUDE_OUTSIDE.name: as_matrices,
    known.KEPT_SIDE.name: as_matrices,
    known.NEAREST_BORDERS.name: as_gathers,
    known.CUT_BOUNDS.name: as_limits,
}
