"""Statistics of latency samples: summary figures, and ratios that are robust on a noisy machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_ROUNDS = 6
"""Minimum rounds for a 95 % interval."""

RUNS_PER_ROUND = 5


@dataclass(frozen=True)
class Summary:
    """Figures of samples in milliseconds: percentiles interpolate linearly, ``std_ms`` divides by n - 1."""

    min_ms: float
    max_ms: float
    mean_ms: float
    std_ms: float
    p5_ms: float
    median_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Summary:
        """The figures of at least one sample."""
        values = np.asarray(samples_ms, np.float64)
        p5, p50, p90, p95, p99 = (float(p) for p in np.percentile(values, (5, 50, 90, 95, 99)))
        return cls(
            min_ms=float(values.min()),
            max_ms=float(values.max()),
            mean_ms=float(values.mean()),
            std_ms=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            p5_ms=p5,
            median_ms=p50,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
        )


@dataclass(frozen=True)
class Ratio:
    """Time relative to a baseline, paired per round: the median over rounds, and its 95 % interval."""

    baseline: str
    value: float
    low: float
    high: float


def paired_ratio(baseline: str, rounds: Sequence[Sequence[float]], of: Sequence[Sequence[float]]) -> Ratio | None:
    """``rounds`` over ``of``, each a list of samples per round of the same interleaved run.

    None if the clock is too coarse for the baseline (a median of 0).

    Within a round both have the same noise, so the ratio of their medians is steadier than either.
    """
    medians = [(np.median(mine), np.median(theirs)) for mine, theirs in zip(rounds, of, strict=True)]
    if any(theirs == 0 for _, theirs in medians):
        return None
    ratios = np.sort([mine / theirs for mine, theirs in medians])
    rank = rank_of_interval(len(ratios))
    return Ratio(baseline, float(np.median(ratios)), float(ratios[rank]), float(ratios[-1 - rank]))


def rounds_for(samples: int) -> tuple[int, int]:
    """Number of rounds, and of samples per round, for at least ``samples`` samples and an interval."""
    rounds = max(LEAST_ROUNDS, -(-samples // RUNS_PER_ROUND))
    return rounds, -(-samples // rounds)


def rounds_of(samples_ms: Sequence[float], per_round: int) -> list[Sequence[float]]:
    """Samples in the order taken, round by round."""
    return [samples_ms[first : first + per_round] for first in range(0, len(samples_ms), per_round)]


def rank_of_interval(count: int) -> int:
    """Number of ``count`` sorted values on each side outside the 95 % confidence interval of their median.

    The order statistics of a binomial(count, 1/2) (Conover, Practical Nonparametric Statistics, 3.2): no assumptions
    about the noise. Below ``LEAST_ROUNDS`` values, even the full range has less than 95 % coverage.
    """
    ways, below, rank = 1, 1, 0  # integers, in units of 1 / 2**count: floats underflow at a thousand rounds
    while rank < (count - 1) // 2:
        ways = ways * (count - rank) // (rank + 1)
        if 40 * (below + ways) > 1 << count:
            break
        below, rank = below + ways, rank + 1
    return rank
