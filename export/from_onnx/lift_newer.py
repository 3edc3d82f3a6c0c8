"""Rules for opsets after clearport's: newer operators are expressed by older ones.

Newer opsets mostly add dtypes. New operators are expanded by ONNX's own function definitions, except
GroupNormalization, Swish and RMSNormalization, which are expanded like PyTorch's exporter does, so that the same
passes apply.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from clearport.errors import BadInput
from clearport.export.from_onnx.lift_older import before, constant, layer_of, put
from clearport.graph import nodes as graphs


def lower(node: ir.Node) -> None:
    """Rewrite a node in clearport's opset, in place, if the operator is different or missing there."""
    rule = _RULES.get(node.op_type)
    if rule is not None:
        rule(node)


def _become(node: ir.Node, op: str, inputs: list[ir.Value | None]) -> None:
    """The last operator of an expansion replaces the node and writes its output."""
    node.op_type = op
    node.attributes.clear()
    node.resize_inputs(len(inputs))
    for index, value in enumerate(inputs):
        put(node, index, value)


def _swish(node: ir.Node) -> None:
    source, slope = graphs.need(node, 0), graphs.attr_float(node, "alpha", 1.0)
    inner = source if slope == 1 else before(node, "Mul", [source, constant(node, np.array(slope, np.float32))])
    _become(node, "Mul", [source, before(node, "Sigmoid", [inner])])


def _rms_normalization(node: ir.Node) -> None:
    """x / sqrt(mean(x^2) + epsilon) * scale, over the axes from ``axis`` on."""
    source, axis = graphs.need(node, 0), graphs.attr_int(node, "axis", -1)
    if source.shape is None and axis >= 0:
        raise BadInput(f"RMSNormalization {layer_of(node)!r}: the rank of its input is unknown")
    first = axis if axis < 0 or source.shape is None else axis - len(source.shape)
    axes = constant(node, np.arange(first, 0, dtype=np.int64))
    mean = before(node, "ReduceMean", [before(node, "Mul", [source, source]), axes], keepdims=1)
    epsilon = constant(node, np.array(graphs.attr_float(node, "epsilon", 1e-5), np.float32))
    root = before(node, "Sqrt", [before(node, "Add", [mean, epsilon])])
    _become(node, "Mul", [before(node, "Div", [source, root]), graphs.need(node, 1)])


def _group_normalization(node: ir.Node) -> None:
    """As an InstanceNormalization of groups; the scale and offset of opset 21 are those of channels."""
    source, gain, offset = (graphs.need(node, index) for index in range(3))
    groups = graphs.attr_int(node, "num_groups", 1)
    ones, zeros = (constant(node, fill(groups, np.float32)) for fill in (np.ones, np.zeros))
    shape = before(node, "Shape", [source])
    split = before(node, "Reshape", [source, constant(node, np.array([0, groups, -1], np.int64))])
    epsilon = graphs.attr_float(node, "epsilon", 1e-5)
    normal = before(node, "InstanceNormalization", [split, ones, zeros], epsilon=epsilon)
    whole = before(node, "Reshape", [normal, shape])
    if source.shape is None:
        raise BadInput(f"GroupNormalization {layer_of(node)!r}: the rank of its input is unknown")
    place = constant(node, np.arange(1, len(source.shape) - 1, dtype=np.int64))
    scaled = before(node, "Mul", [whole, before(node, "Unsqueeze", [gain, place])])
    _become(node, "Add", [scaled, before(node, "Unsqueeze", [offset, place])])


