"""ncnn rule: Resize, where Interp samples the points that ONNX names.

Interp's nearest takes pixel ``floor(x / factor)``, and its linear form samples ``(x + 0.5) / factor - 0.5``, or both
ends with ``align_corners``. It takes a factor, a size, or the size of another blob.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport import graphs
from clearport.export.ncnn_file import Setting
from clearport.export.ncnn_lower import Lowering, refuse

if TYPE_CHECKING:
    import onnx_ir as ir

_NEAREST, _LINEAR = 1, 2
_LINEAR_POINTS = {"half_pixel": 0, "pytorch_half_pixel": 0, "align_corners": 1}
_REPEATS = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil")}
"""With whole factors a pixel's centre never falls on the border of two others, so these agree."""


def resize(low: Lowering, node: ir.Node) -> None:
    """Resize nearest or linear of height and width -> Interp."""
    mode = graphs.attr_str(node, "mode", "nearest")
    if mode not in {"nearest", "linear"} or graphs.attr_int(node, "antialias", 0):
        raise refuse(node, f"there is no rule for mode {mode!r}")
    corners = _corners(low, node, mode)
    kind: dict[int, Setting] = {0: _NEAREST if mode == "nearest" else _LINEAR, 6: corners}
    result, value = low.dims(node.outputs[0]), graphs.need(node, 0)
    scales = graphs.constant(graphs.operand(node, 2))
    if None not in result:
        _, height, width = low.whole(node, node.outputs[0])
        low.write(node, "Interp", [low.picture(node)], {**kind, 3: height, 4: width})
    elif scales is not None and scales.size == 4:
        if tuple(scales[:2]) != (1, 1):
            raise refuse(node, "only height and width can be resized")
        low.write(node, "Interp", [low.picture(node)], {**kind, 1: float(scales[2]), 2: float(scales[3])})
    else:
        like = _sized_like(node)
        if low.dims(value)[0] != result[0]:
            raise refuse(node, "only height and width can be resized")
        low.write(node, "Interp", [low.picture(node), low.of(like)], {**kind, 5: 1})


def _corners(low: Lowering, node: ir.Node, mode: str) -> int:
    """Whether the corners are sampled; refuses points that Interp cannot sample."""
    coordinates = graphs.attr_str(node, "coordinate_transformation_mode", "half_pixel")
    if mode == "linear":
        if coordinates not in _LINEAR_POINTS:
            raise refuse(node, f"linear with {coordinates!r} coordinates has no rule")
        return _LINEAR_POINTS[coordinates]
    rounding = graphs.attr_str(node, "nearest_mode", "round_prefer_floor")
    if (coordinates, rounding) != ("asymmetric", "floor") and not (
        (coordinates, rounding) in _REPEATS and _repeats(low, node)
    ):
        raise refuse(node, f"nearest with {coordinates!r} coordinates and {rounding!r} has no rule")
    return 0


def _repeats(low: Lowering, node: ir.Node) -> bool:
    """Whether every pixel is repeated a whole number of times."""
    scales = graphs.constant(graphs.operand(node, 2))
    if scales is not None and scales.size == 4:
        return all(float(n).is_integer() for n in scales)
    before, after = low.dims(graphs.need(node, 0)), low.dims(node.outputs[0])
    return all(a is not None and b is not None and b % a == 0 for a, b in zip(before, after, strict=True))


def _sized_like(node: ir.Node) -> ir.Value:
    """The value whose height and width a computed size repeats."""
    found = _places(graphs.need(node, 3))
    if len(found) == 4 and found[2] is not None and found[3] is not None:
        (tall, row), (wide, column) = found[2], found[3]
        if tall is wide and (row, column) == (2, 3):
            return tall
    raise refuse(node, "its size is not that of another value of the network: give --size HEIGHTxWIDTH")


def _places(size: ir.Value) -> list[tuple[ir.Value, int] | None]:
    """For each number of a size, or of a part of one: the value and the axis that it is of; None for a constant."""
    held, node = graphs.constant(size), graphs.producer(size)
    if held is not None:
        return [None] * held.size
    if node is not None and node.op_type == "Concat":
        return [place for part in node.inputs if part is not None for place in _places(part)]
    if node is None or node.op_type != "Shape":
        return []
    source = graphs.need(node, 0)
    rank = 4 if source.shape is None else len(source.shape)
    first, stop, _ = slice(graphs.attr_int(node, "start", 0), graphs.attr_int(node, "end", rank)).indices(rank)
    return [(source, axis) for axis in range(first, stop)]
