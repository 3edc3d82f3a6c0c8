"""Rewrite operators whose output sizes ONNX's shape inference computes differently from PyTorch and ONNX Runtime.

Given: averages of padded pictures; pools with ``ceil_mode`` at a fixed size; Resize by factors at a fixed size.
Result: averages after an explicit zero Pad (OpenVINO's int8 kernels pad with nonzero values, and runtimes disagree on
the divisor of windows beyond the padding), times a constant if padding is excluded and is not SAME; pools with larger
end pads instead of ``ceil_mode``; if inference and Resize disagree on a size (0.7 * 30 is 21 in float32 and 20 in
float64), factors that differ by a float32 ulp, or the target size, provided that each pixel keeps its sampling point,
if necessary with a separate Resize per axis.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.base import Graph
from clearport.errors import BadInput
from clearport.export import resampling
from clearport.export.passes.rewriting import body_of, fixed, insert, sizes
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array


def run(graph: Graph) -> Graph:
    """Given and result: see the module.

    Raises:
        BadInput: runtimes and inference disagree on a Resize's output size, and no equivalent form exists.
    """
    result = graphs.clone(graph)
    for node in tuple(result.model.graph):
        if node.op_type in {"MaxPool", "AveragePool", "LpPool"} and graphs.attr_int(node, "ceil_mode", 0):
            _pool(node)
        elif node.op_type == "AveragePool":
            _counted(node)
        elif node.op_type == "Resize" and resampling.factors(node) is not None:
            _resize(node)
        if node.op_type == "AveragePool":
            _left_out(node)
    return result


def _pool(node: ir.Node) -> None:
    source = fixed(graphs.need(node, 0))
    if source is None or graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET":
        return
    kernel = graphs.attr_ints(node, "kernel_shape", ())
    ones = (1,) * len(kernel)
    strides, dilations = (graphs.attr_ints(node, name, ones) for name in ("strides", "dilations"))
    pads = graphs.attr_ints(node, "pads", (0,) * (2 * len(kernel)))
    before, after = pads[: len(kernel)], pads[len(kernel) :]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    ends = [_end(*axis) for axis in zip(source[2:], before, after, reach, strides, strict=True)]
    if any(pads) and graphs.attr_int(node, "count_include_pad", 0):
        counted = tuple(map(min, after, ends))
        _pad(node, source, (0, 0, *before), (0, 0, *counted))
        before, ends = (0,) * len(kernel), [end - zeros for end, zeros in zip(ends, counted, strict=True)]
    node.attributes["pads"] = ir.AttrInt64s("pads", [*before, *ends])
    node.attributes["ceil_mode"] = ir.AttrInt64("ceil_mode", 0)
    if node.op_type == "AveragePool":
        node.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 0)


def _counted(node: ir.Node) -> None:
    pads, source = graphs.attr_ints(node, "pads", ()), graphs.need(node, 0)
    if graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET" or source.shape is None:
        return
    if any(pads) and graphs.attr_int(node, "count_include_pad", 0):
        half = len(pads) // 2
        _pad(node, sizes(source) or (), (0, 0, *pads[:half]), (0, 0, *pads[half:]))
        node.attributes["pads"] = ir.AttrInt64s("pads", [0] * len(pads))
    node.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 0)


def _left_out(node: ir.Node) -> None:
    """Zeros around the picture, and larger means where windows reach into them, for padding that is no average.

    Where it lies as TensorFlow's SAME has it, every target leaves it out by itself.
    """
    source, kernel = fixed(graphs.need(node, 0)), graphs.attr_ints(node, "kernel_shape", ())
    ones, pads = (1,) * len(kernel), graphs.attr_ints(node, "pads", ())
    strides, dilations = (graphs.attr_ints(node, name, ones) for name in ("strides", "dilations"))
    if source is None or not any(pads) or graphs.attr_str(node, "auto_pad", "NOTSET") != "NOTSET" or max(dilations) > 1:
        return
    axes = list(zip(source[2:], kernel, strides, pads[: len(kernel)], pads[len(kernel) :], strict=True))
    if all(_is_same(*axis) for axis in axes):
        return
    held = np.ones(1)
    for size, length, stride, before, after in axes:
        first = np.arange((size + before + after - length) // stride + 1) * stride - before
        held = np.multiply.outer(held, length / (np.minimum(first + length, size) - np.maximum(first, 0)))
    half = len(kernel)
    _pad(node, source, (0, 0, *pads[:half]), (0, 0, *pads[half:]))
    node.attributes["pads"] = ir.AttrInt64s("pads", [0] * len(pads))
    shares = graphs.new_constant(
        body_of(node), f"{graphs.name_of(node.outputs[0])}.shares", held[None].astype(np.float32)
    )
    _times(node, shares)


def _is_same(size: int, length: int, stride: int, before: int, after: int) -> bool:
    """Whether padding along an axis is TensorFlow's SAME."""
    count = -(-size // stride)
    total = max((count - 1) * stride + length - size, 0)
    return (before, after) == (total // 2, total - total // 2)


def _times(node: ir.Node, factor: ir.Value) -> None:
    """A product behind a node, under the name of what it gave."""
    old = node.outputs[0]
    made = ir.node("Mul", [old, factor])
    made.outputs[0].type, made.outputs[0].shape = old.type, old.shape
    ir.convenience.replace_all_uses_with(old, made.outputs[0], replace_graph_outputs=True)
    made.replace_input_with(0, old)
    made.outputs[0].name, old.name = old.name, f"{old.name}.summed"
    body_of(node).insert_after(node, made)


def _end(size: int, before: int, after: int, reach: int, stride: int) -> int:
    """The end padding covered by ``ceil_mode``'s windows: always less than a window.

    Windows that would start in the end padding are omitted, as in PyTorch and ONNX's specification.
    """
    count = -(-(size + before + after - reach) // stride) + 1
    if (count - 1) * stride >= size + before:
        count -= 1
    return max(0, (count - 1) * stride + reach - size - before)


def _pad(node: ir.Node, given: tuple[int | str, ...], before: tuple[int, ...], after: tuple[int, ...]) -> None:
    """Zero padding of a node's input."""
    source, name = graphs.need(node, 0), graphs.name_of(node.outputs[0])
    amounts = graphs.new_constant(body_of(node), f"{name}.pads", np.array([*before, *after], np.int64))
    made = ir.node("Pad", [source, amounts])
    made.outputs[0].type = source.type
    axes = zip(given, before, after, strict=True)
    made.outputs[0].shape = ir.Shape([n + b + a if isinstance(n, int) else None for n, b, a in axes])
    body_of(node).insert_before(node, made)
    node.replace_input_with(0, made.outputs[0])


def _resize(node: ir.Node) -> None:
    """Adjusted factors, or else the size, if inference disagrees and the sampling points stay the same."""
    given, wanted = fixed(graphs.need(node, 0)), fixed(node.outputs[0])
    factors = resampling.factors(node)
    if given is None or wanted is None or factors is None:
        return
    _check_moves(node, given[2:], wanted[2:], factors)
    axes = zip(given[2:], wanted[2:], factors, strict=True)
    moved = np.array(
        [1, 1, *(resampling.moved(np.float32(factor), old_, new) for old_, new, factor in axes)], np.float32
    )
    if np.array_equal(moved[2:], np.asarray(factors, np.float32)):
        return
    places = [resampling.places(node, axis, given[axis])[: wanted[axis]] for axis in (2, 3)]
    node.attributes.pop("axes", None)
    node.resize_inputs(4)
    for numbers in (moved, np.array(wanted, np.int64)):
        _set(node, numbers)
        if all(_alike(node, axis, places[axis - 2], given) for axis in (2, 3)):
            return
    own = np.array([1, 1, *factors], np.float32)
    found = [_along(node, axis, (own, moved), (given, wanted), places[axis - 2]) for axis in (2, 3)]
    if found[0] is None or found[1] is None:
        raise BadInput(_refusal(node, given[2:], wanted[2:], factors))
    _write_both(node, found[0], found[1])


def _check_moves(node: ir.Node, given: Sequence[int], wanted: Sequence[int], factors: Sequence[float]) -> None:
    """Refuse factors that keep the size but shift pixels: ONNX Runtime, the reference, copies its input.

    So does PyTorch, except for ``bicubic`` and ``nearest-exact``.
    """
    scales = any(abs(factor - 1) > resampling.STEPS * np.finfo(np.float32).eps for factor in factors)
    if tuple(given) == tuple(wanted) and scales and _shifts(node, given):
        raise BadInput(
            f"Resize {node.name or graphs.name_of(node.outputs[0])!r} by {factors[0]:g} and {factors[1]:g} adds no "
            f"pixels to {given[0]}x{given[1]}: ONNX Runtime copies its input there, PyTorch does not: "
            f"remove it, resize to a target size instead of by a factor, or export for another --size"
        )


def _shifts(node: ir.Node, sides: Sequence[int]) -> bool:
    mode = graphs.attr_str(node, "mode", "nearest")
    by = graphs.attr_str(node, "coordinate_transformation_mode", "half_pixel")
    if mode == "cubic":
        return by != "align_corners"
    return mode == "nearest" and by != "asymmetric" and any(map(partial(resampling.shifts, node), (2, 3), sides))


def _along(
    node: ir.Node, axis: int, factors: Sequence[Array], ends: tuple[tuple[int, ...], tuple[int, ...]], places: Array
) -> Array | None:
    """Factors or sizes of four axes that resize one axis only, with the same sampling points; None if there are
    none.
    """
    given, wanted = ends
    for numbers in factors:
        alone = np.ones(4, np.float32)
        alone[axis] = numbers[axis]
        _set(node, alone)
        if int(np.floor(float(alone[axis]) * given[axis])) == wanted[axis] and _alike(node, axis, places, given):
            return alone
    size = np.array(given[:axis] + wanted[axis : axis + 1] + given[axis + 1 :], np.int64)
    _set(node, size)
    return size if _alike(node, axis, places, given) else None


def _write_both(node: ir.Node, tall: Array, wide: Array) -> None:
    """Resize the height first, then the width by a second operator."""
    _set(node, tall)
    given = fixed(graphs.need(node, 0))
    assert given is not None
    height = int(tall[2]) if tall.dtype == np.int64 else int(np.floor(float(tall[2]) * given[2]))
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    between = insert(node, "Resize", node.inputs, (*given[:2], height, given[3]), attributes)
    if wide.dtype == np.int64:
        wide[2] = height
    node.replace_input_with(0, between)
    _set(node, wide)


def _set(node: ir.Node, numbers: Array) -> None:
    """Resize by factors (float32) or to sizes (int64) of four axes."""
    index = 3 if numbers.dtype == np.int64 else 2
    node.replace_input_with(index, _constant(node, index - 2, numbers))
    node.replace_input_with(5 - index, None)


def _refusal(node: ir.Node, given: Sequence[int], wanted: Sequence[int], factors: Sequence[float]) -> str:
    name = node.name or graphs.name_of(node.outputs[0])
    what = " to ".join("x".join(map(str, sizes)) for sizes in (given, wanted))
    return (
        f"Resize {name!r}, {what} by {factors[0]:g} and {factors[1]:g}: in float64, in which some compute sizes, they "
        f"are others, and no factor nearby takes the same pixels: resize to a size instead of by a factor, or export "
        f"for another --size"
    )


def _constant(node: ir.Node, index: int, array: Array) -> ir.Value:
    name = ("scales", "sizes")[index]
    return graphs.new_constant(body_of(node), f"{graphs.name_of(node.outputs[0])}.{name}", array)


def _alike(node: ir.Node, axis: int, before: Array, given: tuple[int, ...]) -> bool:
    """Whether the node's sampling points along an axis equal ``before``."""
    after = resampling.places(node, axis, given[axis])
    if graphs.attr_str(node, "mode", "nearest") == "nearest":
        return bool(np.array_equal(before, after))
    return resampling.same(before, after, given[axis])
