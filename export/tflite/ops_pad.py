"""TFLite rules: padding, for any rank and axis order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export.tflite.lower import NONE, Lowering
from clearport.export.tflite.ops_move import integers
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.export.tflite.order import Order
    from clearport.export.tflite.tensors import Tensor

    Pads = list[tuple[int, int]]
    """Before and after each axis, in the stored order."""

_REFLECT, _SYMMETRIC = 0, 1
"""``MirrorPadMode`` of the TFLite schema."""
_MOST_COPIES = 8
"""Rows on a side up to which copies are written: LiteRT's MIRROR_PAD computes the place of every number, outside of
XNNPACK, and took 13 to 28 times as long in float32, 50 to 110 times in int8 (LiteRT 2.3.0 on an AMD Zen 3).
"""


def pad(low: Lowering, node: ir.Node) -> None:
    """Pad with a constant -> PAD if it is 0, else PADV2; reflected or edge -> copies of rows, or MIRROR_PAD."""
    image, order = low.stored(node)
    low.same_scale(node, image)
    mode = graphs.attr_str(node, "mode", "constant")
    numbers = graphs.need_constant(node, 1).tolist()
    axes = integers(node, 3, list(range(len(order))))
    pads = [(0, 0)] * len(order)
    for place, axis in enumerate(axes):
        pads[order.index(axis % len(order))] = (numbers[place], numbers[place + len(axes)])
    if min(map(min, pads)) < 0:
        raise low.refuse(node, "negative pads: use Slice")
    if not any(map(any, pads)):
        low.bind(node, image, order)
        return
    if mode in {"edge", "reflect"} and _is_copied(image, pads):
        _copied(low, node, image, order, pads)
        return
    if mode == "edge":
        _edges(low, node, image, order, pads)
        return
    if mode not in {"constant", "reflect"}:
        raise low.refuse(node, f"mode {mode}: TFLite pads with a constant, by reflection or with the edge")
    value = graphs.scalar(graphs.operand(node, 2)) or 0.0
    dims = _padded(image, pads)
    inputs = [image, low.integers("paddings", pads)]
    if mode == "reflect":
        low.write(node, "MIRROR_PAD", inputs, dims, order, mode=_REFLECT)
    elif value:
        low.write(node, "PADV2", [*inputs, low.number("fill", value, image)], dims, order)
    else:
        low.write(node, "PAD", inputs, dims, order)


def _edges(low: Lowering, node: ir.Node, image: Tensor, order: Order, pads: list[tuple[int, int]]) -> None:
    """Edge padding: symmetric MIRROR_PAD by one pixel, repeated."""
    rounds = max(map(max, pads))
    for done in range(rounds):
        now = [(int(before > done), int(after > done)) for before, after in pads]
        dims, paddings = _padded(image, now), low.integers("paddings", now)
        last = done == rounds - 1
        result = low.output(node, [image], dims, order) if last else low.between(node, f"edge{done}", image, dims)
        low.file.operator("MIRROR_PAD", [image, paddings], result, mode=_SYMMETRIC)
        image = result


def _padded(image: Tensor, pads: list[tuple[int, int]]) -> list[int]:
    return [n + before + after for n, (before, after) in zip(image.dims, pads, strict=True)]


def _is_copied(image: Tensor, pads: Pads) -> bool:
    """Whether the rows to copy are few, and there at the file's size."""
    free = image.free or (False,) * len(pads)
    sides = zip(pads, image.dims, free, strict=True)
    return all(not any(pair) or (not loose and max(pair) <= min(_MOST_COPIES, n - 1)) for pair, n, loose in sides)


def _copied(low: Lowering, node: ir.Node, image: Tensor, order: Order, pads: Pads) -> None:
    """Axis by axis: SLICE for each row, and CONCATENATION of rows, tensor and rows."""
    reflect = graphs.attr_str(node, "mode", "constant") == "reflect"
    grown = [place for place, pair in enumerate(pads) if any(pair)]
    for place in grown:
        (before, after), end = pads[place], image.dims[place] - 1
        first = [k if reflect else 0 for k in range(before, 0, -1)]
        last = [end - k if reflect else end for k in range(1, after + 1)]
        rows = {k: _row(low, node, image, place, k) for k in {*first, *last}}
        sides = [_side(low, node, [rows[k] for k in which], place, name) for which, name in ((first, "a"), (last, "b"))]
        dims = [n + before + after if axis == place else n for axis, n in enumerate(image.dims)]
        final = place == grown[-1]
        result = low.output(node, [image], dims, order) if final else low.between(node, f"axis{place}", image, dims)
        low.file.operator(
            "CONCATENATION", [*sides[0], image, *sides[1]], result, axis=place, fusedActivationFunction=NONE
        )
        image = result


def _row(low: Lowering, node: ir.Node, image: Tensor, place: int, k: int) -> Tensor:
    dims = [1 if axis == place else n for axis, n in enumerate(image.dims)]
    begin = [k if axis == place else 0 for axis in range(len(dims))]
    row = low.between(node, f"row{place}.{k}", image, dims)
    low.file.operator("SLICE", [image, low.integers("begin", begin), low.integers("size", dims)], row)
    return row


def _side(low: Lowering, node: ir.Node, rows: list[Tensor], place: int, name: str) -> list[Tensor]:
    """The rows of one side: as they are where there are one or two: XNNPACK joins at most five tensors at once."""
    if len(rows) <= 2:
        return rows
    dims = [len(rows) if axis == place else n for axis, n in enumerate(rows[0].dims)]
    side = low.between(node, f"side{place}{name}", rows[0], dims)
    low.file.operator("CONCATENATION", rows, side, axis=place, fusedActivationFunction=NONE)
    return [side]
