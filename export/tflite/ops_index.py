"""TFLite rules: indexing operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ai_edge_litert import schema_py_generated as schema

from clearport.export.tflite.lower import Lowering
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir


def gather(low: Lowering, node: ir.Node) -> None:
    """Gather -> GATHER; a 1-D list of indices works in any stored axis order."""
    indices = graphs.constant(graphs.need(node, 1))
    data, order = low.stored(node)
    if data.quant is not None or low.quant(node) is not None:
        low.same_scale(node, data)
    axis = graphs.attr_int(node, "axis", 0) % len(order)
    if indices is not None and indices.ndim == 1:
        place, length = order.index(axis), data.dims[order.index(axis)]
        dims = [*data.dims[:place], indices.size, *data.dims[place + 1 :]]
        places = low.integers("indices", [int(n) % length for n in indices])
        low.write(node, "GATHER", [data, places], dims, order, axis=place, batchDims=0)
        return
    plain = tuple(range(len(order)))
    data = low.stored(node)[0] if graphs.constant(graphs.need(node, 0)) is not None else low.tensor(node, 0, plain)
    places, has = low.stored(node, 1)
    if has != tuple(sorted(has)):
        places = low.tensor(node, 1, tuple(sorted(has)))
    dims = [*data.dims[:axis], *places.dims, *data.dims[axis + 1 :]]
    low.write(node, "GATHER", [data, places], dims, tuple(range(len(dims))), axis=axis, batchDims=0)


def top_k(low: Lowering, node: ir.Node) -> None:
    """TopK along the last axis, largest first -> TOPK_V2."""
    count, rank = graphs.constant(graphs.need(node, 1)), len(graphs.need(node, 0).shape or ())
    axis = graphs.attr_int(node, "axis", -1) % rank
    if count is None or not graphs.attr_int(node, "largest", 1) or node.outputs[1].uses():
        raise low.refuse(node, "only the largest values, with a constant k, without indices")
    last = (*(a for a in range(rank) if a != axis), axis)
    data = low.tensor(node, 0, last)
    dims = (*data.dims[:-1], int(count.reshape(-1)[0]))
    places = low.file.tensor(f"{graphs.name_of(node.outputs[0])}/places", dims, "int32", None, ())
    output = low.output(node, [data], dims, last)
    low.file.operator("TOPK_V2", [data, low.integers("k", [dims[-1]])], output, more=[places])


def extreme(low: Lowering, node: ir.Node, op: str) -> None:
    """ArgMax, ArgMin -> ARG_MAX, ARG_MIN, and a RESHAPE where the axis is kept."""
    data, order = low.stored(node)
    axis = graphs.attr_int(node, "axis", 0) % len(order)
    if graphs.attr_int(node, "select_last_index", 0):
        raise low.refuse(node, "select_last_index: TFLite selects the first of equal values")
    place = order.index(axis)
    dims = [n for k, n in enumerate(data.dims) if k != place]
    left = [a - (a > axis) for a in order if a != axis]
    inputs, options = [data, low.integers("axis", [place])], {"outputType": schema.TensorType.INT32}
    if not graphs.attr_int(node, "keepdims", 1):
        low.write(node, op, inputs, dims, tuple(left), **options)
        return
    found = low.file.tensor(f"{graphs.name_of(node.outputs[0])}/dropped", dims, "int32", None, ())
    low.file.operator(op, inputs, found, **options)
    kept = [1 if k == place else n for k, n in enumerate(data.dims)]
    low.write(node, "RESHAPE", [found, low.integers("shape", kept)], kept, order, newShape=kept)
