"""Records of latency that cannot be are refused, and every record that is measured is taken."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.runtime.latency.compare import compare
from clearport.runtime.latency.sound import sound
from clearport.runtime.latency.stats import Ratio
from tests.latency_reports import latency_report

GOOD = latency_report([3.0, 1.0, 2.0])


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40))
def test_real_measurements_are_accepted(samples: list[float]) -> None:
    report = latency_report(samples)
    assert sound(report) is report


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"samples_ms": ()}, "at least one sample"),
        ({"runs_per_round": 0}, "one run a round"),
        ({"threads": 0}, "one thread"),
        ({"runs_per_round": 4}, "less than a round"),
        ({"cpu_samples_ms": (1.0,)}, "1 CPU times for 3 samples"),
        ({"samples_ms": (3.0, -1.0, 2.0)}, "negative"),
        ({"init_ms": math.inf}, "infinite"),
        ({"first_inference_ms": math.nan}, "infinite"),
        ({"median_ms": 0.5}, "out of order"),
        ({"p99_ms": math.nan}, "out of order"),
        ({"mean_ms": 4.0}, "the mean of 4 ms"),
        ({"ratio": Ratio("pytorch", 2.0, 3.0, 4.0)}, "ratio: expected"),
        ({"cpu_ratio": Ratio("pytorch", -1.0, -2.0, 4.0)}, "cpu_ratio: expected"),
        ({"ratio": Ratio("pytorch", math.inf, 1.0, math.inf)}, "ratio: expected"),
    ],
)
def test_impossible_measurements_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sound(replace(GOOD, **changes))


@pytest.mark.parametrize("changes", [{"ratio": Ratio("pytorch", 0.0, 0.0, 1.0)}, {"median_ms": 0.0}])
def test_a_clock_that_is_too_coarse_compares_nothing(changes: dict[str, Any]) -> None:
    """Browsers without isolation round to whole milliseconds."""
    other = replace(GOOD, ratio=Ratio("pytorch", 1.0, 0.9, 1.1))
    for pair in ((replace(other, **changes), other), (other, replace(other, **changes))):
        verdict = compare(*pair)
        assert verdict.outcome == "not comparable"
        assert "too coarse" in verdict.why
