"""Sustained latency over minutes: hot chips throttle, so the first second does not predict the tenth minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from clearport.runtime.latency.conditions import Conditions, drift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array
    from clearport.runtime.worker.worker import Timing

SLICE_S = 1.0
"""Seconds per point of the curve."""

SLOWER = 1.1
"""Maximum ratio of the last quarter's time to the first's; less counts as noise."""

_LONGEST_SLICE = 10_000


class Timed(Protocol):
    """Protocol of a timeable object: a ``Worker``."""

    def measure(self, inputs: Mapping[str, Array] | None, runs: int, warmup: int = 0) -> Timing:
        """Time ``runs`` inferences."""
        ...


@dataclass(frozen=True)
class Slice:
    """One point of the curve.

    Attributes:
        elapsed_s: seconds from the start to its end.
        runs: number of inferences.
        median_ms: their median.
        hottest_c: the highest temperature in degrees Celsius; None if not reported.
        slowest_mhz: the lowest clock; None if not reported.
    """

    elapsed_s: float
    runs: int
    median_ms: float
    hottest_c: float | None
    slowest_mhz: float | None


@dataclass(frozen=True)
class Sustained:
    """One artifact run without a pause.

    Attributes:
        seconds: how long it ran.
        curve: its slices, in order.
        first_ms, last_ms: medians of the slices of the first and of the last quarter.
        slowdown: ``last_ms`` over ``first_ms``.
        remarks: reasons why the figures are not comparable with others; empty if conditions were stable.
    """

    seconds: float
    curve: tuple[Slice, ...]
    first_ms: float
    last_ms: float
    slowdown: float
    remarks: tuple[str, ...]


def sustain(
    timed: Timed, seconds: float, conditions: Callable[[], Conditions], tell: Callable[[float], None]
) -> Sustained:
    """Run the last bound inputs for at least ``seconds``; ``tell`` is called with the elapsed seconds."""
    before, started = conditions(), time.monotonic()
    curve: list[Slice] = []
    runs = 1
    while not curve or curve[-1].elapsed_s < seconds:
        timing = timed.measure(None, runs)
        now = conditions()
        curve.append(_slice(time.monotonic() - started, timing.wall_ms, now))
        tell(curve[-1].elapsed_s)
        runs = int(np.clip(SLICE_S * 1e3 / max(curve[-1].median_ms, 1e-3), 1, _LONGEST_SLICE))
    return judged(tuple(curve), before, now)


def judged(curve: tuple[Slice, ...], before: Conditions, after: Conditions) -> Sustained:
    """Summary of a curve, with the conditions at its start and end."""
    quarter = -(-len(curve) // 4)
    first, last = (float(np.median([s.median_ms for s in part])) for part in (curve[:quarter], curve[-quarter:]))
    slowdown = last / first if first else 1.0
    slower = (f"the last quarter took {slowdown:.2f} times as long as the first",) if slowdown > SLOWER else ()
    return Sustained(curve[-1].elapsed_s, curve, first, last, slowdown, (*slower, *drift(before, after)))


def _slice(elapsed_s: float, samples_ms: Sequence[float], now: Conditions) -> Slice:
    return Slice(
        elapsed_s=round(elapsed_s, 3),
        runs=len(samples_ms),
        median_ms=round(float(np.median(samples_ms)), 4),
        hottest_c=max(now.temperatures_c.values(), default=None),
        slowest_mhz=min(now.clocks_mhz.values(), default=None),
    )
