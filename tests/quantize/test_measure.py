"""The distance of outputs that ranges and float layers are chosen by."""

from __future__ import annotations

import numpy as np
import pytest

from clearport.quantize.measure import Measure


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


def test_errors_of_several_outputs_are_in_units_of_the_first() -> None:
    measure = Measure((2.0, 8.0))
    picture, classes = np.zeros((1, 1, 10, 10), np.float32), np.zeros((1, 10, 10), np.int64)
    wrong = classes.copy()
    wrong[0, :5] = 3
    assert measure.error([picture, wrong], [picture, classes]) == pytest.approx((0.5 * 2.0) ** 2 / 2)
    assert measure.error([picture + 1, classes], [picture, classes]) == pytest.approx(0.5)
