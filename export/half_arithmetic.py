"""Emulated error of float16 arithmetic against float32, as on GPUs and NPUs that run an fp16 file.

An fp16 file is proven on the CPU, whose kernels widen its weights and compute in float32. GPUs do not: values beyond
65504 become infinite there, and values below 6e-5 lose precision. Here every tensor of the graph is rounded to float16
wherever it is read, in ONNX Runtime, on the golden photo, also darkened and with noise (``coreml.fp32_fallback``). A
GPU may be more accurate if it accumulates in float32, and less if it flushes subnormals to zero.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.export.coreml.fp32_fallback import Trial
from clearport.export.trial_pictures import small
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.base import Array, Graph

PROMISED_DB = 60.0
"""Limit of fp16 files, in dB."""

ENDS = float(np.finfo(np.float16).max)
LEAST = float(np.finfo(np.float16).tiny)
"""The smallest normal float16."""
MANY = 0.5
"""Limit on the share of a layer's nonzero values below ``LEAST``."""


@dataclass(frozen=True)
class HalfArithmetic:
    """A graph in float16 arithmetic.

    Attributes:
        psnr_db: PSNR to float32 of the worst picture; infinite if equal, minus infinity if a value is not finite.
        layer: the operator with the largest value.
        largest: that magnitude.
    """

    psnr_db: float
    layer: str
    largest: float

    @property
    def fits(self) -> bool:
        """Whether no value overflows float16, and the picture meets the limit of fp16 files."""
        return self.psnr_db >= PROMISED_DB and self.largest <= ENDS

    def __str__(self) -> str:
        if self.largest > ENDS:
            return f"its numbers reach {self.largest:.2g} ({self.layer}), and float16 ends at {ENDS:g}"
        return f"it would be {self.psnr_db:.1f} dB from float32, less than the {PROMISED_DB:g} dB of fp16 files"


@dataclass(frozen=True)
class Layers:
    """Layers that overflow or underflow float16, by output name: name -> largest magnitude, and name -> share of
    nonzero values below ``LEAST``.
    """

    too_large: Mapping[str, float]
    too_small: Mapping[str, float]


@functools.lru_cache(maxsize=1)
def layers(graph: Graph) -> Layers:
    """The operators of ``graph`` that float16 does not suit, on the pictures of ``measured``."""
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


@functools.lru_cache(maxsize=1)  # the fp16 files of all targets have the same graph
def measured(graph: Graph) -> HalfArithmetic:
    """``graph`` with every value in float16."""
    trial = _trial(graph)
    peaks = trial.peaks()
    layers = {graphs.name_of(node.outputs[0]): node.name for node in graph.model.graph}
    name = max(peaks, key=lambda name: peaks[name])
    return HalfArithmetic(trial.psnr_db(frozenset()), layers.get(name) or name, peaks[name])
