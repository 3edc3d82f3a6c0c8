"""Channel shuffles without tensors of more than four axes.

Given: Reshape, Transpose, Reshape through five axes (ShuffleNet's channel shuffle, arXiv 1707.01083) or through six
(decomposed pixel_unshuffle); Gather that permutes all channels; Slice that reverses all channels. Result: the filters
of the producing or of the consuming convolutions are permuted; if that is impossible (a grouped 3x3 convolution, a
Concat, another consumer), a 1x1 convolution copies the channels, and the graph's history says why. pixel_unshuffle
likewise becomes SpaceToDepth, whose channel order differs. A grouped 1x1 convolution before a shuffle becomes an
ungrouped one with zeros: that costs less than a reordering convolution after it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.base import Graph
from clearport.export.channel_order import CannotPermuteError, copied, permuted_after, permuted_before
from clearport.export.passes.rewriting import fixed, insert, named, substitute
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array

_UNSHUFFLE = (0, 1, 3, 5, 2, 4)
_OTHER_ORDER = "SpaceToDepth has another order of channels"


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    result = graphs.clone(graph)
    notes: list[str] = []
    for node in [node for node in result.model.graph if node.op_type in _ORDERS]:
        chosen = _ORDERS[node.op_type](node)
        if chosen is not None:
            notes += _reorder(node, graphs.need(node, 0), chosen)
    for middle in [node for node in result.model.graph if node.op_type == "Transpose"]:
        first, last = graphs.producer(graphs.need(middle, 0)), graphs.only_consumer(middle.outputs[0])
        if first is None or last is None or (first.op_type, last.op_type) != ("Reshape", "Reshape"):
            continue
        order = _shuffled(first, middle, last)
        if order is not None:
            notes += _reorder(last, graphs.need(first, 0), order)
        elif (block := _unshuffled(first, middle, last)) > 1:
            notes += _space_to_depth(last, graphs.need(first, 0), block)
    return replace(result, history=(*result.history, *notes))


def _permuted(node: ir.Node) -> Array | None:
    """The permutation that a Gather applies to the channels of (B, C, H, W); None if it does something else."""
    source, order = named(graphs.need(node, 0)), graphs.constant(graphs.need(node, 1))
    if source is None or len(source) != 4 or graphs.attr_int(node, "axis", 0) % 4 != 1 or order is None:
        return None
    return order if order.ndim == 1 and np.array_equal(np.sort(order), np.arange(source[1])) else None


def _reversed(node: ir.Node) -> Array | None:
    """The permutation of a Slice that reverses channels (RGB to BGR); None if it does something else."""
    source, result = named(graphs.need(node, 0)), named(node.outputs[0])
    axes, steps = (graphs.constant(graphs.operand(node, index)) for index in (3, 4))
    if source is None or result != source or len(source) != 4 or axes is None or steps is None:
        return None
    channels = source[1]
    alone = steps.tolist() == [-1] and [axis % 4 for axis in axes.tolist()] == [1]
    return np.arange(channels)[::-1] if alone and isinstance(channels, int) else None


_ORDERS = {"Gather": _permuted, "Slice": _reversed}


def _shuffled(first: ir.Node, middle: ir.Node, last: ir.Node) -> Array | None:
    """The permutation if the operators only split C of (B, C, H, W) into two factors and exchange them; else None."""
    source, split, result = (named(v) for v in (graphs.need(first, 0), first.outputs[0], last.outputs[0]))
    if source is None or split is None or result != source or len(source) != 4 or len(split) != 5:
        return None
    channels, groups, per_group = source[1], split[1], split[2]
    if not (isinstance(channels, int) and isinstance(groups, int) and isinstance(per_group, int)):
        return None
    whole = (source[0], groups, per_group, *source[2:]) == split and groups * per_group == channels
    if not whole or graphs.attr_ints(middle, "perm", ()) != (0, 2, 1, 3, 4):
        return None
    return np.arange(channels).reshape(groups, per_group).T.reshape(-1)


def _unshuffled(first: ir.Node, middle: ir.Node, last: ir.Node) -> int:
    """The block of a pixel_unshuffle; 0 if it is something else."""
    source, split, result = (fixed(v) for v in (graphs.need(first, 0), first.outputs[0], last.outputs[0]))
    if source is None or split is None or result is None or len(source) != 4 or len(split) != 6:
        return 0
    block, (batch, channels, height, width) = split[3], source
    wanted = (batch, channels, height // block, block, width // block, block)
    packed = (batch, channels * block**2, height // block, width // block)
    matches = split == wanted and result == packed and graphs.attr_ints(middle, "perm", ()) == _UNSHUFFLE
    return block if matches else 0


def _reorder(last: ir.Node, source: ir.Value, order: Array) -> list[str]:
    """Replace ``last``'s output by ``source[:, order]``."""
    node = graphs.producer(source)
    if node is not None and node.op_type == "SpaceToDepth":
        return _behind(last, source, order, _OTHER_ORDER)
    if node is not None:
        _one_group(_computing(node))
    try:
        permuted_before(source, graphs.consumers(source)[0], order)
    except CannotPermuteError as reason:
        return _behind(last, source, order, str(reason))
    substitute(last, source)
    return []


def _behind(last: ir.Node, source: ir.Value, order: Array, reason: str) -> list[str]:
    name = last.name
    try:
        permuted_after(last.outputs[0], order)
    except CannotPermuteError:
        substitute(last, copied(last, source, order))
        return [f"channel_shuffle: 1x1 convolution for {name}, because {reason}"]
    substitute(last, source)
    return []


def _space_to_depth(last: ir.Node, source: ir.Value, block: int) -> list[str]:
    """SpaceToDepth in place of pixel_unshuffle: its channels are s*C + c instead of c*block² + s."""
    shape = fixed(last.outputs[0])
    assert shape is not None
    packed = insert(last, "SpaceToDepth", [source], shape, {"blocksize": block})
    packed.name = f"{last.outputs[0].name}.packed"
    order = np.arange(shape[1]).reshape(block**2, -1).T.reshape(-1)
    return _behind(last, packed, order, _OTHER_ORDER)


def _computing(node: ir.Node) -> ir.Node:
    """The operator before activations of one input."""
    while node.op_type in {"Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "Gelu"}:
        before = graphs.producer(graphs.need(node, 0))
        if before is None:
            break
        node = before
    return node


def _one_group(node: ir.Node) -> None:
    """Ungroup a grouped (not depthwise) 1x1 convolution, if that costs no more than a reordering convolution."""
    group = graphs.attr_int(node, "group", 1)
    if node.op_type != "Conv" or group == 1 or graphs.constant(graphs.need(node, 1)) is None:
        return
    weight = graphs.need_constant(node, 1)
    filters, per_group = weight.shape[:2]
    extra = filters * per_group * (group - 1)
    if weight.shape[2:] != (1, 1) or per_group == 1 or extra > filters**2:
        return
    dense = np.zeros((filters, per_group * group, 1, 1), weight.dtype)
    for index in range(group):
        rows = slice(index * filters // group, (index + 1) * filters // group)
        dense[rows, index * per_group : (index + 1) * per_group] = weight[rows]
    body = node.graph
    assert isinstance(body, ir.Graph)
    node.replace_input_with(1, graphs.new_constant(body, f"{graphs.need(node, 1).name}.dense", dense))
    node.attributes["group"] = ir.AttrInt64("group", 1)
