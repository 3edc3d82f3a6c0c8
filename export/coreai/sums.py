"""Matrix products that need float32 in float16 Core AI programs, because float16 accumulation is too coarse.

Apple's runtime for Linux accumulates a matrix product's terms sequentially in float16, so that terms much smaller than
the running sum lose precision (positive terms: 0.1 % off after 128 terms, 1.7 % after 1536). Convolutions and means
accumulate in float32. The sums are therefore emulated on a photo, and products below the limit compute in float32.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from clearport.export.trial_pictures import pictures
from clearport.graph import nodes as graphs
from clearport.operators.matrix import MATMUL
from clearport.quantize.calibration.stepwise import Stepwise

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from clearport.base import Array, Graph

ENOUGH_DB = 52.0
"""Required SNR in dB, relative to the product's own standard deviation: fp16 files must reach 40 dB at the output,
which leaves a margin for a dozen such products. Rounding to float16 alone gives 72 dB."""
_SHORT = 64
"""Minimum number of terms: shorter sums of positive terms are at most 0.08 % (62 dB) off and are not checked."""
_ROWS, _TERMS = 32, 1 << 14
"""Emulated part of a large product."""


def spoiled(graph: Graph) -> frozenset[str]:
    """The outputs of the products of ``graph`` whose float16 sums are further than ``ENOUGH_DB`` from float32's."""
    products = [node for node in graph.model.graph if node.op_type == MATMUL.name and _may_be_long(node)]
    if not products:
        return frozenset()
    network = Stepwise(graph.model, pictures(graph)[:1])
    found = set()
    for node in products:
        names = [graphs.need(node, index).name or "" for index in (0, 1) if _held(node, index) is None]
        (error,) = network.look(names, functools.partial(_product_db, node))
        if error < ENOUGH_DB:
            found.add(graphs.name_of(node.outputs[0]))
    return frozenset(found)


def _held(node: ir.Node, index: int) -> Array | None:
    return graphs.constant(graphs.need(node, index))


def _may_be_long(node: ir.Node) -> bool:
    terms = [
        held.shape[axis]
        for index, axis in ((0, -1), (1, -2))
        if (held := _held(node, index)) is not None and held.ndim > 1
    ]
    return all(count > _SHORT for count in terms)


def _product_db(node: ir.Node, values: Mapping[str, Array]) -> float:
    held = _held(node, 0), _held(node, 1)
    left, right = (
        values[graphs.name_of(graphs.need(node, index))] if array is None else array for index, array in enumerate(held)
    )
    return error_db(left, right)


def error_db(left: Array, right: Array) -> float:
    """SNR in dB of float16 sums of some rows against float32 sums of the same terms."""
    if left.shape[-1] <= _SHORT or right.ndim < 2:
        return np.inf
    shape = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, (*shape, *left.shape[-2:])).reshape(-1, *left.shape[-2:])[0]
    right = np.broadcast_to(right, (*shape, *right.shape[-2:])).reshape(-1, *right.shape[-2:])[0]
    left = left[:: max(1, len(left) // _ROWS), :_TERMS].astype(np.float16)
    right = right[:_TERMS, : 4 * _ROWS].astype(np.float16)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.zeros((len(left), right.shape[1]), np.float16)
        for term in range(left.shape[1]):
            total = total + np.outer(left[:, term], right[term])
        wanted = left.astype(np.float32) @ right.astype(np.float32)
        error = float(np.mean(np.square(total - wanted, dtype=np.float64)))
    signal = float(wanted.var()) or float(np.mean(np.square(wanted)))
    if not np.isfinite(error):
        return -np.inf
    return np.inf if error == 0 else float(10 * np.log10(max(signal, 1e-30) / error))
