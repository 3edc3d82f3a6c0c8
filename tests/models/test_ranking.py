"""Figures of detectors on examples that can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from clearport.models.ranking import auc, calibration_error, equal_error_rate


def test_an_area_is_the_share_of_pairs_in_order_and_ties_count_half() -> None:
    scores, labels = np.array([0.9, 0.8, 0.8, 0.1]), np.array([1, 0, 1, 0])
    assert auc(scores, labels) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert auc(-scores, labels) == pytest.approx(1 - 3.5 / 4)
    assert math.isnan(auc(scores, np.ones(4)))


def test_an_area_is_that_of_the_rank_sum_test() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 300)
    scores = np.round(generator.normal(0.5 * labels, 1.0), 1)
    wanted = mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    assert auc(scores, labels) == pytest.approx(wanted / ((labels == 1).sum() * (labels == 0).sum()))


def test_the_equal_error_rate() -> None:
    scores, labels = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9]), np.repeat([0, 1], 4)
    assert equal_error_rate(scores, labels) == pytest.approx(0.25)
    assert equal_error_rate(labels.astype(float), labels) == 0.0


def test_the_calibration_error_is_the_distance_of_shares_from_probabilities() -> None:
    probabilities = np.repeat([0.25, 0.75], 100)
    honest = np.concatenate([np.arange(100) < 25, np.arange(100) < 75]).astype(float)
    assert calibration_error(probabilities, honest) == pytest.approx(0.0)
    assert calibration_error(np.repeat([0.05, 0.95], 100), honest) == pytest.approx(0.2)
    assert calibration_error(np.ones(10), np.zeros(10)) == 1.0
