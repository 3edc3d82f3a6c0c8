"""The verdict on a file's int8 steps, each in isolation, fed the file's own int8 levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clearport.runtime.steps.reference import Difference

MOST_LEVELS = 1
"""Maximum difference of any value of a step from the reference's, in int8 levels."""

MOST_OFF = 1e-4
"""Maximum share of a step's values that are not a correct rounding (``step_models.TIE``).

LiteRT with XNNPACK, ONNX Runtime and OpenVINO were at 1e-6 and less of any step. Kernels that round twice (TFLite's
own, without XNNPACK) reach 0.15.
"""

_NAMED = 5


@dataclass(frozen=True)
class StepsReport:
    """All int8 steps of a file in one runtime, on one picture.

    Attributes:
        passed: whether every step is within ``MOST_LEVELS`` and ``MOST_OFF``; otherwise ``failures`` says what is not.
        method: how the tensors were computed: ``ran on LiteRT``, ``reference-evaluated`` ...
        sample: the picture: ``photo`` or ``probe``.
        steps, values: numbers of compared steps and values.
        differing: number of values that differ from the reference's step by a level or more.
        off: number of those that are not ties, in steps where more than ``MOST_OFF`` differ.
        levels: the largest difference of any value, in int8 levels.
        worst: the step with the most values that are off, or else that differ; empty if all are equal.
        unseen: int8 tensors that the runtime does not expose; each is proven as part of the steps that read it, or of
            the output.
        output_equal: share (0..1) of the outputs' values that do not change when tensors are read.
    """

    passed: bool
    method: str
    sample: str
    steps: int
    values: int
    differing: int
    off: int
    levels: int
    worst: str
    unseen: int
    output_equal: float
    failures: tuple[str, ...] = ()

    @property
    def equal_share(self) -> float:
        """Share (0..1) of the values that are equal to the reference's step."""
        return 1.0 - self.differing / self.values if self.values else 1.0


def verdict(
    method: str,
    sample: str,
    found: Mapping[str, Difference],
    *,
    unseen: int,
    output_equal: float,
    failures: Sequence[str] = (),
) -> StepsReport:
    """The report of differences by step; ``failures`` are further ones."""
    sums = {name: (_off(d), int(d.differing.sum())) for name, d in found.items()}
    worst = max(sums, key=lambda name: sums[name], default="")
    wrong = [words for name, d in found.items() for words in _failures(name, d)]
    told = wrong[:_NAMED] + ([f"and {len(wrong) - _NAMED} more"] if len(wrong) > _NAMED else [])
    none = () if found else ("no step could be compared",)
    said = (*told, *none, *failures)
    return StepsReport(
        passed=not said,
        method=method,
        sample=sample,
        steps=len(found),
        values=sum(d.values for d in found.values()),
        differing=sum(differing for _, differing in sums.values()),
        off=sum(off for off, _ in sums.values()),
        levels=int(max((d.levels.max(initial=0) for d in found.values()), default=0)),
        worst=worst if worst and any(sums[worst]) else "",
        unseen=unseen,
        output_equal=output_equal,
        failures=said,
    )


def unproven(method: str, sample: str, why: str) -> StepsReport:
    """The report of a file whose tensors could not be compared."""
    return StepsReport(False, method, sample, 0, 0, 0, 0, 0, "", 0, 1.0, (why,))


def is_doubtful(found: Difference) -> bool:
    """Whether enough values differ that ties must be distinguished."""
    return int(found.differing.sum()) > int(MOST_OFF * found.values)


def _off(found: Difference) -> int:
    return 0 if found.off is None else int(found.off.sum())


def _failures(name: str, found: Difference) -> list[str]:
    most = int(found.levels.max(initial=0))
    counts = found.differing if found.off is None else found.off
    channel = int(np.argmax(found.levels if most > MOST_LEVELS else counts))
    where = f", most in channel {channel}" if found.levels.size > 1 else ""
    if most > MOST_LEVELS:
        return [f"step {name}: up to {most} levels off{where} (allowed: {MOST_LEVELS})"]
    if is_doubtful(found) and int(counts.sum()) > int(MOST_OFF * found.values):
        share = int(counts.sum()) / found.values
        return [f"step {name}: {share:.3%} of the values are a level off and no ties{where} (allowed: {MOST_OFF:.2%})"]
    return []
