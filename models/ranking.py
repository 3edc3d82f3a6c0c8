"""Metrics of binary classifiers: AUC, equal error rate, and calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Array

BINS = 10


def margin(logits: Array) -> float:
    """The logit of class 1 minus that of class 0; a single logit itself."""
    found = logits.reshape(-1).astype(np.float64)
    return float(found[0] if len(found) == 1 else found[1] - found[0])


def auc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve: probability that a positive (label 1) scores above a negative, ties counting half.

    NaN if a class is missing.
    """
    positive, negative = scores[labels > 0], scores[labels <= 0]
    if not len(positive) or not len(negative):
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    ties = np.searchsorted(ordered, positive, "right") - below
    return float((below + 0.5 * ties).mean() / len(negative))


def equal_error_rate(scores: Array, labels: Array) -> float:
    """The mean of false positive and false negative rate at the threshold where they are closest."""
    positive, negative = np.sort(scores[labels > 0]), np.sort(scores[labels <= 0])
    if not len(positive) or not len(negative):
        return float("nan")
    thresholds = np.concatenate([np.unique(scores), [np.inf]])
    missed = np.searchsorted(positive, thresholds, "left") / len(positive)
    alarmed = 1.0 - np.searchsorted(negative, thresholds, "left") / len(negative)
    best = int(np.abs(missed - alarmed).argmin())
    return float((missed[best] + alarmed[best]) / 2.0)


def calibration_error(probabilities: Array, labels: Array) -> float:
    """Expected calibration error: mean difference of the share of positives and the mean probability, over ten equal
    bins.
    """
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    found = 0.0
    for each in np.unique(bins):
        inside = bins == each
        found += float(inside.mean() * abs(probabilities[inside].mean() - labels[inside].mean()))
    return found
