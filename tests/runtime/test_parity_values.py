"""Outputs other than pictures: each is judged by its kind, relative to the signal itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clearport.base import Measure, TensorSpec
from clearport.runtime import limits, parity_values, tolerance
from clearport.runtime.parity import ParityReport
from clearport.runtime.parity_values import ValuesReference

GENERATOR = np.random.default_rng(0)
MAP = TensorSpec("depth", (1, 1, 8, 12), value_range=None, kind="map")


def report(values: np.ndarray, wanted: np.ndarray, how: Measure = "relative", precision: str = "fp32") -> ParityReport:
    spec = replace(MAP, shape=wanted.shape, measure=how)
    allowed = tolerance.tolerance_for(precision, spec)  # type: ignore[arg-type]  # one of them
    reference = ValuesReference("PyTorch fp32", "depth", wanted.astype(np.float32), how)
    return parity_values.compare(values.astype(np.float32), spec, reference, "ran on Toy", allowed)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 3e4])
def test_errors_are_shares_of_the_signal_whatever_its_unit(scale: float) -> None:
    wanted = scale * GENERATOR.normal(size=(1, 1, 8, 12))
    near = wanted + scale * 1e-5 * GENERATOR.normal(size=wanted.shape)
    far = wanted + scale * 3e-2 * GENERATOR.normal(size=wanted.shape)
    good, bad = report(near, wanted), report(far, wanted)
    assert good.passed
    assert good.sqnr_db == pytest.approx(100, abs=2)
    assert not bad.passed
    assert any("signal's own variance" in text for text in bad.failures)


def test_one_number_far_off_does_not_hide_in_the_mean() -> None:
    wanted = GENERATOR.normal(size=(1, 1, 200, 300))
    wrong = wanted.copy()
    wrong[0, 0, 7, 9] += 0.05
    found = report(wrong, wanted)
    assert found.sqnr_db is not None
    assert found.sqnr_db > 60
    assert any("of the largest number" in text for text in found.failures)


def test_equal_is_equal_even_where_all_is_zero() -> None:
    zero = np.zeros((1, 1, 8, 12))
    assert report(zero, zero).passed
    assert not report(zero + 1e-3, zero).passed


def test_logits_are_judged_as_probabilities_and_by_their_choice() -> None:
    wanted = np.array([[0.0, 2.0, 8.0, 1.0]])
    found = report(wanted + 1e-6, wanted, "logits")
    assert found.passed
    assert (found.top1, found.probability) == (1.0, pytest.approx(0, abs=1e-6))
    turned = report(np.array([[0.0, 8.0, 2.0, 1.0]]), wanted, "logits")
    assert turned.top1 == 0.0
    assert turned.probability == pytest.approx(0.995, abs=0.01)
    assert any("choose the same class" in text for text in turned.failures)


def test_classes_that_are_as_probable_may_change_places() -> None:
    wanted = np.array([[1.0, 1.0001, -3.0]])
    assert report(np.array([[1.0001, 1.0, -3.0]]), wanted, "logits").top1 == 1.0


def test_a_single_logit_is_the_probability_of_yes() -> None:
    found = report(np.array([[2.0]]), np.array([[-2.0]]), "logits")
    assert found.top1 == 0.0
    assert found.probability == pytest.approx(0.76, abs=0.01)


def test_per_pixel_logits_are_compared_by_the_share_that_agrees() -> None:
    wanted = GENERATOR.normal(size=(1, 5, 20, 20)) * 4
    wrong = wanted.copy()
    wrong[:, :, :5] = wrong[:, ::-1, :5]
    found = report(wrong, wanted, "logits")
    assert found.top1 is not None
    assert 0.75 <= found.top1 < 0.9


def test_optical_flow_is_compared_by_end_point_error() -> None:
    wanted = np.stack([np.full((10, 10), 3.0), np.full((10, 10), 4.0)])[None]
    found = report(wanted + np.array([0.3, 0.4]).reshape(1, 2, 1, 1), wanted, "flow")
    assert found.endpoint == pytest.approx(0.5, rel=1e-5)
    assert found.endpoint_share == pytest.approx(0.1, rel=1e-5)
    assert any("of the mean length off" in text for text in found.failures)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda v: v[..., :-1], "shape"),
        (lambda v: v.astype(np.float64), "dtype float64, expected float32"),
        (lambda v: np.where(v > 1, np.nan, v), "NaN or infinite"),
    ],
)
def test_incomparable_values_fail_with_the_reason(spoil, said: str) -> None:
    wanted = GENERATOR.normal(size=(1, 1, 8, 12)).astype(np.float32)
    reference = ValuesReference("PyTorch fp32", "depth", wanted, "relative")
    found = parity_values.compare(spoil(wanted), MAP, reference, "ran", tolerance.tolerance_for("fp32", MAP))
    assert not found.passed
    assert said in found.failures[0]
    assert found.output == "depth"


def test_class_numbers_are_the_same_or_not() -> None:
    """One of class 19 where 0 is meant is no worse than one of class 1; the limits are shares of the choices."""
    wanted = GENERATOR.integers(0, 20, (1, 64, 64))
    spec = TensorSpec("classes", wanted.shape, dtype="int64", kind="index", value_range=None)
    assert spec.judged_by == "classes"
    for other, passes in ((4, True), (410, False)):
        given = wanted.copy().reshape(-1)
        given[:other] = 19 - given[:other]
        given = given.reshape(wanted.shape)
        reference = ValuesReference.of("PyTorch fp32", wanted, spec)
        found = parity_values.compare(given, spec, reference, "ran", tolerance.tolerance_for("fp32", spec))
        assert found.passed == passes, found.failures
        assert found.same == np.mean(given == wanted)
        assert found.sqnr_db is None
        assert found.relative is None
        assert limits.near_network(found).min_top1 == pytest.approx(max(0.95, found.same - limits.WORSE_SHARE))
        assert limits.near_reference(found).min_top1 == (0.99 if passes else 0.95)
        assert limits.beside_reference(found).min_top1 == pytest.approx(found.same - limits.WORSE_SHARE)


def test_limits_of_int8_follow_what_rounding_alone_does_and_end_somewhere() -> None:
    wanted = GENERATOR.normal(size=(1, 1, 64, 64))

    def apart(share: float) -> ParityReport:
        return report(wanted + share * GENERATOR.normal(size=wanted.shape), wanted)

    assert limits.near_reference(apart(1e-6)) == tolerance.INT8_VALUES_QUIET
    loose = limits.near_reference(apart(0.5))
    assert loose.min_sqnr_db == tolerance.INT8_VALUES_WIDEST.min_sqnr_db
    own = limits.near_network(apart(0.03))
    assert own.min_sqnr_db == pytest.approx(20 * np.log10(1 / 0.03) - limits.WORSE_VALUES_DB, abs=0.5)
    assert limits.near_network(apart(2.0)).min_sqnr_db == tolerance.QUANTIZATION_VALUES.min_sqnr_db


def test_few_logits_are_judged_by_their_probabilities_beside_the_qdq_model() -> None:
    """Of two logits the decibels are chance; what a detector says is the probability."""
    wanted = np.array([[0.4, -0.3]])
    own = report(wanted + np.array([[0.008, 0.004]]), wanted, "logits")
    reference = ValuesReference("PyTorch fp32", "logits", wanted, "logits")
    spec = TensorSpec("logits", wanted.shape, kind="vector", measure="logits", value_range=None)

    def passes(values: np.ndarray, limit: tolerance.Tolerance) -> bool:
        return parity_values.compare(values.astype(np.float32), spec, reference, "ran", limit).passed

    for limit in (limits.near_network(own, few=True), limits.beside_reference(own, few=True)):
        assert passes(wanted + np.array([[0.015, -0.013]]), limit)
        assert not passes(wanted + np.array([[0.08, -0.08]]), limit), "0.04 of a probability"
        assert not passes(-wanted, limit), "the other class"
    many = limits.near_network(own)
    assert many.max_probability is None
    assert many.min_sqnr_db is not None
    assert tolerance.QUANTIZATION_VALUES.min_sqnr_db is not None
    assert many.min_sqnr_db > tolerance.QUANTIZATION_VALUES.min_sqnr_db


def test_few_is_less_than_a_hundred() -> None:
    for count, few in ((2, True), (99, True), (100, False)):
        assert parity_values.is_few(ValuesReference("", "", np.zeros((1, count)), "logits")) == few


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_file_that_gives_one_class_everywhere_does_not_pass_by_the_share_of_the_commonest(precision: str) -> None:
    wanted = np.zeros((1, 1, 64, 64))
    wanted[0, 0, 7, 9:11] = 1
    assert report(wanted, wanted, "classes", precision).passed
    found = report(np.zeros_like(wanted), wanted, "classes", precision)
    assert not found.passed
    assert found.failures == ("depth: the same class everywhere, expected 2 classes",)
    assert report(np.zeros_like(wanted), np.zeros_like(wanted), "classes", precision).passed
    truth = TensorSpec("mask", wanted.shape, dtype="bool", kind="index", value_range=None)
    reference = ValuesReference("PyTorch fp32", "mask", wanted > 0, "classes")
    empty = parity_values.compare(wanted > 1, truth, reference, "ran on Toy", tolerance.tolerance_for("fp32", truth))
    assert empty.failures == ("mask: the same class everywhere, expected 2 classes",)
