"""Figures with intervals over groups."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clearport.runtime.figures import Metric, figures, mean_of

MEAN = Metric("error", "", "a mean", mean_of("x"))


def scores(values: np.ndarray) -> list[dict[str, float]]:
    return [{"x": float(value)} for value in values]


def test_an_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    (found,) = figures([MEAN], scores(values), [str(i) for i in range(400)], None, 0.95)
    assert found.value == pytest.approx(values.mean())
    assert found.span is not None
    assert (found.span.high - found.span.low) / (2 * 1.96 * 2.0 / 20.0) == pytest.approx(1.0, abs=0.15)


def test_examples_of_a_group_are_drawn_together() -> None:
    """Ten copies of each example say no more than one."""
    values = np.random.default_rng(0).normal(0.0, 1.0, 30)
    (one,) = figures([MEAN], scores(values), [str(i) for i in range(30)], None, 0.95)
    copies, groups = np.repeat(values, 10), [str(i // 10) for i in range(300)]
    (many,) = figures([MEAN], scores(copies), groups, None, 0.95)
    assert one.span is not None
    assert many.span is not None
    assert many.span.high - many.span.low == pytest.approx(one.span.high - one.span.low, rel=1e-6)


def test_a_change_is_paired() -> None:
    wanted = np.random.default_rng(0).normal(0.0, 10.0, 50)
    groups = [str(i) for i in range(50)]
    (found,) = figures([MEAN], scores(wanted - 0.5), groups, scores(wanted), 0.95)
    assert found.change_span is not None
    assert (found.change, found.change_span.low, found.change_span.high) == pytest.approx((-0.5, -0.5, -0.5))


def test_few_groups_have_no_interval_and_figures_that_do_not_exist_are_left_out() -> None:
    (few,) = figures([MEAN], scores(np.arange(4.0)), ["a", "a", "b", "c"], None, 0.95)
    assert few.span is None
    sparse = Metric("sparse", "", "", lambda s: math.nan if s[0]["x"] < 2 else 1.0)
    (found,) = figures([sparse], scores(np.arange(6.0)), list("abcdef"), None, 0.95)
    assert found.span is not None
    assert found.span.low == found.span.high == 1.0
