"""TFLite rules: matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.export.passes.rewriting import bias_behind
from clearport.export.tflite.lower import Lowering
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.export.tflite.tensors import Tensor


def matmul(low: Lowering, node: ir.Node) -> None:
    """MatMul with a constant matrix -> FULLY_CONNECTED, of two values -> BATCH_MATMUL."""
    weight = graphs.constant(graphs.need(node, 1))
    if weight is not None and weight.ndim == 2 and graphs.constant(graphs.need(node, 0)) is None:
        _fully_connected(low, node)
        return
    left, (right, turned) = _plain(low, node, 0), _columns(low, node)
    rank = max(len(left.dims), len(right.dims))
    left, right = _of_rank(low, node, left, rank), _of_rank(low, node, right, rank)
    ends = (right.dims[-1], right.dims[-2])[:: -1 if turned else 1]
    if left.dims[-1] != ends[1]:
        raise low.refuse(node, f"product of {left.dims} and {right.dims}")
    batch = np.broadcast_shapes(left.dims[:-2], right.dims[:-2])
    dims = (*batch, left.dims[-2], ends[0])
    order = tuple(range(len(dims)))
    low.write(node, "BATCH_MATMUL", [left, right], dims, order, adjX=False, adjY=turned)


def _of_rank(low: Lowering, node: ir.Node, image: Tensor, rank: int) -> Tensor:
    """The matrices with leading axes of size 1: TFLite requires equal ranks."""
    dims = (1,) * (rank - len(image.dims)) + image.dims
    if dims == image.dims:
        return image
    if any(image.free):
        raise low.refuse(node, "it needs a fixed size: give --size HEIGHTxWIDTH")
    result = low.between(node, f"of {rank} axes", image, dims)
    low.file.operator("RESHAPE", [image, low.integers("shape", dims)], result, newShape=dims)
    return result


def _fully_connected(low: Lowering, node: ir.Node) -> None:
    """The inner axis must be stored last; the others may lie in any order. In float, a bias added behind is the
    operator's own.
    """
    _, order = low.stored(node)
    inner = len(order) - 1
    last = order if order[-1] == inner else tuple(sorted(order))
    image = low.tensor(node, 0, last)
    kernel = low.constant(node, 1, np.transpose)  # (N, K)
    added = None if low.quant(node) else bias_behind(node, kernel.dims[0])
    added = None if added is None or low.quant(added[0]) else added
    if added is None:
        # Without a bias it would be version 6, which NNAPI does not take.
        written, offset = node, low.file.constant("no bias", np.zeros(kernel.dims[0], np.float32))
    else:
        written, offset = added[0], low.constant(*added, lambda array: array.reshape(-1))
    low.write(
        written,
        "FULLY_CONNECTED",
        [image, kernel, offset],
        (*image.dims[:-1], kernel.dims[0]),
        last,
        keepNumDims=len(order) > 2,
        fusedActivationFunction=low.activation(written),
    )


def _plain(low: Lowering, node: ir.Node, index: int) -> Tensor:
    _, order = low.stored(node, index)
    if graphs.constant(graphs.need(node, index)) is not None:
        return low.constant(node, index, lambda array: array)
    return low.tensor(node, index, tuple(sorted(order)))


def _columns(low: Lowering, node: ir.Node) -> tuple[Tensor, bool]:
    """The right factor, and whether its last two axes are stored transposed: BATCH_MATMUL supports both."""
    image, order = low.stored(node, 1)
    turned = (*range(len(order) - 2), len(order) - 1, len(order) - 2)
    return (image, True) if order == turned else (_plain(low, node, 1), False)
