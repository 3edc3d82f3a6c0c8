"""What black and white are in a network's numbers: from the file where it says so, else from what comes of photos."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.graph import nodes as graphs
from clearport.operators import table
from clearport.operators.activations import SIGMOID, TANH
from clearport.operators.quantization import REQUANTIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from clearport.base import Array, Graph

    Range = tuple[float, float]

UNIT, BYTES, SIGNED = (0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)
CANDIDATES: tuple[Range, ...] = (UNIT, BYTES, SIGNED)

_CLOSE_DB = 15.0
"""An output that is as near to the photo is the photo, restored, in the range that was assumed."""
_CLEAR_DB = 3.0
"""How much nearer it must be in one range than in another to tell them apart."""


@dataclass(frozen=True)
class Found:
    """A range, and how it was decided, in words."""

    range: tuple[float, float] | None
    why: str


def at_output(graph: Graph, index: int = 0) -> Found | None:
    """The range that the last operators before an output say: a clamp, a sigmoid, a hyperbolic tangent."""
    node = graph.model.graph.outputs[index].producer()
    for _ in range(4):
        if node is None:
            return None
        found = _range_of(node)
        if found is not None:
            return Found(found, f"its output comes of {node.op_type}")
        if not _passes_on(node):
            return None
        node = graphs.need(node, 0).producer()
    return None


def _passes_on(node: ir.Node) -> bool:
    """Whether an operator gives the numbers that it took."""
    record = table.of(node)
    return record is REQUANTIZE or (record.kind == "mover" and record.int8 is not None)


def _range_of(node: ir.Node) -> Range | None:
    clamp = graphs.clamp_of(node)
    if clamp is not None and (clamp.lo, clamp.hi) in CANDIDATES:
        return clamp.lo, clamp.hi
    if node.op_type == SIGMOID.name:
        return UNIT
    if node.op_type == TANH.name:
        return SIGNED
    if table.of(node).combines == "product":
        factors = [graphs.scalar(value) for value in node.inputs]
        inner = next((v.producer() for v in node.inputs if v is not None and v.producer() is not None), None)
        below = _range_of(inner) if inner is not None else None
        if below == UNIT and 255.0 in factors:
            return BYTES
    return None


def at_input(graph: Graph, index: int = 0) -> Found | None:
    """The range that the first operators behind an input say: a division by 255, or 127.5."""
    value = graph.model.graph.inputs[index]
    for node in graphs.consumers(value):
        constants = [c for v in node.inputs if (c := graphs.constant(v)) is not None and c.size <= 16]
        for array in constants:
            size = float(np.abs(array).max())
            if table.of(node).combines == "product" and 1 / 256 <= size <= 1 / 50:
                return Found(BYTES, f"its input is multiplied by {size:.3g} first")
            if table.of(node).combines == "sum" and 2 < size < 256:
                return Found(BYTES, f"its input is moved by {size:.4g} first")
    return None


def from_photos(photos: Sequence[Array], restore: Callable[[int, Range], Array]) -> tuple[Found, Found]:
    """The ranges at both ends with which photos come out as photos.

    Args:
        photos: float32 (1, C, H, W) in 0..1.
        restore: what the network makes of the photo with this index in a range.

    Returns:
        The range at the input and at the output (None: its output is no picture of the photo).
    """
    scores: dict[tuple[Range, Range], float] = {}
    for taken in CANDIDATES:
        outputs = [restore(index, taken) for index in range(len(photos))]
        for given in CANDIDATES:
            pairs = zip(photos, outputs, strict=True)
            scores[taken, given] = float(
                np.mean([_likeness(p, (o - given[0]) / (given[1] - given[0])) for p, o in pairs])
            )
    best = max(scores, key=lambda key: (round(scores[key]), key == (UNIT, UNIT), key[0] == key[1]))
    if scores[best] < _CLOSE_DB:
        return Found(UNIT, "assumed: its output is no picture of its input"), Found(None, "its output is no picture")
    rivals = [s for key, s in scores.items() if key != best]
    sure = scores[best] >= max(rivals) + _CLEAR_DB
    told = f"photos come out as photos ({scores[best]:.0f} dB)"
    same = "" if sure else ", and in other ranges too, so that this one is assumed"
    return Found(best[0], told + same), Found(best[1], told + same)


def _likeness(photo: Array, output: Array) -> float:
    """How near an output in 0..1 is to a photo, in dB; each is averaged to the smaller of the two sizes."""
    if output.ndim != 4 or output.shape[1] != photo.shape[1] or not np.isfinite(output).all():
        return 0.0
    height, width = (min(a, b) for a, b in zip(photo.shape[2:], output.shape[2:], strict=True))
    square = float(np.mean((_smaller(photo, height, width) - _smaller(output, height, width)) ** 2))
    return min(60.0, -10 * math.log10(max(square, 1e-6)))


def _smaller(picture: Array, height: int, width: int) -> Array:
    rows, columns = (picture.shape[2] // height, picture.shape[3] // width)
    cut = picture[:, :, : rows * height, : columns * width]
    return np.asarray(cut.reshape(*cut.shape[:2], height, rows, width, columns).mean(axis=(3, 5)))
