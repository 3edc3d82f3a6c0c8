"""Ranges of inputs that hold whole numbers: the rows of the table that a class or a step chooses from.

Proofs and calibration draw inputs within their range, so that all rows are tried and not the first two alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.errors import ClearportError
from clearport.graph import nodes as graphs
from clearport.operators.choices import CAST
from clearport.operators.index import GATHER
from clearport.operators.waves import ROUND

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clearport.base import Graph, Size, TensorSpec
    from clearport.pipeline.sources.contract import Ends
    from clearport.pipeline.sources.measure import Candidate

_NUMBERS = frozenset({ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL})
_UNKNOWN = "assumed: 0 to 1, so that other values are not tried"


def with_rows(
    candidate: Candidate, graph: Graph, size: Size, declared: Sequence[Ends]
) -> tuple[tuple[TensorSpec, ...], dict[str, str]]:
    """The inputs with the ranges of whole numbers, and what each is based on, in words.

    Args:
        candidate: the network.
        graph: its graph for pictures of ``size``.
        size: what it is tried at.
        declared: what the contract says of inputs, which is kept.
    """
    said = {end.name for end in declared if end.range is not None}
    values = {value.name: value for value in graph.model.graph.inputs}
    found, how = [], {}
    for spec in candidate.inputs:
        given, value = spec, values[spec.name]
        if not spec.is_picture and spec.name not in said and _is_whole(value):
            most = min(_rows(value), default=0) - 1
            known = most > 0 and _accepts(candidate, spec.name, most, size)
            given = replace(spec, value_range=(0.0, float(most))) if known else spec
            how[f"range of {spec.name}"] = f"it chooses one of {most + 1} rows" if known else _UNKNOWN
        found.append(given)
    return tuple(found), how


def _is_whole(value: ir.Value) -> bool:
    """Whether an input is rounded to whole numbers first."""
    nodes = graphs.consumers(value)
    rounded = [node for node in nodes if node.op_type == ROUND.name]
    return bool(nodes) and len(rounded) == len(nodes) and all(_numbers(node.outputs[0]) for node in rounded)


def _numbers(value: ir.Value) -> list[ir.Value]:
    """The conversions of a value to whole numbers."""
    cast = [node.outputs[0] for node in graphs.consumers(value) if node.op_type == CAST.name]
    return [made for made in cast if made.dtype in _NUMBERS]


def _rows(value: ir.Value) -> Iterator[int]:
    """The length of each axis along which whole numbers computed from an input choose."""
    pending = [made for node in graphs.consumers(value) for made in _numbers(node.outputs[0])]
    seen = set(pending)
    while pending:
        number = pending.pop()
        for node in graphs.consumers(number):
            table = graphs.operand(node, 0)
            if node.op_type == GATHER.name and graphs.operand(node, 1) is number and table is not None and table.shape:
                rows = table.shape[graphs.attr_int(node, "axis", 0)]
                yield from [rows] if isinstance(rows, int) else []
            made = [out for out in node.outputs if out.dtype in _NUMBERS and out not in seen]
            seen.update(made)
            pending += made


def _accepts(candidate: Candidate, name: str, most: int, size: Size) -> bool:
    feed = candidate.filled(size)
    try:
        candidate.run({**feed, name: np.full_like(feed[name], most)})
    except ClearportError:
        return False
    return True
