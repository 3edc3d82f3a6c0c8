"""TFLite rules: moving pixels, pooling and resizing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clearport import graphs
from clearport.export.tflite_lower import AXIS, NONE, Lowering
from clearport.export.tflite_resize import flags, resized_to
from clearport.export.tflite_rules import rule
from clearport.export.tflite_windows import padded, window_of

if TYPE_CHECKING:
    import onnx_ir as ir


@rule("DepthToSpace", "SpaceToDepth")
def shuffle(low: Lowering, node: ir.Node) -> None:
    """DepthToSpace in mode DCR -> DEPTH_TO_SPACE (TFLite knows no other order of channels); SpaceToDepth likewise."""
    image = low.tensor(node)
    block = graphs.attr_int(node, "blocksize", 0)
    low.same_scale(node, image)
    _, height, width, channels = image.dims
    if node.op_type == "SpaceToDepth":
        dims, op = (1, height // block, width // block, channels * block**2), "SPACE_TO_DEPTH"
    elif graphs.attr_str(node, "mode", "DCR") == "DCR":
        dims, op = (1, height * block, width * block, channels // block**2), "DEPTH_TO_SPACE"
    else:
        raise low.refuse(node, "TFLite has mode DCR only")
    low.write(node, op, [image], dims, blockSize=block)


@rule("Concat")
def concat(low: Lowering, node: ir.Node) -> None:
    """Concat -> CONCATENATION."""
    inputs = [low.tensor(node, index) for index in range(len(node.inputs))]
    low.same_scale(node, *inputs)
    axis = AXIS[graphs.attr_int(node, "axis", 1) % 4]
    dims = list(inputs[0].dims)
    dims[axis] = sum(t.dims[axis] for t in inputs)
    low.write(node, "CONCATENATION", inputs, dims, axis=axis, fusedActivationFunction=NONE)


@rule("Slice")
def cut(low: Lowering, node: ir.Node) -> None:
    """Slice -> SLICE, which XNNPACK takes; STRIDED_SLICE where pixels are left out."""
    image = low.tensor(node)
    low.same_scale(node, image)
    begin, end, step = [0] * 4, list(image.dims), [1] * 4
    given = [graphs.need_constant(node, index).tolist() for index in (1, 2)]
    count = len(given[0])
    axes = _integers(node, 3, list(range(count)))
    for axis, first, last, by in zip(axes, *given, _integers(node, 4, [1] * count), strict=True):
        place = AXIS[axis % 4]
        if by < 1:
            raise low.refuse(node, f"step {by}: only steps forward")
        begin[place], end[place], _ = slice(first, last).indices(image.dims[place])
        step[place] = by
        if image.free[place] and (first < 0 or last < 2**31 - 1):
            raise low.refuse(node, "it cuts height or width, which have no fixed size: give --size HEIGHTxWIDTH")
    dims = [max(-(-(e - b) // s), 0) for b, e, s in zip(begin, end, step, strict=True)]
    if not all(dims):
        raise low.refuse(node, f"nothing is left of {image.dims}")
    # Where the size is free, -1 is "all that is left" to SLICE; only static sizes are written out.
    sizes = [-1 if free else n for n, free in zip(dims, image.free, strict=True)]
    if step == [1] * 4:
        low.write(node, "SLICE", [image, low.integers("begin", begin), low.integers("size", sizes)], dims)
        return
    to_end = sum(1 << place for place, free in enumerate(image.free) if free)
    places = [low.integers(name, list_) for name, list_ in (("begin", begin), ("end", end), ("strides", step))]
    low.write(node, "STRIDED_SLICE", [image, *places], dims, endMask=to_end)


@rule("Pad")
def pad(low: Lowering, node: ir.Node) -> None:
    """Pad with a constant -> PAD if it is 0, else PADV2."""
    image = low.tensor(node)
    low.same_scale(node, image)
    mode = graphs.attr_str(node, "mode", "constant")
    if mode != "constant":
        raise low.refuse(node, f"mode {mode}: TFLite pads with a constant")
    numbers = graphs.need_constant(node, 1).tolist()
    axes = _integers(node, 3, list(range(4)))
    pads = [(0, 0)] * 4
    for place, axis in enumerate(axes):
        pads[AXIS[axis % 4]] = (numbers[place], numbers[place + len(axes)])
    if min(map(min, pads)) < 0:
        raise low.refuse(node, "negative pads: use Slice")
    value = graphs.scalar(graphs.operand(node, 2)) or 0.0
    dims = [n + before + after for n, (before, after) in zip(image.dims, pads, strict=True)]
    inputs = [image, low.integers("paddings", pads)]
    if value:
        low.write(node, "PADV2", [*inputs, low.number("fill", value, image)], dims)
    else:
        low.write(node, "PAD", inputs, dims)


@rule("MaxPool", "AveragePool")
def pool(low: Lowering, node: ir.Node) -> None:
    """MaxPool, AveragePool -> MAX_POOL_2D, AVERAGE_POOL_2D."""
    image = low.tensor(node)
    low.same_scale(node, image)
    kernel = graphs.attr_ints(node, "kernel_shape", ())
    window = window_of(low, node, kernel)
    if graphs.attr_int(node, "ceil_mode", 0):
        raise low.refuse(node, "ceil_mode: pad the image so that the window fits")
    if window.dilations != (1, 1):
        raise low.refuse(node, "dilated pooling")
    largest = node.op_type == "MaxPool"
    # TFLite's SAME leaves the padding out of the average, and a PAD before the pooling counts it.
    counted = bool(graphs.attr_int(node, "count_include_pad", 0))
    fill = -math.inf if largest else 0.0
    slid, padding, (height, width) = padded(low, node, image, window, fill, same=largest or not counted)
    if slid is not image and not (largest or counted):
        raise low.refuse(node, f"pads {window.pads} that are not counted, and are not those of TFLite's SAME")
    low.write(
        node,
        "MAX_POOL_2D" if largest else "AVERAGE_POOL_2D",
        [slid],
        (1, height, width, image.dims[3]),
        padding=padding,
        strideH=window.strides[0],
        strideW=window.strides[1],
        filterHeight=kernel[0],
        filterWidth=kernel[1],
        fusedActivationFunction=low.activation(node),
    )


@rule("GlobalAveragePool")
def global_average(low: Lowering, node: ir.Node) -> None:
    """GlobalAveragePool -> MEAN over height and width."""
    image = low.tensor(node)
    low.write(node, "MEAN", [image, low.integers("axes", (1, 2))], (1, 1, 1, image.dims[3]), keepDims=True)


@rule("Resize")
def resize(low: Lowering, node: ir.Node) -> None:
    """Resize nearest, linear -> RESIZE_NEAREST_NEIGHBOR, RESIZE_BILINEAR at a fixed size."""
    image = low.tensor(node)
    if any(image.free):
        raise low.refuse(node, "TFLite resizes to a fixed size: give --size HEIGHTxWIDTH")
    mode = graphs.attr_str(node, "mode", "nearest")
    if mode not in {"nearest", "linear"} or graphs.attr_int(node, "antialias", 0):
        raise low.refuse(node, f"mode {mode}: TFLite has nearest and linear without antialias")
    low.same_scale(node, image)
    height, width = resized_to(low, node, image)
    corners, half = flags(low, node, image, (height, width))
    low.write(
        node,
        "RESIZE_NEAREST_NEIGHBOR" if mode == "nearest" else "RESIZE_BILINEAR",
        [image, low.integers("size", (height, width))],
        (1, height, width, image.dims[3]),
        alignCorners=corners,
        halfPixelCenters=half,
    )


def _integers(node: ir.Node, index: int, default: list[int]) -> list[int]:
    """A constant list of integers that may be left out."""
    array = graphs.constant(graphs.operand(node, index))
    return default if array is None else [int(n) for n in array.ravel()]
