"""TFLite rules: convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clearport.export.tflite.lower import NONE, Lowering
from clearport.export.tflite.weights import weights
from clearport.export.tflite.windows import SAME, VALID, padded, window_of
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.export.tflite.tensors import Tensor


def conv(low: Lowering, node: ir.Node) -> None:
    """Conv with a bias, also grouped -> CONV_2D; depthwise -> DEPTHWISE_CONV_2D; a PAD before it where needed."""
    image = low.pictures(node)
    weight = graphs.need_constant(node, 1)  # (O, I/group, kh, kw)
    outputs, per_group = weight.shape[:2]
    groups = graphs.attr_int(node, "group", 1)
    depthwise = groups == image.dims[3] and per_group == 1 and groups > 1
    window = window_of(low, node, weight.shape[2:])
    image, padding, (height, width) = padded(low, node, image, window)
    order, axis = ((1, 2, 3, 0), 3) if depthwise else ((0, 2, 3, 1), 0)
    kernel, bias = weights(low, node, lambda array: array.transpose(order), axis)
    options: dict[str, Any] = {
        "padding": padding,
        "strideH": window.strides[0],
        "strideW": window.strides[1],
        "dilationHFactor": window.dilations[0],
        "dilationWFactor": window.dilations[1],
        "fusedActivationFunction": low.activation(node),
    }
    if depthwise:
        options["depthMultiplier"] = outputs // groups
    op = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    low.write(node, op, [image, kernel, bias], (image.dims[0], height, width, outputs), **options)


def conv_transpose(low: Lowering, node: ir.Node) -> None:
    """ConvTranspose -> TRANSPOSE_CONV, followed by a SLICE where ONNX's cropping has no TFLite equivalent."""
    image = low.pictures(node)
    if any(image.free):
        raise low.refuse(node, "TFLite's transposed convolution needs a fixed size: give --size HEIGHTxWIDTH")
    weight = graphs.need_constant(node, 1)  # (I, O/group, kh, kw)
    if graphs.attr_int(node, "group", 1) != 1:
        raise low.refuse(node, "grouped transposed convolution")
    window = window_of(low, node, weight.shape[2:])
    if window.dilations != (1, 1):
        raise low.refuse(node, "dilated transposed convolution")
    extra = graphs.attr_ints(node, "output_padding", (0, 0))
    full = tuple((n - 1) * s + k for n, s, k in zip(image.dims[1:3], window.strides, window.kernel, strict=True))
    cut = tuple((before, after - more) for (before, after), more in zip(window.pads, extra, strict=True))
    if any(after < 0 for _, after in cut):
        raise low.refuse(node, f"output_padding {extra} reaches beyond the kernel")
    sizes = (n - before - after for n, (before, after) in zip(full, cut, strict=True))
    dims = (image.dims[0], *sizes, weight.shape[1])
    if all(map(_cut_as_same, image.dims[1:3], dims[1:3], window.strides, cut)):
        _transposed(low, node, SAME, low.output(node, [image], dims))
        return
    if dims[1:3] == full:
        _transposed(low, node, VALID, low.output(node, [image], dims))
        return
    whole = low.between(node, "whole", image, (dims[0], *full, dims[3]), rescaled=True)
    _transposed(low, node, VALID, whole)
    begin = low.integers("begin", (0, cut[0][0], cut[1][0], 0))
    low.write(node, "SLICE", [whole, begin, low.integers("size", dims)], dims)


def _cut_as_same(size: int, wanted: int, stride: int, cut: tuple[int, int]) -> bool:
    """Whether TFLite's SAME cuts the same rows as ONNX does: half of them before, rounded down."""
    return -(-wanted // stride) == size and cut[0] == sum(cut) // 2


def _transposed(low: Lowering, node: ir.Node, padding: int, output: Tensor) -> None:
    kernel, bias = weights(low, node, lambda array: array.transpose(1, 2, 3, 0))  # (O, kh, kw, I)
    inputs = [low.integers("output_shape", output.dims), kernel, low.tensor(node), bias]
    strides = graphs.attr_ints(node, "strides", (1, 1))
    # A fused activation would need version 4, which NNAPI does not take.
    low.file.operator(
        "TRANSPOSE_CONV",
        inputs,
        output,
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        fusedActivationFunction=NONE,
    )
