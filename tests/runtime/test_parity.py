"""Parity: shape, then dtype, then NaN, then values; each limit decides."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from clearport.base import PRECISIONS, Artifact, Precision, TensorSpec
from clearport.runtime import parity
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
def test_what_cannot_be_compared_fails_with_its_reason(output: np.ndarray, failure: str) -> None:
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
    tolerance = parity.tolerance_for(precision, spec)
    assert len(tolerance.reason) > 20
    assert "≤" in str(tolerance) or "≥" in str(tolerance)


def test_a_tolerance_of_ones_own() -> None:
    strict = Tolerance("a golden file", min_exact_share=1.0)
    report = parity.compare(TRUTH + np.float32(1), artifact("fp32"), REFERENCE, "ran on Toy", strict)
    assert report.failures == ("0.00% of the values are equal, expected at least 100%",)
    assert str(strict) == "equal ≥ 100%"


def test_int8_may_differ_by_what_int8_itself_costs() -> None:
    network = parity.Reference("PyTorch fp32", np.full((40, 40, 3), 100, np.float32))
    near, far = (parity.Reference("QDQ reference", network.levels + off) for off in (0.0, 2.0))
    assert parity.tolerance_for_int8(near, network) == parity.tolerance_for("int8", TensorSpec("x", (1, 3, 40, 40)))
    limits = parity.tolerance_for_int8(far, network)
    assert (limits.max_abs, limits.mean_lsb) == (25.0, 2.0)
    assert limits.min_psnr_db == pytest.approx(20 * np.log10(255 / 2), abs=0.05)
    assert "enlarges steps" in limits.reason


def test_int8_may_be_no_worse_than_the_qdq_model_is() -> None:
    network = parity.Reference("PyTorch fp32", np.full((40, 40, 3), 100, np.float32))
    near, far, farthest = (parity.Reference("QDQ reference", network.levels + off) for off in (0.0, 2.0, 30.0))
    assert parity.tolerance_of_quantization(near, network) == parity.QUANTIZATION
    limits = parity.tolerance_of_quantization(far, network)
    assert limits.min_psnr_db == pytest.approx(20 * np.log10(255 / 2) - 0.5, abs=0.05)
    assert parity.tolerance_of_quantization(farthest, network).min_psnr_db == 35.0, "what can be seen stays the limit"
