"""TFLite rules: depth to space, pooling and resizing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clearport.export.tflite.lower import Lowering
from clearport.export.tflite.resize import sampled
from clearport.export.tflite.windows import padded, window_of
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir


def depth_to_space(low: Lowering, node: ir.Node) -> None:
    """DepthToSpace in mode DCR -> DEPTH_TO_SPACE (TFLite has no other mode)."""
    image = low.pictures(node)
    block = graphs.attr_int(node, "blocksize", 0)
    low.same_scale(node, image)
    if graphs.attr_str(node, "mode", "DCR") != "DCR":
        raise low.refuse(node, "TFLite supports mode DCR only")
    count, height, width, channels = image.dims
    dims = (count, height * block, width * block, channels // block**2)
    low.write(node, "DEPTH_TO_SPACE", [image], dims, blockSize=block)


def space_to_depth(low: Lowering, node: ir.Node) -> None:
    """SpaceToDepth -> SPACE_TO_DEPTH."""
    image = low.pictures(node)
    block = graphs.attr_int(node, "blocksize", 0)
    low.same_scale(node, image)
    count, height, width, channels = image.dims
    low.write(
        node, "SPACE_TO_DEPTH", [image], (count, height // block, width // block, channels * block**2), blockSize=block
    )


def pool(low: Lowering, node: ir.Node, op: str) -> None:
    """MaxPool, AveragePool -> MAX_POOL_2D, AVERAGE_POOL_2D."""
    image = low.pictures(node)
    low.same_scale(node, image)
    kernel = graphs.attr_ints(node, "kernel_shape", ())
    window = window_of(low, node, kernel)
    if graphs.attr_int(node, "ceil_mode", 0):
        raise low.refuse(node, "ceil_mode is not supported: pad the input so that the window fits")
    if window.dilations != (1, 1):
        raise low.refuse(node, "dilated pooling")
    largest = op == "MAX_POOL_2D"
    # TFLite's SAME excludes padding from the average; an explicit PAD includes it.
    counted = bool(graphs.attr_int(node, "count_include_pad", 0))
    fill = -math.inf if largest else 0.0
    slid, padding, (height, width) = padded(low, node, image, window, fill, same=largest or not counted)
    if slid is not image and not (largest or counted):
        raise low.refuse(
            node, f"pads {window.pads} that are excluded from the average and differ from TFLite's SAME padding"
        )
    low.write(
        node,
        op,
        [slid],
        (image.dims[0], height, width, image.dims[3]),
        padding=padding,
        strideH=window.strides[0],
        strideW=window.strides[1],
        filterHeight=kernel[0],
        filterWidth=kernel[1],
        fusedActivationFunction=low.activation(node),
    )


def resize(low: Lowering, node: ir.Node) -> None:
    """Resize nearest, linear -> RESIZE_NEAREST_NEIGHBOR, RESIZE_BILINEAR at a fixed size."""
    image = low.pictures(node)
    if any(image.free):
        raise low.refuse(node, "TFLite resizes to a fixed size: give --size HEIGHTxWIDTH")
    mode = graphs.attr_str(node, "mode", "nearest")
    if mode not in {"nearest", "linear"} or graphs.attr_int(node, "antialias", 0):
        raise low.refuse(node, f"mode {mode}: TFLite has nearest and linear without antialias")
    low.same_scale(node, image)
    (height, width), (corners, half) = sampled(low, node, image)
    low.write(
        node,
        "RESIZE_NEAREST_NEIGHBOR" if mode == "nearest" else "RESIZE_BILINEAR",
        [image, low.integers("size", (height, width))],
        (image.dims[0], height, width, image.dims[3]),
        alignCorners=corners,
        halfPixelCenters=half,
    )
