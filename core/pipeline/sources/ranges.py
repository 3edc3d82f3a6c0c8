"""Detection of a network's value range (black and white): from the file if declared, else from outputs for photos."""

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
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir

    from clearport.base import Array, Graph

    Range = tuple[float, float]

UNIT, BYTES, SIGNED = (0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)
CANDIDATES: tuple[Range, ...] = (UNIT, BYTES, SIGNED)

_CLOSE_DB = 15.0
"""Minimum PSNR of an output to the photo to count as the restored photo, in the assumed range."""
_CLEAR_DB = 3.0
"""Minimum difference in PSNR to prefer one range over another."""
_CONTRAST, _CORRELATION = 0.02, 0.5
"""Minimum standard deviation (5 levels) and correlation with the photo for an output to be a picture."""


@dataclass(frozen=True)
class Found:
    """A range, a description of how it was determined, and whether the tensor is a picture."""

    range: tuple[float, float] | None
    why: str
    picture: bool = True


def at_output(graph: Graph, index: int = 0) -> Found | None:
    """The range implied by the last operators before an output: a clamp, a sigmoid, a hyperbolic tangent."""
    node = graph.model.graph.outputs[index].producer()
    for _ in range(4):
        if node is None:
            return None
        found = _range_of(node)
        if found is not None:
            return Found(found, f"its output comes from {node.op_type}")
        if not _passes_on(node):
            return None
        node = graphs.need(node, 0).producer()
    return None


def _passes_on(node: ir.Node) -> bool:
    """Whether an operator only moves data."""
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
    """The range implied by the first operators after an input: a division by 255, or 127.5."""
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


def from_photos(
    photos: Sequence[Array], restore: Callable[[int, Range], Array], given: Range | None = None
) -> tuple[Found, Found]:
    """The input and output ranges with which photos are restored to photos.

    Args:
        photos: float32 (1, C, H, W) in 0..1.
        restore: the network's output for the photo with an index, in a range.
        given: the output range, if known.

    Returns:
        The range of the input and of the output (None: the output does not resemble the photo).
    """
    scores: dict[tuple[Range, Range], float] = {}
    made_by = {taken: [restore(index, taken) for index in range(len(photos))] for taken in CANDIDATES}
    for taken, outputs in made_by.items():
        for made in CANDIDATES if given is None else (given,):
            pairs = zip(photos, outputs, strict=True)
            likeness = [_likeness(photo, (out - made[0]) / (made[1] - made[0])) for photo, out in pairs]
            scores[taken, made] = float(np.mean(likeness))
    usual = (UNIT, UNIT) if given is None else (given, given)
    best = max(scores, key=lambda key: scores[key])
    if scores[best] < _CLOSE_DB:
        shown = given is not None and _shows(photos, made_by[usual[0]], given)
        said = "assumed: its output is another picture" if shown else "assumed: its output does not resemble its input"
        return Found(usual[0], said), Found(given, said, picture=shown)
    sure = scores[best] >= scores[usual] + _CLEAR_DB and scores[usual] < _CLOSE_DB
    chosen = best if sure else usual
    told = f"photos are restored to photos ({scores[chosen]:.0f} dB)"
    told += "" if sure or len(_near(scores, chosen)) == 1 else "; in other ranges, too, so this one is assumed"
    return Found(chosen[0], told), Found(chosen[1], told, picture=_shows(photos, made_by[chosen[0]], chosen[1]))


def _shows(photos: Sequence[Array], outputs: Sequence[Array], span: Range) -> bool:
    """Whether outputs are pictures: they have contrast, and their brightness correlates with the photo's (or its
    negative).
    """
    contrast = np.mean([float(np.sqrt(np.var(output, axis=(2, 3)).mean())) for output in outputs]) / (span[1] - span[0])
    alike = [abs(_correlation(photo, output)) for photo, output in zip(photos, outputs, strict=True)]
    return bool(contrast >= _CONTRAST and np.mean(alike) >= _CORRELATION)


def clipped(output: Array, span: Range) -> float:
    """The share of its variance that an output (1, C, H, W) loses when clipped to a range."""
    real = output.astype(np.float64)
    own = float(np.mean(np.var(real, axis=(0, 2, 3)))) if real.ndim == 4 else 0.0
    cut = float(np.mean((real - np.clip(real, *span)) ** 2))
    return cut / own if own else float(cut > 0)


def _correlation(photo: Array, output: Array) -> float:
    """Correlation of channel means, sampled at as many positions as the smaller picture has pixels."""
    height, width = (min(a, b) for a, b in zip(photo.shape[2:], output.shape[2:], strict=True))
    one, other = (_sampled(picture, height, width).mean(axis=1).ravel() for picture in (photo, output))
    spread = float(np.std(one) * np.std(other))
    return float(np.mean((one - one.mean()) * (other - other.mean()))) / spread if spread else 0.0


def _near(scores: Mapping[tuple[Range, Range], float], chosen: tuple[Range, Range]) -> list[tuple[Range, Range]]:
    """Ranges with about the same score as the chosen ones."""
    return [key for key, score in scores.items() if score > scores[chosen] - _CLEAR_DB]


def _likeness(photo: Array, output: Array) -> float:
    """PSNR in dB of an output in 0..1 to a photo; both are sampled at as many positions as the smaller has pixels."""
    if output.ndim != 4 or not np.isfinite(output).all():
        return 0.0
    height, width = (min(a, b) for a, b in zip(photo.shape[2:], output.shape[2:], strict=True))
    one, other = (_sampled(picture, height, width) for picture in (photo, output))
    if one.shape != other.shape:
        one, other = (picture.mean(axis=1) for picture in (one, other))
    return min(60.0, -10 * math.log10(max(float(np.mean((one - other) ** 2)), 1e-6)))


def _sampled(picture: Array, height: int, width: int) -> Array:
    """Means around evenly spaced positions."""
    rows, columns = (
        np.linspace(0, have, count + 1).astype(int)[:-1]
        for have, count in zip(picture.shape[2:], (height, width), strict=True)
    )
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.float64), rows, axis=2), columns, axis=3)
    sizes = [np.diff(np.append(n, have)) for n, have in zip((rows, columns), picture.shape[2:], strict=True)]
    return np.asarray(sums / np.outer(*sizes))
