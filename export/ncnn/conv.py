"""ncnn rules: convolutions and matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.export.ncnn.elementwise import fused
from clearport.export.ncnn.file import Setting, plain
from clearport.export.ncnn.lower import Lowering, refuse, sized
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array


def convolution(low: Lowering, node: ir.Node) -> None:
    """Conv -> Convolution, or ConvolutionDepthWise if grouped; batches are treated as groups."""
    kernel, count = _kernel(node), low.count(node)
    group = graphs.attr_int(node, "group", 1) * count
    many = np.concatenate([kernel] * count) if count > 1 else kernel
    settings = _settings(node, many.shape[0], many) | _grouped(group)
    kind = "Convolution" if group == 1 else "ConvolutionDepthWise"
    low.write_each(node, kind, settings | fused(low, node), _numbers(low, node, many, count))


def transposed(low: Lowering, node: ir.Node) -> None:
    """ConvTranspose -> Deconvolution, or DeconvolutionDepthWise if grouped; batches are treated as groups."""
    kernel, count = _kernel(node), low.count(node)
    group = graphs.attr_int(node, "group", 1) * count
    if "output_shape" in node.attributes:
        raise refuse(node, "output_shape is not supported: use pads")
    _, outputs, *window = kernel.shape  # (inputs, outputs of one group, height, width)
    many = np.concatenate([kernel] * count) if count > 1 else kernel
    turned = many.reshape(group, -1, outputs, *window).swapaxes(1, 2)
    more = graphs.attr_ints(node, "output_padding", (0, 0))
    settings = _settings(node, outputs * group, many) | _grouped(group) | {18: more[1], 19: more[0]}
    kind = "Deconvolution" if group == 1 else "DeconvolutionDepthWise"
    low.write_each(node, kind, settings | fused(low, node), _numbers(low, node, turned, count))


def _kernel(node: ir.Node) -> Array:
    kernel = graphs.constant(graphs.need(node, 1))
    if kernel is None:
        raise refuse(node, "its weights must be constants")
    if kernel.ndim != 4:
        raise refuse(node, f"weights of shape {kernel.shape}: only two spatial axes are supported")
    return kernel


def _settings(node: ir.Node, outputs: int, kernel: Array) -> dict[int, Setting]:
    if graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET":
        raise refuse(node, "its pads must be explicit, not auto_pad")
    top, left, bottom, right = graphs.attr_ints(node, "pads", (0, 0, 0, 0))
    dilations, strides = (graphs.attr_ints(node, name, (1, 1)) for name in ("dilations", "strides"))
    return {
        0: outputs,
        1: kernel.shape[3],
        11: kernel.shape[2],
        2: dilations[1],
        12: dilations[0],
        3: strides[1],
        13: strides[0],
        4: left,
        15: right,
        14: top,
        16: bottom,
        5: int(graphs.operand(node, 2) is not None),
        6: int(kernel.size),
    }


def _grouped(group: int) -> dict[int, Setting]:
    return {} if group == 1 else {7: group}


def _numbers(low: Lowering, node: ir.Node, kernel: Array, count: int = 1) -> list[bytes]:
    bias = graphs.operand(node, 2)
    return [low.weights(kernel)] + ([] if bias is None else [plain(np.tile(graphs.need_constant(node, 2), count))])


def instance_norm(low: Lowering, node: ir.Node) -> None:
    """InstanceNormalization of one picture or of lines -> InstanceNorm."""
    value, scale = graphs.need(node, 0), graphs.need_constant(node, 1)
    have = low.whole(node, value)
    if low.shape(value)[0] != 1 or not 2 <= len(have) <= 3:
        raise refuse(node, f"an input of shape {low.shape(value)}: ncnn has no batch axis")
    settings: dict[int, Setting] = {0: int(scale.size), 1: graphs.attr_float(node, "epsilon", 1e-5), 2: 1}
    picture = (*have, 1)[:3] if len(have) == 2 else have
    blob = low.reshaped(node, "picture", low.blob(node), have, picture)
    numbers = [plain(scale), plain(graphs.need_constant(node, 2))]
    low.write(node, "InstanceNorm", [blob], settings, numbers, picture)


_MOST_COPIES = 4
"""Maximum products that each store their own copy of a matrix; more share it, as in unrolled recurrent layers."""


def matmul(low: Lowering, node: ir.Node) -> None:
    """MatMul with a constant matrix -> InnerProduct on rows; of two tensors, or with a shared matrix -> MatMul."""
    matrix, copies = graphs.constant(graphs.need(node, 1)), len(graphs.need(node, 1).uses())
    computed = graphs.constant(graphs.need(node, 0)) is None
    if matrix is not None and matrix.ndim == 2 and computed and copies <= _MOST_COPIES:
        _inner_product(low, node, matrix)
        return
    rank = len(low.dims(node.outputs[0]))
    if rank < 2:
        raise refuse(node, "product of vectors")
    low.write(node, "MatMul", [low.operand(node, index, rank) for index in range(2)], {0: 0})


def _inner_product(low: Lowering, node: ir.Node, matrix: Array) -> None:
    """InnerProduct works on the rows of a blob of two axes, and on a blob of one axis."""
    value = graphs.need(node, 0)
    have = low.whole(node, value)
    rows, (length, outputs) = int(np.prod(have[:-1])), matrix.shape
    # InnerProduct's output has the rank of its input
    flat = low.reshaped(node, "rows", low.blob(node), have, (length,) if rows == 1 else (rows, length))
    settings = {0: int(outputs), 1: 0, 2: int(matrix.size)}
    gives = (outputs,) if rows == 1 else (rows, outputs)
    low.write(node, "InnerProduct", [flat], settings, [low.weights(matrix.T)], gives)


def layer_norm(low: Lowering, node: ir.Node) -> None:
    """LayerNormalization over the last axis -> LayerNorm."""
    value = graphs.need(node, 0)
    shape, scale = low.shape(value), graphs.need_constant(node, 1)
    if shape[-1] is None:
        raise refuse(node, "it normalizes over the width: give --size HEIGHTxWIDTH")
    if graphs.attr_int(node, "axis", -1) % len(shape) != len(shape) - 1 or scale.shape != (shape[-1],):
        raise refuse(node, "it does not normalize the last axis alone")
    if len([result for result in node.outputs if result.uses()]) > 1:
        raise refuse(node, "only its first output is supported")
    offset = graphs.constant(graphs.operand(node, 2))
    settings: dict[int, Setting] = {0: int(scale.size), 1: graphs.attr_float(node, "epsilon", 1e-5), 2: 1}
    numbers = [plain(scale), plain(np.zeros_like(scale) if offset is None else offset)]
    low.write(node, "LayerNorm", [low.blob(node)], settings, numbers)


def softmax(low: Lowering, node: ir.Node) -> None:
    """Softmax -> Softmax with fixbug0=1, so that ncnn uses the given axis."""
    axis = low.axis(node, graphs.need(node, 0), graphs.attr_int(node, "axis", -1))
    low.write(node, "Softmax", [low.blob(node)], {0: axis, 1: 1})


def reshape(low: Lowering, node: ir.Node) -> None:
    """Reshape, Squeeze, Unsqueeze -> Reshape, or nothing if only axes of size 1 change."""
    have, want = low.whole(node, graphs.need(node, 0)), low.whole(node, node.outputs[0])
    if have == want:
        low.bind(node, low.blob(node))
        return
    if len(want) > 4:
        raise refuse(node, f"output rank {len(want)}: ncnn supports up to 4")
    low.write(node, "Reshape", [low.blob(node)], sized(want))
