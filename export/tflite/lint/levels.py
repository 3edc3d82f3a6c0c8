"""NNAPI's prediction for a .tflite file by API level: supported operators, number of partitions, reasons for the rest.

The delegate asks the API level up to 31. From 32 on it asks the runtime for a feature level, which an update may raise;
the prediction uses what every phone of that API level has, the rules of 31. A newer runtime may also support MIRROR_PAD
and BATCH_MATMUL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearport.export.tflite.lint.nnapi import NnapiReport

API_LEVELS = tuple(range(27, 36))
"""Android 8.1, which introduced NNAPI, to 15, which deprecated it."""


@dataclass(frozen=True)
class LeftOperator:
    """An operator that stays on the CPU: its index in the file, and all unmet conditions at this level."""

    index: int
    op: str
    version: int
    dtype: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class LevelPrediction:
    """A file at one API level: number of NNAPI operators and partitions, and the operators that stay on the CPU."""

    api_level: int
    taken: Mapping[str, int]
    partitions: int
    left: tuple[LeftOperator, ...]

    @property
    def operators(self) -> int:
        """How many operators the file has."""
        return sum(self.taken.values()) + len(self.left)


def predict(report: NnapiReport) -> tuple[LevelPrediction, ...]:
    """A prediction for every API level."""
    return tuple(_at(report, level) for level in API_LEVELS)


def describe(predictions: Sequence[LevelPrediction]) -> str:
    """One readable line; levels with the same outcome are merged."""
    return "NNAPI by API level, predicted: " + "; ".join(_lines(predictions))


def _at(report: NnapiReport, level: int) -> LevelPrediction:
    taken = Counter(f.op for f in report.findings if f.taken(level))
    left = tuple(
        LeftOperator(f.index, f.op, f.version, f.dtype, tuple(why for needed, why in f.needs if needed > level))
        for f in report.refused(level)
    )
    return LevelPrediction(level, dict(sorted(taken.items())), report.partitions(level), left)


def _lines(predictions: Sequence[LevelPrediction]) -> Iterator[str]:
    for outcome, group in groupby(predictions, key=_outcome):
        levels = [prediction.api_level for prediction in group]
        span = f"{levels[0]}" if len(levels) == 1 else f"{levels[0]} to {levels[-1]}"
        yield f"{span}: {outcome}"


def _outcome(prediction: LevelPrediction) -> str:
    count = sum(prediction.taken.values())
    parts = "one part" if prediction.partitions == 1 else f"{prediction.partitions} parts"
    if not prediction.left:
        return f"all {count} operators in {parts}"
    kinds = Counter((left.op, left.reasons[-1]) for left in prediction.left)
    why = ", ".join(f"{n} {op} ({reason})" for (op, reason), n in sorted(kinds.items()))
    where = f"in {parts}" if count else "at all"
    return f"{count or 'none'} of {prediction.operators} operators {where}, not {why}"
