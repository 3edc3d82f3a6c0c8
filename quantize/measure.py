"""Distance of the outputs from the float network's: the criterion for ranges and placements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.graph import feeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array, Graph

_LEAST_ERROR = 1e-10


@dataclass(frozen=True)
class Measure:
    """Errors of outputs, relative to each output's span (``feeds.spans``), in units of the first output.

    ``spans`` has one number per output. For a low-contrast picture the span is a multiple of its standard
    deviation, as in the proof.
    """

    spans: tuple[float, ...]

    @classmethod
    def of(cls, graph: Graph, wanted: Sequence[Sequence[Array]], deviations: float = feeds.FLAT_DEVIATIONS) -> Measure:
        """The measure of a graph whose outputs for some feeds are ``wanted``; ``deviations`` as in ``feeds.spans``."""
        return cls(tuple(feeds.spans(graph.outputs, wanted, deviations)))

    def error(self, given: Sequence[Array], wanted: Sequence[Array]) -> float:
        """The mean squared error of the worst output, since each output must pass its proof."""
        errors = [_error(*each) for each in zip(given, wanted, self.spans, strict=True)]
        return max(error * (self.spans[0] / span) ** 2 for error, span in zip(errors, self.spans, strict=True))

    def psnr_db(self, error: float) -> float:
        """The PSNR of a mean squared error."""
        whole = self.spans[0] ** 2
        return float(10 * np.log10(whole / max(error, _LEAST_ERROR * whole)))

    def allowed(self, psnr_db: float) -> float:
        """The mean squared error of a PSNR."""
        return float(self.spans[0] ** 2 / 10 ** (psnr_db / 10))


def _error(given: Array, wanted: Array, span: float) -> float:
    """The mean squared error; for class indices and Booleans, the share of unequal values counts as an error of that
    share of the span: 1 % unequal is 40 dB.
    """
    if wanted.dtype.kind != "f":
        return float(np.mean(given != wanted) * span) ** 2
    return float(np.square(given - wanted, dtype=np.float64).mean())
