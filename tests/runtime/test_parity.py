"""Parity: shape, then dtype, then NaN, then values; each limit decides."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.base import PRECISIONS, Artifact, Precision, TensorSpec
from clearport.runtime import limits as near
from clearport.runtime import parity, tolerance
from clearport.runtime.parity import ParityReport, Reference, Tolerance

FLOAT = TensorSpec("restored", (1, 3, 4, 5))
BYTES = FLOAT.with_dtype("uint8", 1.0, 0, "NHWC")
RNG = np.random.default_rng(3)
TRUTH = RNG.uniform(20, 230, (1, 3, 4, 5)).astype(np.float32)
REFERENCE = Reference.of("PyTorch", TRUTH, FLOAT)


def artifact(precision: Precision, spec: TensorSpec = FLOAT) -> Artifact:
    return Artifact("toy", precision, Path("x"), "", (spec,), (spec,), {})


def judge(output: np.ndarray, precision: Precision = "fp32", spec: TensorSpec = FLOAT) -> ParityReport:
    return parity.compare(output, artifact(precision, spec), REFERENCE, "ran on Toy")


def test_equal_outputs_have_no_finite_psnr() -> None:
    report = judge(TRUTH)
    assert report.passed
    assert (report.psnr_db, report.max_abs, report.mean_lsb, report.exact_share) == (None, 0.0, 0.0, 1.0)
    assert (report.method, report.reference, report.failures) == ("ran on Toy", "PyTorch", ())
    json.dumps(asdict(report), allow_nan=False)


@pytest.mark.parametrize(
    ("output", "failure"),
    [
        (TRUTH.transpose(0, 2, 3, 1), r"shape \(1, 4, 5, 3\), expected \(1, 3, 4, 5\) \(NCHW\)"),
        (TRUTH[:, :, :3].astype(np.uint8), r"shape"),  # shape comes before dtype
        (
            np.where(TRUTH > 0, np.nan, TRUTH).astype(np.float16),
            "dtype float16, expected float32",
        ),  # and dtype before NaN
        (np.where(np.arange(60).reshape(TRUTH.shape) == 7, np.inf, TRUTH).astype(np.float32), "1 of 60 values are NaN"),
    ],
)
def test_incomparable_outputs_fail_with_the_reason(output: np.ndarray, failure: str) -> None:
    report = judge(output)
    assert not report.passed
    assert report.psnr_db is None
    assert report.exact_share is None
    (text,) = report.failures
    assert re.search(failure, text)
    json.dumps(asdict(report), allow_nan=False)


def test_fp32_is_held_to_1e_4_of_the_range() -> None:
    assert judge(TRUTH + np.float32(0.024)).passed
    report = judge(TRUTH + np.float32(0.027))
    assert not report.passed
    assert report.basis == "real values"
    assert "largest difference 0.027 levels, allowed 0.0255" in report.failures[0]


def test_the_range_of_the_network_does_not_change_the_verdict() -> None:
    unit = replace(FLOAT, value_range=(0.0, 1.0))
    report = parity.compare((TRUTH + np.float32(0.027)) / 255, artifact("fp32", unit), REFERENCE, "ran on Toy")
    assert report.max_abs == pytest.approx(0.027, rel=0.01)
    assert not report.passed


def test_fp16_is_held_to_60_db() -> None:
    assert judge(TRUTH + np.float32(0.25), "fp16").passed  # 60.2 dB
    assert not judge(TRUTH + np.float32(0.26), "fp16").passed  # 59.8 dB
    assert judge(TRUTH + np.float32(0.25), "fp16").psnr_db == pytest.approx(20 * np.log10(255 / 0.25), abs=0.01)


def test_int8_is_judged_as_pictures() -> None:
    levels = np.rint(TRUTH)
    same = judge(levels.transpose(0, 2, 3, 1).astype(np.uint8), "int8", BYTES)
    assert same.passed
    assert same.basis == "8-bit pictures"
    assert same.exact_share == 1.0
    flat = levels.copy().reshape(-1)
    flat[:6] += 1
    some = judge(flat.reshape(TRUTH.shape).transpose(0, 2, 3, 1).astype(np.uint8), "int8", BYTES)
    assert (some.exact_share, some.mean_lsb, some.max_abs) == (0.9, pytest.approx(0.1), 1.0)
    assert some.passed


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        (lambda x: x + 1, "mean difference 1 levels, allowed 0.5"),
        (lambda x: x + 3 * (np.arange(60).reshape(x.shape) % 9 == 0), "PSNR 47"),
        (lambda x: x + 26 * (np.arange(60).reshape(x.shape) == 5), "largest difference 26 levels, allowed 25"),
        (lambda x: x[:, ::-1], "mean difference"),  # BGR
        (lambda x: np.roll(x, 1, axis=3), "mean difference"),  # shifted by a pixel
    ],
)
def test_each_limit_of_int8_decides(change: object, failure: str) -> None:
    report = judge(change(np.rint(TRUTH)).astype(np.float32), "int8")  # type: ignore[operator]
    assert not report.passed
    assert any(failure in text for text in report.failures)


def test_an_integer_output_of_a_float_artifact_is_judged_as_a_picture() -> None:
    report = judge(np.rint(TRUTH).transpose(0, 2, 3, 1).astype(np.uint8), "fp32", BYTES)
    assert report.passed
    assert report.basis == "8-bit pictures"


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("spec", [FLOAT, BYTES], ids=["float", "bytes"])
def test_every_precision_has_limits_with_a_reason(precision: Precision, spec: TensorSpec) -> None:
    limits = parity.tolerance_for(precision, spec)
    assert len(limits.reason) > 20
    assert "≤" in str(limits) or "≥" in str(limits)


def test_a_tolerance_of_ones_own() -> None:
    strict = Tolerance("a golden file", min_exact_share=1.0)
    report = parity.compare(TRUTH + np.float32(1), artifact("fp32"), REFERENCE, "ran on Toy", strict)
    assert report.failures == ("0.00% of the values are equal, expected at least 100%",)
    assert str(strict) == "equal ≥ 100%"


NETWORK = Reference("PyTorch fp32", np.full((40, 40, 3), 100, np.float32))
SPEC = TensorSpec("x", (1, 3, 40, 40))


def apart(levels: float) -> ParityReport:
    """The figures of a picture that is so many levels from ``NETWORK`` everywhere."""
    return parity.measure(NETWORK.levels + np.float32(levels), NETWORK, "8-bit pictures")


@pytest.mark.parametrize("levels", [0, 1, 2, 30, 200])
def test_no_rounding_widens_int8_beyond_what_is_stated(levels: int) -> None:
    limits, widest, least = near.near_reference(apart(levels)), tolerance.widest_for("int8", SPEC), apart(0)
    assert limits.within(widest) == limits
    quiet = near.near_reference(least)
    assert quiet.within(limits) == quiet == quiet.within(parity.tolerance_for("int8", SPEC))


def test_a_network_that_rounds_apart_gets_a_multiple_of_that() -> None:
    noise = np.random.default_rng(1).choice([-1, 0, 0, 0, 0, 1], (40, 40, 3)).astype(np.float32)
    found = parity.measure(NETWORK.levels + noise, NETWORK, "8-bit pictures")
    limits = near.near_reference(found)
    assert found.mean_lsb is not None
    assert limits.mean_lsb == pytest.approx(min(1.6, 6 * found.mean_lsb), abs=1e-3)
    assert found.psnr_db is not None
    assert limits.min_psnr_db == pytest.approx(max(39.5, found.psnr_db - 20 * np.log10(6)), abs=1e-3)
    assert "enlarges steps" in limits.reason


def test_int8_may_be_no_worse_than_the_qdq_model_is() -> None:
    assert near.near_network(apart(0)) == parity.QUANTIZATION
    limits = near.near_network(apart(2))
    assert limits.min_psnr_db == pytest.approx(20 * np.log10(255 / 2) - 0.5, abs=0.1)
    assert near.near_network(apart(30)).min_psnr_db == 35.0, "what can be seen stays the limit"


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("name", sorted(Tolerance("").limits))
def test_a_limit_is_a_finite_number(name: str, limit: float) -> None:
    with pytest.raises(ValueError, match=name):
        Tolerance("", **{name: limit})  # type: ignore[arg-type]


LIMITS = len(Tolerance("").limits)


@given(limits=st.lists(st.none() | st.floats(0, 99), min_size=2 * LIMITS, max_size=2 * LIMITS))
def test_the_narrower_of_two_tolerances_allows_what_both_do(limits: list[float | None]) -> None:
    names = list(Tolerance("").limits)
    one, other = (Tolerance("", **dict(zip(names, part, strict=True))) for part in (limits[:LIMITS], limits[LIMITS:]))  # type: ignore[arg-type]
    both = one.within(other).limits
    for name in names:
        wanted = [limit for limit in (one.limits[name], other.limits[name]) if limit is not None]
        assert both[name] == ((max if name.startswith("min_") else min)(wanted) if wanted else None)


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.float32)


@given(height=st.integers(1, 70), width=st.integers(1, 70), at=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)))
def test_an_error_in_one_block_shows_in_its_mean(height: int, width: int, at: tuple[float, float]) -> None:
    truth = np.clip(noise(height, width, 1), 0, 250)
    wrong = truth.copy()
    y, x = (int(share * max(1, side // 16)) * 16 for share, side in zip(at, (height, width), strict=True))
    wrong[y : y + 16, x : x + 16, 1] += 2
    found = parity.measure(wrong, Reference("x", truth), "8-bit pictures")
    assert found.block_lsb is not None
    assert 0.5 <= found.block_lsb <= 2.0  # the last block of a row or column may be almost twice as long


@pytest.mark.parametrize("grid", [1, 2, 3, 4])
def test_an_error_in_one_channel_before_the_shuffle_shows_in_its_grid(grid: int) -> None:
    truth = np.clip(noise(12 * grid, 10 * grid, 2), 5, 250)
    wrong = truth.copy()
    wrong[grid - 1 :: grid, 0::grid, 2] -= 1
    found = parity.measure(wrong, Reference("x", truth, grid=grid), "8-bit pictures")
    assert found.grid_lsb == pytest.approx(1.0)
    assert found.mean_lsb == pytest.approx(1 / (3 * grid**2))


def test_the_ratio_is_that_to_the_reference_s_own_variance() -> None:
    truth = 100 + np.float32(0.05) * (noise(40, 40, 3) / 255 - np.float32(0.5))
    off = np.random.default_rng(4).normal(0, 0.001, truth.shape).astype(np.float32)
    found = parity.measure(truth + off, Reference("x", truth), "real values")
    assert found.psnr_db is not None
    assert found.psnr_db > 100
    assert found.sqnr_db == pytest.approx(10 * np.log10(np.var(truth) / np.mean(off.astype(float) ** 2)), abs=0.3)
    report = parity.judge(replace(found, tolerance=parity.tolerance_for("fp16", FLOAT)))
    assert [text for text in report.failures if "own variance" in text]


def test_values_stand_for_a_picture_that_was_rounded_and_clipped() -> None:
    real = noise(200, 150, 5) * np.float32(1.4) - np.float32(40)
    kept = parity.positions(200, 150)
    shown = np.clip(np.rint(real), 0, 255)
    reference = Reference("x", shown, real.reshape(-1, 3)[kept])
    assert parity.measure(real, reference, "real values").max_abs == 0
    assert parity.measure(np.clip(real, 0, 255), reference, "real values").max_abs == pytest.approx(62, abs=1)


@given(height=st.integers(1, 1200), width=st.integers(1, 1200))
def test_positions_are_some_pixels_of_the_picture(height: int, width: int) -> None:
    kept = parity.positions(height, width)
    assert len(np.unique(kept)) == len(kept) <= parity.MOST_VALUES
    assert len(kept) >= min(height * width, parity.MOST_VALUES) // 2
    assert kept[0] >= 0
    assert kept[-1] < height * width


def picture(low: float, high: float) -> Reference:
    return Reference("PyTorch fp32", noise(40, 40, 6) / 255 * np.float32(high - low) + np.float32(low))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0, 255, None),
        (-4, 259, None),  # overshoot at edges, as of networks without a clamp
        (100, 102, None),
        (-128, 128, "leaves|gives"),
        (-1, 1, "clipping loses"),
        (0, 65535, "clipping loses"),
        (300, 400, "clipping loses 100%|clipping loses"),
        (77, 77, "one color"),
        (-9, -9, "clipping loses 100%"),
    ],
)
def test_an_output_that_proves_nothing_is_named(low: float, high: float, said: str | None) -> None:
    found = parity.unusable(picture(low, high))
    if said is None:
        assert found is None
    else:
        assert found is not None
        assert re.search(said, found)
