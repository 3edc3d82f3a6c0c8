"""Normalize operators to the form for which targets have rules.

Given: convolutions without bias, with ``auto_pad``, or with attributes left to their defaults; pooling likewise.
Result: axes are counted from the front; Conv and ConvTranspose have a bias, and explicit ``kernel_shape, strides, pads,
dilations, group`` and no ``auto_pad``; pooling has ``kernel_shape, strides, pads``, and larger end pads instead of
``ceil_mode`` if padding does not count in the average and no window starts in it; every mode is explicit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from clearport.base import Graph
from clearport.errors import BadInput
from clearport.graph import nodes as graphs


def run(graph: Graph) -> Graph:
    """Given and result: see the module.

    Raises:
        BadInput: the padding of ``auto_pad`` depends on an unknown size, or a kernel is not constant.
    """
    result = graphs.clone(graph)
    for node in result.model.graph:
        rule = _RULES.get(node.op_type)
        if rule is not None:
            rule(result.model.graph, node)
    return result


def _convolution(body: ir.Graph, node: ir.Node) -> None:
    weight = graphs.constant(graphs.need(node, 1))
    if weight is None:
        raise BadInput(f"{node.op_type} {node.name!r}: its kernel is computed; only constant kernels are supported")
    group = graphs.attr_int(node, "group", 1)
    _window(node, tuple(weight.shape[2:]))
    node.attributes["group"] = ir.AttrInt64("group", group)
    if node.op_type == "ConvTranspose":
        padding = graphs.attr_ints(node, "output_padding", (0,) * (weight.ndim - 2))
        node.attributes["output_padding"] = ir.AttrInt64s("output_padding", padding)
    if graphs.operand(node, 2) is None:
        filters = weight.shape[1] * group if node.op_type == "ConvTranspose" else weight.shape[0]
        bias = graphs.new_constant(body, f"{graphs.name_of(node.outputs[0])}.bias", np.zeros(filters, weight.dtype))
        node.resize_inputs(3)
        node.replace_input_with(2, bias)


def _pool(_: ir.Graph, node: ir.Node) -> None:
    _window(node, graphs.attr_ints(node, "kernel_shape", ()))
    counted = graphs.attr_int(node, "count_include_pad", 0) if node.op_type == "AveragePool" else 0
    if node.op_type == "AveragePool":
        node.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", counted)
    up = graphs.attr_int(node, "ceil_mode", 0)
    if up and not counted and _with_larger_pads(node):
        up = 0
    node.attributes["ceil_mode"] = ir.AttrInt64("ceil_mode", up)
    if node.op_type == "AveragePool" and set(graphs.attr_ints(node, "dilations", ())) == {1}:
        del node.attributes["dilations"]  # ONNX Runtime's quantized operator lacks the attribute


def _with_larger_pads(node: ir.Node) -> bool:
    """Replace ``ceil_mode``'s additional windows by end padding; False if that depends on an unknown size.

    ONNX omits windows that would start in the end padding; there are none if a window extends beyond its stride and
    that padding. (For known sizes, ``passes.sizes`` has done it.)
    """
    kernel, strides, dilations, pads = (
        graphs.attr_ints(node, name, ()) for name in ("kernel_shape", "strides", "dilations", "pads")
    )
    count = len(kernel)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if any(strides[a] + pads[count + a] > reach[a] for a in range(count)):
        return False
    larger = [pads[count + a] + strides[a] - 1 for a in range(count)]
    node.attributes["pads"] = ir.AttrInt64s("pads", [*pads[:count], *larger])
    return True


def _axis(_: ir.Graph, node: ir.Node) -> None:
    shape = graphs.need(node, 0).shape
    if shape is not None:
        axis = graphs.attr_int(node, "axis", -1) % len(shape)
        node.attributes["axis"] = ir.AttrInt64("axis", axis)


def _window(node: ir.Node, kernel: tuple[int, ...]) -> None:
    ones = (1,) * len(kernel)
    strides = graphs.attr_ints(node, "strides", ones)
    dilations = graphs.attr_ints(node, "dilations", ones)
    pads = _pads(node, kernel, strides, dilations)
    node.attributes.pop("auto_pad", None)
    for name, numbers in (("kernel_shape", kernel), ("strides", strides), ("dilations", dilations), ("pads", pads)):
        node.attributes[name] = ir.AttrInt64s(name, numbers)


def _pads(
    node: ir.Node, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[int, ...]:
    mode = graphs.attr_str(node, "auto_pad", "NOTSET")
    if mode == "NOTSET":
        return graphs.attr_ints(node, "pads", (0,) * (2 * len(kernel)))
    if mode == "VALID":
        return (0,) * (2 * len(kernel))
    if node.op_type == "ConvTranspose":
        raise BadInput(f"ConvTranspose {node.name!r}: auto_pad {mode} is not supported; use explicit pads")
    shape = graphs.need(node, 0).shape
    before, after = [], []
    for axis, (size, stride, dilation) in enumerate(zip(kernel, strides, dilations, strict=True)):
        length = shape[axis + 2] if shape is not None else None
        if stride != 1 and not isinstance(length, int):
            raise BadInput(f"{node.op_type} {node.name!r}: auto_pad {mode} with stride {stride} needs a fixed size")
        overlap = 0 if not isinstance(length, int) else (-(-length // stride) - 1) * stride - length
        total = max(0, (-1 if not isinstance(length, int) else overlap) + (size - 1) * dilation + 1)
        small = total // 2
        before.append(small if mode == "SAME_UPPER" else total - small)
        after.append(total - small if mode == "SAME_UPPER" else small)
    return (*before, *after)


def _depth_to_space(_: ir.Graph, node: ir.Node) -> None:
    node.attributes["mode"] = ir.AttrString("mode", graphs.attr_str(node, "mode", "DCR"))


def _leaky_relu(_: ir.Graph, node: ir.Node) -> None:
    node.attributes["alpha"] = ir.AttrFloat32("alpha", graphs.attr_float(node, "alpha", 0.01))


_RULES: dict[str, Callable[[ir.Graph, ir.Node], None]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "DepthToSpace": _depth_to_space,
    "LeakyRelu": _leaky_relu,
    "Softmax": _axis,
    "Concat": _axis,
    "LayerNormalization": _axis,
}
