"""Rules for opsets after clearport's: operators that are newer are written with older ones.

Most of what newer opsets changed are number formats. Newer operators have a definition in older ones, which is ONNX's
own; the rest (GroupNormalization, Swish, RMSNormalization) is written as PyTorch's exporter writes it, so that it meets
the same passes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from clearport.errors import BadInput
from clearport.export.from_onnx.lift_older import before, constant, layer_of, put
from clearport.graph import nodes as graphs


def lower(node: ir.Node) -> None:
    """Write a node with the operators of clearport's opset, in place, where it has another meaning there, or none."""
    rule = _RULES.get(node.op_type)
    if rule is not None:
        rule(node)


def _become(node: ir.Node, op: str, inputs: list[ir.Value | None]) -> None:
    """The last operator of an expansion takes the node's place, with its output."""
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
    """Queries, keys and values of four axes (N, heads, length, size), and no cache: softmax(q k^T * scale + mask) v."""
    inputs = [graphs.operand(node, index) for index in range(len(node.inputs))]
    plain = all(value is None for value in inputs[4:]) and not any(v.uses() for v in node.outputs[1:])
    other = ("is_causal", "softcap", "qk_matmul_output_mode", "q_num_heads", "kv_num_heads")
    query, key, value = (graphs.need(node, index) for index in range(3))
    ranks = [len(v.shape) if v.shape is not None else 0 for v in (query, key, value)]
    if (
        not plain
        or any(name in node.attributes and node.attributes[name].value for name in other)
        or ranks != [4, 4, 4]
    ):
        raise BadInput(
            f"Attention {layer_of(node)!r}: only its plain form is supported (4-D, no cache, no causal mask): export "
            "with opset 20"
        )
    size = query.shape[3] if query.shape is not None else None
    if not isinstance(size, int):
        raise BadInput(f"Attention {layer_of(node)!r}: the size of its queries is unknown")
    scale = graphs.attr_float(node, "scale", 0.0) or 1 / np.sqrt(size)
    swapped = before(node, "Transpose", [key], perm=[0, 1, 3, 2])
    scores = before(node, "MatMul", [query, swapped])
    scores = before(node, "Mul", [scores, constant(node, np.array(scale, np.float32))])
    if len(inputs) > 3 and inputs[3] is not None:
        scores = before(node, "Add", [scores, inputs[3]])
    node.resize_outputs(1)
    _become(node, "MatMul", [before(node, "Softmax", [scores], axis=-1), value])


_RULES: dict[str, Callable[[ir.Node], None]] = {
    "Swish": _swish,
    "RMSNormalization": _rms_normalization,
    "GroupNormalization": _group_normalization,
    "Attention": _attention,
}
