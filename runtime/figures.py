"""Metrics of a data set other than PSNR, each with its confidence interval and its change to a baseline.

A figure is a function of the scores of all examples: a mean, or an area under a curve. Its interval is a percentile
bootstrap over *groups* (scenes, videos): examples of one group are correlated, so only whole groups are resampled. A
change is resampled with the same groups on both sides, which cancels differences between groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Array

RESAMPLES = 1000
LEAST_GROUPS = 5
"""Minimum number of groups for an interval: resamples of fewer are too similar."""

Score = Mapping[str, float]
"""Name -> measured score of one example."""

Summary = Callable[[Sequence[Score]], float]
"""A figure of many examples; NaN if undefined, such as an area under a curve with one class only."""


@dataclass(frozen=True)
class Metric:
    """A figure: its name, unit, definition (``protocol``), and whether higher is better."""

    name: str
    unit: str
    protocol: str
    of: Summary
    more: bool = True
    digits: int = 2


@dataclass(frozen=True)
class Span:
    """Confidence interval of a figure."""

    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Figure:
    """A figure with its interval; ``change`` is its difference to the baseline's, positive if higher.

    Intervals are None for fewer than ``LEAST_GROUPS`` groups, changes without a baseline.
    """

    metric: str
    value: float
    span: Span | None
    change: float | None = None
    change_span: Span | None = None


def mean_of(key: str) -> Summary:
    """The mean of one score over the examples."""

    def mean(scores: Sequence[Score]) -> float:
        return float(np.mean([score[key] for score in scores]))

    return mean


def figures(
    metrics: Sequence[Metric],
    scores: Sequence[Score],
    groups: Sequence[str],
    baseline: Sequence[Score] | None,
    confidence: float,
) -> tuple[Figure, ...]:
    """The figures of ``scores``, one entry per example, with ``groups`` their groups; deterministic."""
    draws = _draws(groups)
    return tuple(_figure(metric, scores, baseline, draws, confidence) for metric in metrics)


def _draws(groups: Sequence[str]) -> list[Array]:
    """Resamples: the examples of as many groups as there are, each drawn with replacement."""
    named: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        named.setdefault(group, []).append(index)
    members = list(named.values())
    if len(members) < LEAST_GROUPS:
        return []
    generator = np.random.default_rng(0)
    chosen = generator.integers(0, len(members), (RESAMPLES, len(members)))
    return [np.array([index for group in row for index in members[group]]) for row in chosen]


def _figure(
    metric: Metric, scores: Sequence[Score], baseline: Sequence[Score] | None, draws: Sequence[Array], confidence: float
) -> Figure:
    value, drawn = metric.of(scores), [metric.of([scores[i] for i in draw]) for draw in draws]
    if baseline is None:
        return Figure(metric.name, value, _span(drawn, confidence))
    others = [metric.of([baseline[i] for i in draw]) for draw in draws]
    changes = [mine - theirs for mine, theirs in zip(drawn, others, strict=True)]
    span = _span(changes, confidence)
    return Figure(metric.name, value, _span(drawn, confidence), value - metric.of(baseline), span)


def _span(drawn: Sequence[float], confidence: float) -> Span | None:
    """Resamples for which the figure is undefined are left out."""
    found = np.array([value for value in drawn if np.isfinite(value)])
    if not len(found):
        return None
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Span(float(low), float(high), confidence)
