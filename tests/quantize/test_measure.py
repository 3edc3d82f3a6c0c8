"""The distance of outputs that ranges and float layers are chosen by."""

from __future__ import annotations

import numpy as np
import pytest

from clearport.base import TensorSpec
from clearport.graph import feeds
from clearport.quantize import weight_only
from clearport.quantize.measure import Measure
from clearport.runtime.tolerance import QUANTIZATION, Tolerance, tolerance_for

PICTURE = TensorSpec("restored", (1, 3, "H", "W"))


@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
def test_class_numbers_and_truth_values_are_the_same_or_not(dtype: type) -> None:
    """Class 19 for class 0 is no larger error than class 1, and truth values have no difference."""
    measure = Measure((12.0,))
    wanted = np.zeros((1, 10, 10), dtype)
    for wrong in (1, 19):
        given = wanted.copy()
        given[0, 0, 0] = wrong
        assert measure.psnr_db(measure.error([given], [wanted])) == pytest.approx(40.0)
    assert measure.error([wanted], [wanted]) == 0


def test_the_worst_of_several_outputs_counts_in_units_of_the_first() -> None:
    """A good output excuses no other: each is proven alone."""
    measure = Measure((2.0, 8.0))
    picture, classes = np.zeros((1, 1, 10, 10), np.float32), np.zeros((1, 10, 10), np.int64)
    wrong = classes.copy()
    wrong[0, :5] = 3
    assert measure.error([picture, wrong], [picture, classes]) == pytest.approx((0.5 * 2.0) ** 2)
    assert measure.error([picture + 1, classes], [picture, classes]) == pytest.approx(1)
    assert measure.error([picture + 0.1, wrong], [picture, classes]) == pytest.approx((0.5 * 2.0) ** 2)


def flat(deviation: float) -> list[list[np.ndarray]]:
    """Two pictures whose colors, and means, differ by far more than any channel's values."""
    stripes = np.where(np.arange(64) % 2, deviation, -deviation) * np.ones((1, 3, 64, 64))
    colors = np.array([20.0, 120.0, 220.0]).reshape(1, 3, 1, 1)
    return [[stripes + colors], [stripes + colors[:, ::-1]]]


@pytest.mark.parametrize(
    ("limits", "deviations"),
    [
        (QUANTIZATION, feeds.FLAT_DEVIATIONS),
        (tolerance_for("fp16", PICTURE), feeds.FLAT_DEVIATIONS),
        (tolerance_for("int8-weights", PICTURE), weight_only.FLAT_DEVIATIONS),
    ],
)
@pytest.mark.parametrize("deviation", [2.0, 60.0])
def test_pictures_are_judged_by_the_stricter_of_the_two_limits_of_their_proof(
    limits: Tolerance, deviations: float, deviation: float
) -> None:
    """An error at the limit of the measure is at the proof's own limit: of the range, or of a flat picture."""
    (span,) = feeds.spans([PICTURE], flat(deviation), deviations)
    assert limits.min_psnr_db is not None
    assert limits.min_sqnr_db is not None
    error = Measure((span,)).allowed(limits.min_psnr_db)
    margins = (
        20 * np.log10(255 / np.sqrt(error)) - limits.min_psnr_db,
        20 * np.log10(deviation / np.sqrt(error)) - limits.min_sqnr_db,
    )
    assert min(margins) == pytest.approx(0, abs=0.02)


def test_a_picture_of_one_color_is_judged_by_its_range() -> None:
    assert feeds.spans([PICTURE], flat(0.0)) == [255.0]
