"""Rules of indexing operators: Gather, GridSample, TopK, ArgMax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreml.lowering import Lowering, refuse
from clearport.graph.nodes import attr_int, attr_str, constant, need

if TYPE_CHECKING:
    import onnx_ir as ir

_MODES = {"linear": "bilinear", "bilinear": "bilinear", "nearest": "nearest"}
_BORDERS = {"zeros": "constant", "border": "border", "reflection": "reflection"}


def gather(low: Lowering, node: ir.Node, name: str) -> Any:
    """Gather -> gather."""
    x, held = low.var(node, 0), constant(need(node, 1))
    axis = attr_int(node, "axis", 0) % len(x.shape)
    size = x.shape[axis]
    if held is None:
        return low.mb.gather(x=x, indices=low.var(node, 1), axis=axis, name=name)
    if not isinstance(size, int | np.integer) and (held < 0).any():
        raise refuse(node, "it indexes a dynamic axis from the end: export it for one size")
    places = np.where(held < 0, held + size, held) if (held < 0).any() else held
    return low.mb.gather(x=x, indices=places.astype(np.int32), axis=axis, name=name)


def resample(low: Lowering, node: ir.Node, name: str) -> Any:
    """GridSample -> resample."""
    x, places = low.tensor(node, 0), low.tensor(node, 1)
    mode, border = attr_str(node, "mode", "linear"), attr_str(node, "padding_mode", "zeros")
    if mode not in _MODES or x.rank != 4:
        raise refuse(node, f"mode {mode} of rank {x.rank}: Core ML samples 4-D tensors, linear or nearest")
    return low.mb.resample(
        x=x,
        coordinates=places,
        sampling_mode=_MODES[mode],
        padding_mode=_BORDERS[border],
        padding_value=low.fit(node, 0.0),
        coordinates_mode="normalized_minus_one_to_one",
        align_corners=bool(attr_int(node, "align_corners", 0)),
        name=name,
    )


def top_k(low: Lowering, node: ir.Node, name: str) -> Any:
    """Sorted TopK -> topk; its indices output is not supported."""
    count = constant(need(node, 1))
    if count is None or node.outputs[1].uses() or node.outputs[1].is_graph_output():
        raise refuse(node, "only a constant k, without indices")
    smallest = not attr_int(node, "largest", 1)
    values, places = low.mb.topk(
        x=low.var(node, 0), k=int(count.reshape(-1)[0]), axis=attr_int(node, "axis", -1), ascending=smallest, name=name
    )
    del places
    return values


def first_ios(node: ir.Node) -> int:
    """The output of ``topk``."""
    del node
    return 15


def extreme(low: Lowering, node: ir.Node, name: str, op: str) -> Any:
    """ArgMax, ArgMin -> reduce_argmax, reduce_argmin."""
    if attr_int(node, "select_last_index", 0):
        raise refuse(node, "select_last_index: Core ML selects the first of equal values")
    keep = bool(attr_int(node, "keepdims", 1))
    return getattr(low.mb, op)(x=low.var(node, 0), axis=attr_int(node, "axis", 0), keep_dims=keep, name=name)
