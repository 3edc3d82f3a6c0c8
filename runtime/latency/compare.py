"""Comparison of latencies between two runs that were not interleaved, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from clearport.runtime.latency.record import LatencyReport
    from clearport.runtime.latency.stats import Ratio

Outcome = Literal["faster", "slower", "cannot tell", "not comparable"]

BETWEEN_RUNS = 0.05
"""Run-to-run variation of one machine, as a share (MLPerf Mobile requires five runs within 5 %)."""

_RESAMPLES = 2000
_SEED = 20


def other_of(baseline: str) -> str:
    """Readable name of a ratio's baseline: ``PyTorch``, or the other bundle (``tflite/int8 of OLD``)."""
    return {"pytorch": "PyTorch"}.get(baseline, baseline.rpartition(" of ")[2])


def baselines_of(reports: Sequence[LatencyReport]) -> list[str]:
    """The baselines of some reports' ratios, PyTorch first: a table column must have a single baseline."""
    found = dict.fromkeys(other_of(report.ratio.baseline) for report in reports if report.ratio is not None)
    return sorted(found, key=lambda name: (name != "PyTorch", name))


@dataclass(frozen=True)
class Verdict:
    """The new record against the old one.

    Attributes:
        outcome: the verdict of the interval; ``cannot tell`` if it contains 1.
        ratio, low, high: new time over old, with its 95 % interval; None where they cannot be compared.
        basis: ``ratio to NAME`` if both runs had the same baseline, which cancels the machine's noise, else ``wall
            clock``.
        why: the reason if they are not comparable.
    """

    outcome: Outcome
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    basis: str = ""
    why: str = ""


def compare(new: LatencyReport, old: LatencyReport, disturbed: Sequence[str] = ()) -> Verdict:
    """Judge two records of the same artifact on the same device.

    ``disturbed`` names other load in either run: a common baseline compensates for it, the wall clock does not.
    """
    obstacles = _obstacles(new, old)
    if obstacles:
        return Verdict("not comparable", why="; ".join(obstacles))
    if new.ratio is not None and old.ratio is not None and new.ratio.baseline == old.ratio.baseline:
        ratio, low, high = _of_ratios(new.ratio, old.ratio)
        return Verdict(_outcome(low, high), ratio, low, high, f"ratio to {new.ratio.baseline}")
    if disturbed:
        return Verdict("not comparable", why="; ".join(disturbed))
    ratio, low, high = _of_samples(new, old)
    return Verdict(_outcome(low / (1 + BETWEEN_RUNS), high * (1 + BETWEEN_RUNS)), ratio, low, high, "wall clock")


def _obstacles(new: LatencyReport, old: LatencyReport) -> list[str]:
    facts = (
        ("runtime", new.runtime, old.runtime),
        ("unit that ran", new.unit_ran, old.unit_ran),
        ("threads", new.threads, old.threads),
        ("processors", new.pinned, old.pinned),
    )
    differ = [f"{name}: {mine} now, {theirs} then" for name, mine, theirs in facts if mine != theirs]
    if not all(r.median_ms > 0 and (r.ratio is None or r.ratio.low > 0) for r in (new, old)):
        differ.append("the clock is too coarse for these times: a median of 0")
    remarks = [*(f"now: {r}" for r in new.remarks), *(f"then: {r}" for r in old.remarks)]
    return differ + remarks


def _outcome(low: float, high: float) -> Outcome:
    if high < 1:
        return "faster"
    return "slower" if low > 1 else "cannot tell"


def _of_ratios(new: Ratio, old: Ratio) -> tuple[float, float, float]:
    """Interval of the quotient of two independent figures: squared relative widths add, on each side."""
    ratio = new.value / old.value
    down = math.hypot(math.log(new.value / new.low), math.log(old.high / old.value))
    up = math.hypot(math.log(new.high / new.value), math.log(old.value / old.low))
    return ratio, ratio * math.exp(-down), ratio * math.exp(up)


def _of_samples(new: LatencyReport, old: LatencyReport) -> tuple[float, float, float]:
    """Bootstrap of the median over rounds: samples of one round share their noise, so whole rounds are resampled."""
    generator = np.random.default_rng(_SEED)
    mine, theirs = (_medians(r.samples_ms, r.runs_per_round, generator) for r in (new, old))
    low, high = (float(v) for v in np.percentile(mine / theirs, (2.5, 97.5)))
    return new.median_ms / old.median_ms, low, high


def _medians(samples_ms: Sequence[float], per_round: int, generator: np.random.Generator) -> np.ndarray:
    rounds = len(samples_ms) // per_round
    medians = np.median(np.asarray(samples_ms[: rounds * per_round]).reshape(rounds, per_round), axis=1)
    return np.asarray(np.median(medians[generator.integers(rounds, size=(_RESAMPLES, rounds))], axis=1))
