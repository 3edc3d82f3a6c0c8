"""The runners of a file and a unit, and their availability on this machine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from clearport.registry import RUNNERS, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clearport.protocols import Runner


class Written(Protocol):
    """The fields of an artifact, or of its record, that choose its runners."""

    @property
    def target(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def variant(self) -> str: ...


def runners_of(file: Written, unit: str = "cpu") -> Iterator[tuple[Runner, str | None]]:
    """Every runner of a file on a unit, or why it cannot run it here (None: it can); timed ones first."""
    found = [RUNNERS.get(name) for name in RUNNERS.names()]
    fitting = [runner for runner in found if file.target in runner.targets and unit in units_of(runner)]
    for runner in sorted(fitting, key=lambda r: (not r.measures_latency, r.name)):
        yield runner, obstacle_of(runner) or distorted(runner, file)


def units_of(runner: Runner) -> tuple[str, ...]:
    """The units that a runner supports."""
    return tuple(getattr(runner, "units", ("cpu",)))


def method_of(runner: Runner, file: Written) -> str:
    """How a runner runs a file, for rows and records."""
    told = getattr(runner, "method_of", None)
    return runner.method if told is None else str(told(file.variant))


def too_large(runner: Runner, height: int, width: int) -> str | None:
    """Why a runner runs a picture only if named explicitly, or None.

    Slow runners limit the size of pictures (``most_pixels``).
    """
    most: int | None = getattr(runner, "most_pixels", None)
    if most is None or height * width <= most:
        return None
    side = math.isqrt(most)
    return f"{runner.title} takes about a second for 10^9 multiply-accumulates: not run above {side}x{side} pixels"


def distorted(runner: Runner, file: Written) -> str | None:
    """Why a runner computes a file wrong on this machine's CPU; None: it does not."""
    distorts = getattr(runner, "distorts", None)
    return None if distorts is None else distorts(file.precision, file.variant)


def obstacle_of(runner: Runner) -> str | None:
    """Why a runner cannot be used here; None: it can."""
    unavailable = getattr(runner, "unavailable", None)
    if unavailable is not None and (reason := unavailable()):
        return str(reason)
    if hasattr(runner, "interpreter"):
        return None  # its packages are in another Python
    absent = missing(runner.requires)
    return f"{', '.join(absent)} is not installed" if absent else None
