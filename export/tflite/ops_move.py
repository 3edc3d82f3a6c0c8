"""TFLite rules: data movement, for any rank and axis order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export.tflite.lower import NONE, Lowering
from clearport.export.tflite.order import native
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.export.tflite.order import Order
    from clearport.export.tflite.tensors import Tensor


def transpose(low: Lowering, node: ir.Node) -> None:
    """Transpose -> nothing: the same tensor, its axes under other names."""
    image, order = low.stored(node)
    low.same_scale(node, image)
    perm = graphs.attr_ints(node, "perm", tuple(reversed(range(len(order)))))
    low.bind(node, image, tuple(perm.index(axis) for axis in order))


def reshape(low: Lowering, node: ir.Node) -> None:
    """Reshape -> RESHAPE, of the stored layout if it merges and splits the same axes as ONNX's."""
    image, order = low.stored(node)
    low.same_scale(node, image)
    if any(image.free):
        raise low.refuse(node, "it needs a fixed size: give --size HEIGHTxWIDTH")
    shape = [int(n) for n in graphs.need_constant(node, 1)]
    before = [image.dims[order.index(axis)] for axis in range(len(order))]
    if min(shape, default=1) < 1:
        raise low.refuse(node, f"its shape {shape} is not constant")
    after = _order_after(before, shape, order)
    if after is None:
        after = tuple(range(len(shape)))
        image = low.tensor(node, 0, tuple(range(len(order))))
    dims = [shape[axis] for axis in after]
    if tuple(dims) == image.dims:
        low.bind(node, image, after)
    else:
        low.write(node, "RESHAPE", [image, low.integers("shape", dims)], dims, after, newShape=dims)


def _order_after(before: list[int], shape: list[int], order: Order) -> Order | None:
    """The axis order of the result if the stored value is reshaped in place; None if it must be transposed first."""
    stored = [axis for axis in order if before[axis] > 1]
    places = []
    for sources, targets in _blocks(before, shape):
        start = stored.index(sources[0])
        if stored[start : start + len(sources)] != sources:
            return None
        places.append((start, targets))
    long = [axis for _, targets in sorted(places) for axis in targets]
    own = native(len(shape))
    if [axis for axis in own if shape[axis] > 1] == long:
        return own
    result = list(long)
    for axis in (axis for axis, n in enumerate(shape) if n == 1):
        result.insert(axis, axis)
    return tuple(result)


def _blocks(before: list[int], shape: list[int]) -> list[tuple[list[int], list[int]]]:
    """The smallest groups of consecutive axes that a reshape maps to each other; axes of size 1 are left out."""
    left = [axis for axis, n in enumerate(before) if n > 1]
    right = [axis for axis, n in enumerate(shape) if n > 1]
    found = []
    while left:
        sources, targets = [left.pop(0)], [right.pop(0)]
        have, want = before[sources[0]], shape[targets[0]]
        while have != want:
            if have < want:
                sources.append(left.pop(0))
                have *= before[sources[-1]]
            else:
                targets.append(right.pop(0))
                want *= shape[targets[-1]]
        found.append((sources, targets))
    return found


def expand(low: Lowering, node: ir.Node) -> None:
    """Expand to the same rank -> BROADCAST_TO."""
    image, order = low.stored(node)
    low.same_scale(node, image)
    shape = [int(n) for n in graphs.need_constant(node, 1)]
    if any(image.free):
        raise low.refuse(node, "it needs a fixed size: give --size HEIGHTxWIDTH")
    if len(shape) != len(order):
        raise low.refuse(node, f"it changes rank {len(order)} to {len(shape)}")
    before = [image.dims[order.index(axis)] for axis in range(len(order))]
    whole = [max(pair) for pair in zip(before, shape, strict=True)]
    dims = [whole[axis] for axis in order]
    low.write(node, "BROADCAST_TO", [image, low.integers("shape", dims)], dims, order)


