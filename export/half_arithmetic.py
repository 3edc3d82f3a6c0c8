"""How far a network computed in float16 is from float32: what GPUs and NPUs make of an fp16 file, emulated.

An fp16 file is proven on the CPU, whose kernels widen its weights and compute in float32. GPUs do not: numbers beyond
65504 become infinite there, and those below 6e-5 lose their digits. Here every value of the graph is rounded to
float16 wherever it is read, in ONNX Runtime, on the photo of the golden picture, dark and noisy too
(``coreml.fp32_fallback``). A GPU may be better, where it adds in float32, and worse, where it takes the smallest
numbers for zero.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.export.coreml.fp32_fallback import Trial, small
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.base import Array, Graph

PROMISED_DB = 60.0
"""What fp16 files are proven to."""

ENDS = float(np.finfo(np.float16).max)
LEAST = float(np.finfo(np.float16).tiny)
"""The least number that float16 holds with all its digits."""
MANY = 0.5
"""Of a layer's numbers that are not zero, so many below ``LEAST`` are too many."""


@dataclass(frozen=True)
class HalfArithmetic:
    """A graph in float16 arithmetic.

    Attributes:
        psnr_db: the worst picture, to float32; infinite if equal, minus infinity if a number is not finite.
        layer: the operator with the largest number.
        largest: that number.
    """

    psnr_db: float
    layer: str
    largest: float

    @property
    def fits(self) -> bool:
        """Whether float16 holds every number, and the picture is as near as fp16 files must be."""
        return self.psnr_db >= PROMISED_DB and self.largest <= ENDS

    def __str__(self) -> str:
        if self.largest > ENDS:
            return f"its numbers reach {self.largest:.2g} ({self.layer}), and float16 ends at {ENDS:g}"
        return f"it would be {self.psnr_db:.1f} dB from float32, less than the {PROMISED_DB:g} dB of fp16 files"


@dataclass(frozen=True)
class Layers:
    """The operators whose numbers float16 does not hold, by the values that they write: name -> largest magnitude, and
    name -> share of its numbers that are below ``LEAST`` but not zero.
    """

    too_large: Mapping[str, float]
    too_small: Mapping[str, float]


@functools.lru_cache(maxsize=1)
def layers(graph: Graph) -> Layers:
    """Which operators of ``graph`` float16 does not suit, on the pictures of ``measured``."""
    seen = _trial(graph).looked(lambda array: (float(np.abs(array).max(initial=0.0)), _share_below(array)))
    peaks = {name: max(peak for peak, _ in found) for name, found in seen.items()}
    shares = {name: max(share for _, share in found) for name, found in seen.items()}
    return Layers(
        {name: peak for name, peak in peaks.items() if not peak <= ENDS},
        {name: share for name, share in shares.items() if share > MANY},
    )


@functools.lru_cache(maxsize=1)
def _trial(graph: Graph) -> Trial:
    return Trial(small(graph))


def _share_below(array: Array) -> float:
    some = np.abs(array[array != 0])
    return float(np.mean(some < LEAST)) if some.size else 0.0


@functools.lru_cache(maxsize=1)  # every target's fp16 files are of one graph
def measured(graph: Graph) -> HalfArithmetic:
    """``graph`` with every value in float16."""
    trial = _trial(graph)
    peaks = trial.peaks()
    layers = {graphs.name_of(node.outputs[0]): node.name for node in graph.model.graph}
    name = max(peaks, key=lambda name: peaks[name])
    return HalfArithmetic(trial.psnr_db(frozenset()), layers.get(name) or name, peaks[name])
