"""The receptive field of a graph's output pixels, derived from its operators.

Along each axis, pixel q of a tensor depends on input pixels ``step * q + low`` to ``step * q + high``. Operators that
mix all pixels, or move them in ways that are not modeled here, raise ``Whole``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.record import resolved

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Graph

_PARTS = 64
_PIXELWISE = frozenset(
    " ".join(
        (
            "And BatchNormalization Cast Celu Concat Cos Elu Equal Expand Greater HardSigmoid Identity Less Mish Mod",
            "Not Or Round Selu Sign Sin Softplus Softsign Sum ThresholdedRelu Where",
        )
    ).split()
)
"""Elementwise operators, besides those whose records say so."""


_GLOBAL = frozenset(
    " ".join(
        (
            "GlobalAveragePool GlobalMaxPool GlobalLpPool InstanceNormalization LpNormalization DFT TopK",
            "GridSample DeformConv GatherElements GatherND ScatterElements ScatterND",
        )
    ).split()
)
"""Operators that read the whole picture, or data-dependent positions."""


class Whole(Exception):
    """An output pixel depends on all input pixels (``known``), or on ones that the operators do not tell.

    The layer is named.
    """

    def __init__(self, layer: str, *, known: bool = False) -> None:
        super().__init__(layer)
        self.known = known


@dataclass(frozen=True)
class _Span:
    step: Fraction
    low: Fraction
    high: Fraction

    def through(self, step: Fraction, low: Fraction, high: Fraction) -> _Span:
        """The span of a tensor whose pixel q reads this tensor's pixels ``step * q + low`` to ``step * q + high``."""
        return _Span(self.step * step, self.low + self.step * low, self.high + self.step * high)

    def also(self, other: _Span) -> _Span:
        return _Span(max(self.step, other.step), min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True)
class Seen:
    """A tensor's spans along its height and width, and the indices of these axes."""

    spans: tuple[_Span, _Span]
    axes: tuple[int, int]
    rank: int