def concat(low: Lowering, node: ir.Node) -> None:
    """Concat -> CONCATENATION in the order of the first value."""
    computed = [index for index, value in enumerate(node.inputs) if graphs.constant(value) is None]
    _, order = low.stored(node, computed[0])
    inputs = [
        low.tensor(node, index, order) if index in computed else low.constant(node, index, lambda a: a.transpose(order))
        for index in range(len(node.inputs))
    ]
    low.same_scale(node, *inputs)
    place = order.index(graphs.attr_int(node, "axis", 1) % len(order))
    dims = list(inputs[0].dims)
    dims[place] = sum(t.dims[place] for t in inputs)
    low.write(node, "CONCATENATION", inputs, dims, order, axis=place, fusedActivationFunction=NONE)


def cut(low: Lowering, node: ir.Node) -> None:
    """Slice -> SLICE, which XNNPACK supports; STRIDED_SLICE for steps other than 1."""
    image, order = low.stored(node)
    low.same_scale(node, image)
    rank = len(order)
    begin, end, step = [0] * rank, list(image.dims), [1] * rank
    given = [graphs.need_constant(node, index).tolist() for index in (1, 2)]
    count = len(given[0])
    axes = integers(node, 3, list(range(count)))
    for axis, first, last, by in zip(axes, *given, integers(node, 4, [1] * count), strict=True):
        place = order.index(axis % rank)
        if by < 1:
            image = _backwards(low, node, image, place, slice(first, None if last < -image.dims[place] else last, by))
            end[place] = image.dims[place]
            continue
        begin[place], end[place], _ = slice(first, last).indices(image.dims[place])
        step[place] = by
        if image.free[place] and (first < 0 or last < 2**31 - 1):
            raise low.refuse(node, "it slices dynamic height or width: give --size HEIGHTxWIDTH")
    dims = [max(-(-(e - b) // s), 0) for b, e, s in zip(begin, end, step, strict=True)]
    if not all(dims):
        raise low.refuse(node, f"its output for {image.dims} is empty")
    # With dynamic sizes, SLICE reads -1 as "up to the end"; only static sizes are written out.
    sizes = [-1 if free else n for n, free in zip(dims, image.free, strict=True)]
    if step == [1] * rank:
        low.write(node, "SLICE", [image, low.integers("begin", begin), low.integers("size", sizes)], dims, order)
        return
    to_end = sum(1 << place for place, free in enumerate(image.free) if free)
    places = [low.integers(name, list_) for name, list_ in (("begin", begin), ("end", end), ("strides", step))]
    low.write(node, "STRIDED_SLICE", [image, *places], dims, order, endMask=to_end)


def _backwards(low: Lowering, node: ir.Node, image: Tensor, place: int, places: slice) -> Tensor:
    """A backward slice, index by index (``places``): XNNPACK's SLICE and STRIDED_SLICE only go forward."""
    if image.free and image.free[place]:
        raise low.refuse(node, "it slices a dynamic axis backward: give --size HEIGHTxWIDTH")
    rows = list(range(image.dims[place]))[places]
    dims = [*image.dims[:place], len(rows), *image.dims[place + 1 :]]
    turned = low.file.tensor(
        f"{graphs.name_of(node.outputs[0])}/turned{place}", dims, image.dtype, image.quant, image.free
    )
    low.file.operator("GATHER", [image, low.integers("rows", rows)], turned, axis=place, batchDims=0)
    return turned


def integers(node: ir.Node, index: int, default: list[int]) -> list[int]:
    """An optional constant list of integers."""
    array = graphs.constant(graphs.operand(node, index))
    return default if array is None else [int(n) for n in array.ravel()]


def shape(low: Lowering, node: ir.Node) -> None:
    """Written by the exporter for dynamic sizes; TFLite files need such sizes as constants."""
    raise low.refuse(node, "a size is computed from the input size: give --size HEIGHTxWIDTH")