def _attention(node: ir.Node) -> None:
    """softmax(q k^T * scale + mask) v, without a cache: of four axes (N, heads, length, size), or of three."""
    inputs = [graphs.operand(node, index) for index in range(len(node.inputs))]
    layer = f"Attention {layer_of(node)!r}"
    if any(value is not None for value in inputs[4:]) or any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        raise BadInput(f"{layer}: a cache of keys and values, or more than one output: export with opset 20")
    shapes = [value.shape for value in inputs[:3] if value is not None]
    ranks = {0 if shape is None else len(shape) for shape in shapes}
    if len(shapes) < 3 or ranks not in ({3}, {4}):
        raise BadInput(f"{layer}: the sizes of its queries, keys and values are unknown: export with opset 20")
    flat = ranks == {3}
    heads = [graphs.attr_int(node, name, 0) for name in ("q_num_heads", "kv_num_heads", "kv_num_heads")]
    parts = [graphs.need(node, index) for index in range(3)]
    sides = [[n if isinstance(n, int) else None for n in shape or ()] for shape in shapes]
    if flat:
        parts = [_by_heads(node, part, count) for part, count in zip(parts, heads, strict=True)]
        size = None if sides[0][2] is None else sides[0][2] // heads[0]
    else:
        heads, size = [side[1] or 0 for side in sides], sides[0][3]
    if size is None or not all(heads):
        raise BadInput(f"{layer}: the size or number of its heads is unknown")
    if heads[0] != heads[1]:
        shared = constant(node, np.repeat(np.arange(heads[1]), heads[0] // heads[1]))
        parts[1:] = [before(node, "Gather", [part, shared], axis=1) for part in parts[1:]]
    scores = _scores(node, parts[0], parts[1], size)
    weights = _weights(node, scores, inputs[3] if len(inputs) > 3 else None, (sides[0][-2], sides[1][-2]))
    node.resize_outputs(1)
    if not flat:
        _become(node, "MatMul", [weights, parts[2]])
        return
    made = before(node, "Transpose", [before(node, "MatMul", [weights, parts[2]])], perm=[0, 2, 1, 3])
    _become(node, "Reshape", [made, constant(node, np.array([0, 0, -1], np.int64))])


def _by_heads(node: ir.Node, value: ir.Value, heads: int) -> ir.Value:
    """(N, length, heads * size) as (N, heads, length, size)."""
    apart = before(node, "Reshape", [value, constant(node, np.array([0, 0, heads, -1], np.int64))])
    return before(node, "Transpose", [apart], perm=[0, 2, 1, 3])


def _scores(node: ir.Node, query: ir.Value, key: ir.Value, size: int) -> ir.Value:
    scale = graphs.attr_float(node, "scale", 0.0) or 1 / np.sqrt(size)
    scores = before(node, "MatMul", [query, before(node, "Transpose", [key], perm=[0, 1, 3, 2])])
    scores = before(node, "Mul", [scores, constant(node, np.array(scale, np.float32))])
    cap = graphs.attr_float(node, "softcap", 0.0)
    if not cap:
        return scores
    most = constant(node, np.array(cap, np.float32))
    return before(node, "Mul", [before(node, "Tanh", [before(node, "Div", [scores, most])]), most])


def _weights(node: ir.Node, scores: ir.Value, mask: ir.Value | None, sides: tuple[int | None, int | None]) -> ir.Value:
    """Softmax of the scores, 0 where a mask leaves a key out; a query without any key has zero weights and output 0.

    Boolean masks exclude keys where false, numeric masks are added; ``is_causal`` excludes later keys.
    """
    allowed, mask = _split_mask(node, mask)
    if graphs.attr_int(node, "is_causal", 0):
        allowed = _causal(node, allowed, sides)
    if mask is not None:
        scores = before(node, "Add", [scores, mask])
    if allowed is None:
        return before(node, "Softmax", [scores], axis=-1)
    left_out = constant(node, np.array(np.finfo(np.float32).min))
    weights = before(node, "Softmax", [before(node, "Where", [allowed, scores, left_out])], axis=-1)
    known = graphs.constant(allowed)
    if known is not None and known.any(axis=-1).all():
        return weights
    return before(node, "Where", [allowed, weights, constant(node, np.array(0, np.float32))])


def _split_mask(node: ir.Node, mask: ir.Value | None) -> tuple[ir.Value | None, ir.Value | None]:
    """Mask of participating keys (None: all), and bias added to the scores (None: nothing)."""
    if mask is None or mask.dtype == ir.DataType.BOOL:
        return mask, None
    held = graphs.constant(mask)
    if held is None or not np.isneginf(held).any():
        return None, mask
    allowed = ~np.isneginf(held)
    added = np.where(allowed, held, 0).astype(held.dtype)
    return constant(node, allowed), constant(node, added) if added.any() else None


def _causal(node: ir.Node, allowed: ir.Value | None, sides: tuple[int | None, int | None]) -> ir.Value:
    length, others = sides
    if length is None or others is None:
        raise BadInput(f"Attention {layer_of(node)!r}: its causal mask needs a fixed size: give --size HEIGHTxWIDTH")
    earlier = np.tri(length, others, dtype=bool)
    if allowed is None:
        return constant(node, earlier)
    held = graphs.constant(allowed)
    if held is None:
        return before(node, "And", [allowed, constant(node, earlier)])
    return constant(node, held & earlier)


def _rotary(node: ir.Node) -> None:
    """Pairs of numbers turned by the angle of their position: (a cos - b sin, a sin + b cos); the rest is unchanged.

    Pairs are the halves of what is turned, or neighbors if ``interleaved``. Over (N, heads, length, size), or (N,
    length, heads * size).
    """
    source, layer = graphs.need(node, 0), f"RotaryEmbedding {layer_of(node)!r}"
    sides = None if source.shape is None else [n if isinstance(n, int) else None for n in source.shape]
    heads = graphs.attr_int(node, "num_heads", 0)
    if sides is None or len(sides) not in {3, 4} or (len(sides) == 3 and not heads):
        raise BadInput(f"{layer}: the rank of its input, or the number of its heads, is unknown")
    whole = sides[3] if len(sides) == 4 else sides[2] and sides[2] // heads
    if whole is None:
        raise BadInput(f"{layer}: the size of its heads is unknown")
    size = graphs.attr_int(node, "rotary_embedding_dim", 0) or whole
    apart = source if len(sides) == 4 else _by_heads(node, source, heads)
    turned = _turned(node, apart, size)
    if size < whole:
        turned = before(node, "Concat", [turned, _cut(node, apart, size, whole)], axis=-1)
    if len(sides) == 4:
        _become(node, "Identity", [turned])
        return
    rows = before(node, "Transpose", [turned], perm=[0, 2, 1, 3])
    _become(node, "Reshape", [rows, constant(node, np.array([0, 0, -1], np.int64))])


def _turned(node: ir.Node, source: ir.Value, size: int) -> ir.Value:
    """The first ``size`` numbers of each head, turned; neighbors are swapped by a matrix of ones, which is exact."""
    waves = [_of_positions(node, graphs.need(node, index)) for index in (1, 2)]
    numbers = _cut(node, source, 0, size)
    if not graphs.attr_int(node, "interleaved", 0):
        halves = [_cut(node, numbers, *ends) for ends in ((0, size // 2), (size // 2, size))]
        straight, crossed = ([before(node, "Mul", [half, wave]) for half in halves] for wave in waves)
        parts: list[ir.Value | None] = [
            before(node, "Sub", [straight[0], crossed[1]]),
            before(node, "Add", [crossed[0], straight[1]]),
        ]
        return before(node, "Concat", parts, axis=-1)
    twice = constant(node, np.repeat(np.arange(size // 2), 2))
    cosine, sine = (before(node, "Gather", [wave, twice], axis=-1) for wave in waves)
    quarter = np.kron(np.eye(size // 2), [[0, 1], [-1, 0]]).astype(np.float32)
    other = before(node, "MatMul", [numbers, constant(node, quarter)])
    return before(node, "Add", [before(node, "Mul", [numbers, cosine]), before(node, "Mul", [other, sine])])


def _of_positions(node: ir.Node, waves: ir.Value) -> ir.Value:
    """Cosines or sines of positions, (length, size / 2) or (N, length, size / 2), for (N, heads, length, size / 2)."""
    places = graphs.operand(node, 3)
    rows = waves if places is None else before(node, "Gather", [waves, places], axis=0)
    return before(node, "Unsqueeze", [rows, constant(node, np.array([1], np.int64))])


def _cut(node: ir.Node, value: ir.Value, first: int, end: int) -> ir.Value:
    """Numbers ``first`` to ``end`` of the last axis."""
    return before(node, "Slice", [value, *(constant(node, np.array([n], np.int64)) for n in (first, end, -1))])


_RULES: dict[str, Callable[[ir.Node], None]] = {
    "RotaryEmbedding": _rotary,
    "Swish": _swish,
    "RMSNormalization": _rms_normalization,
    "GroupNormalization": _group_normalization,
    "Attention": _attention,
}