def halo_of(graph: Graph, crop: int = 0) -> int:
    """The receptive field (halo) in input pixels per side, the largest over all picture outputs.

    ``crop``: output pixels per axis that unpadded windows remove, both borders together; the first output pixel is
    half as many from the border.

    Raises:
        Whole: an output pixel depends on all input pixels, or the operators do not tell.
    """
    one = _Span(Fraction(1), Fraction(0), Fraction(0))
    known: dict[str, Seen] = {}
    for value in graph.model.graph.inputs:
        rank = len(value.shape or ())
        if rank == 4:
            known[graphs.name_of(value)] = Seen((one, one), (2, 3), 4)
    for node in graph.model.graph:
        found = _of_node(node, known)
        if found is not None:
            known.update((graphs.name_of(value), found) for value in node.outputs)
    ends = [known[name] for value in graph.model.graph.outputs if (name := graphs.name_of(value)) in known]
    return max((_halo(span, crop // 2) for seen in ends for span in seen.spans), default=0)


def _halo(span: _Span, lead: int) -> int:
    """From the input pixel that an output pixel lies on: what is read are whole pixels."""
    within, moved = 1 - Fraction(1, span.step.denominator), span.step * lead
    return max(math.floor(moved - span.low), math.floor(span.high - moved + within), 0)


def _of_node(node: ir.Node, known: dict[str, Seen]) -> Seen | None:
    """The field of a node's outputs; None if it does not depend on the picture."""
    read = [known[v.name] for v in node.inputs if v is not None and v.name in known]
    record = table.of(node)
    if not read or record.kind == "shape":
        return None
    if record.reach is not None:
        found: Seen = resolved(record.reach)(node, read[0])
        return found
    if record.elementwise or node.op_type in _PIXELWISE:
        return _joined(node, read)
    if record.kind == "matrix" and len(read) == 1 and graphs.constant(graphs.need(node, 1)) is not None:
        return _of_last_axis(node, read[0])
    raise Whole(_what(node), known=node.op_type in _GLOBAL)


def _what(node: ir.Node) -> str:
    return f"{node.op_type} {node.name!r}"


def _joined(node: ir.Node, read: list[Seen]) -> Seen:
    first = max(read, key=lambda seen: seen.rank)
    for seen in read:
        if seen.rank == first.rank and seen.axes != first.axes:
            raise Whole(_what(node))
    if node.op_type == "Concat" and graphs.attr_int(node, "axis", 1) % first.rank in first.axes:
        raise Whole(_what(node))
    spans = [seen.spans for seen in read]
    height, width = (spans[0][axis] for axis in (0, 1))
    for one in spans[1:]:
        height, width = height.also(one[0]), width.also(one[1])
    return Seen((height, width), first.axes, first.rank)


def reduction(node: ir.Node, seen: Seen) -> Seen:
    """A reduction over non-spatial axes."""
    given = graphs.constant(graphs.operand(node, 1))
    axes = [int(n) % seen.rank for n in given] if given is not None else list(range(seen.rank))
    if not graphs.attr_int(node, "keepdims", 1):
        raise Whole(_what(node))
    return _over(node, seen, axes)


def softmax(node: ir.Node, seen: Seen) -> Seen:
    """A normalization over one non-spatial axis."""
    return _over(node, seen, [graphs.attr_int(node, "axis", -1) % seen.rank])


def normalization(node: ir.Node, seen: Seen) -> Seen:
    """A normalization over the axes from ``axis`` on, all of them non-spatial."""
    return _over(node, seen, list(range(graphs.attr_int(node, "axis", -1) % seen.rank, seen.rank)))


def _over(node: ir.Node, seen: Seen, axes: list[int]) -> Seen:
    if set(axes) & set(seen.axes):
        raise Whole(_what(node), known=True)
    return seen


def _of_last_axis(node: ir.Node, seen: Seen) -> Seen:
    if seen.rank - 1 in seen.axes:
        raise Whole(_what(node))
    return seen


def windows(node: ir.Node, seen: Seen) -> Seen:
    """A sliding window: convolution, pooling, transposed convolution."""
    kernel = graphs.attr_ints(node, "kernel_shape", ())
    if len(kernel) != 2 or seen.axes != (2, 3):
        raise Whole(_what(node))
    strides, dilations = (graphs.attr_ints(node, name, (1, 1)) for name in ("strides", "dilations"))
    pads = graphs.attr_ints(node, "pads", (0, 0, 0, 0))
    spans = []
    for axis, span in enumerate(seen.spans):
        extent = (kernel[axis] - 1) * dilations[axis]
        if table.of(node).transposed:
            step = Fraction(1, strides[axis])
            spans.append(span.through(step, (pads[axis] - extent) * step, pads[axis] * step))
        else:
            spans.append(span.through(Fraction(strides[axis]), Fraction(-pads[axis]), Fraction(extent - pads[axis])))
    return Seen((spans[0], spans[1]), seen.axes, seen.rank)


def blocks(node: ir.Node, seen: Seen) -> Seen:
    """Depth to space and back."""
    block = graphs.attr_int(node, "blocksize", 1)
    if node.op_type == "DepthToSpace":
        spans = [s.through(Fraction(1, block), Fraction(1 - block, block), Fraction(0)) for s in seen.spans]
    else:
        spans = [s.through(Fraction(block), Fraction(0), Fraction(block - 1)) for s in seen.spans]
    return Seen((spans[0], spans[1]), seen.axes, seen.rank)


def resize(node: ir.Node, seen: Seen) -> Seen:
    """Resizing."""
    if seen.axes != (2, 3):
        raise Whole(_what(node))
    mode = graphs.attr_str(node, "mode", "nearest")
    cells = 2 if mode == "cubic" else 1
    corner = graphs.attr_str(node, "coordinate_transformation_mode", "half_pixel") == "align_corners"
    spans = []
    for axis, span in enumerate(seen.spans):
        step = _step(node, axis)
        if corner and step != 1:
            raise Whole(_what(node))  # pixel positions depend on the full side length
        if mode == "nearest" and 1 in {step.numerator, step.denominator}:
            spans.append(span.through(step, min(Fraction(0), step - 1), max(Fraction(0), step - 1)))
            continue
        width = cells * max(Fraction(1), step) if graphs.attr_int(node, "antialias", 0) else Fraction(cells)
        moved = (step - 1) / 2
        spans.append(span.through(step, min(Fraction(0), moved) - width, max(Fraction(0), moved) + width))
    return Seen((spans[0], spans[1]), seen.axes, seen.rank)


def _step(node: ir.Node, axis: int) -> Fraction:
    scales = graphs.constant(graphs.operand(node, 2))
    if scales is not None and scales.size:
        return 1 / Fraction(float(scales[2 + axis])).limit_denominator(_PARTS)
    given, made = (v.shape[2 + axis] if v.shape is not None else None for v in (graphs.need(node, 0), node.outputs[0]))
    if not isinstance(given, int) or not isinstance(made, int):
        raise Whole(_what(node))
    return Fraction(given, made)


def cut(node: ir.Node, seen: Seen) -> Seen:
    """Slicing."""
    starts, _, axes, steps = (graphs.constant(graphs.operand(node, index)) for index in (1, 2, 3, 4))
    if starts is None or axes is None:
        raise Whole(_what(node))
    moves = {int(a) % seen.rank: int(s) for a, s in zip(axes, starts, strict=True)}
    by = {int(a) % seen.rank: int(s) for a, s in zip(axes, steps, strict=True)} if steps is not None else {}
    spans = []
    for axis, span in zip(seen.axes, seen.spans, strict=True):
        start, step = moves.get(axis, 0), by.get(axis, 1)
        if start < 0 or step < 1:
            raise Whole(_what(node))
        spans.append(span.through(Fraction(step), Fraction(start), Fraction(start)))
    return Seen((spans[0], spans[1]), seen.axes, seen.rank)


def pad(node: ir.Node, seen: Seen) -> Seen:
    """Padding."""
    pads = graphs.constant(graphs.operand(node, 1))
    if pads is None or len(pads) != 2 * seen.rank or graphs.attr_str(node, "mode", "constant") == "wrap":
        raise Whole(_what(node))
    spans = [
        span.through(Fraction(1), Fraction(-int(pads[axis])), Fraction(-int(pads[axis])))
        for axis, span in zip(seen.axes, seen.spans, strict=True)
    ]
    return Seen((spans[0], spans[1]), seen.axes, seen.rank)


def transpose(node: ir.Node, seen: Seen) -> Seen:
    """Transposition."""
    order = list(graphs.attr_ints(node, "perm", tuple(reversed(range(seen.rank)))))
    return Seen(seen.spans, (order.index(seen.axes[0]), order.index(seen.axes[1])), seen.rank)
