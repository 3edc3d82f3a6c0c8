"""The gates of ``clearport eval``: each separately, and the effect of a confidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from clearport.errors import BadInput
from clearport.pictures.images import save_png
from clearport.pipeline.evaluation.limits import Limits
from clearport.runtime import quality
from clearport.runtime.paired import PairedDrop, paired_drop
from clearport.runtime.quality import QualityReport

COUNT = 12


def judged(folder: Path, damage: Callable[[np.ndarray], np.ndarray]) -> tuple[QualityReport, PairedDrop]:
    """Pictures whose truth is noise of a different strength away, and what damage loses beyond that."""
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        image = generator.integers(60, 190, (96, 96, 3), dtype=np.uint8)
        noise = generator.normal(0, 4 + number / 4, image.shape)
        save_png(folder / f"{number:02}_LR.png", image)
        save_png(folder / f"{number:02}_HR.png", np.clip(image + noise, 0, 255).astype(np.uint8))
    pairs = quality.find_pairs(folder)
    baseline = quality.evaluate(pairs, lambda p: p, 1, "toy")
    report = quality.evaluate(pairs, damage, 1, "toy")
    return report, paired_drop(report, baseline)


def noisy(image: np.ndarray) -> np.ndarray:
    return np.clip(image + np.random.default_rng(int(image[0, 0, 0])).normal(0, 1.5, image.shape), 0, 255).astype(
        np.uint8
    )


def of(report: QualityReport, drop: PairedDrop, name: str) -> float:
    values = {
        "max_drop": drop.mean_rgb_db,
        "min_psnr": report.psnr_rgb_db,
        "max_worst_drop": drop.worst_rgb_db,
        "max_tile_drop": drop.worst_tile.drop_db,
        "max_ssim_drop": drop.ssim,
        "max_color_shift": drop.color_shift,
        "max_clipped": 100 * drop.clipped_share,
    }
    value = values[name]
    assert value is not None
    return value


@pytest.mark.parametrize("name", [field.name for field in fields(Limits) if field.name != "confidence"])
def test_each_gate_fails_just_beyond_and_passes_just_within(name: str, tmp_path: Path) -> None:
    report, drop = judged(tmp_path, lambda image: np.where(noisy(image) > 180, 255, noisy(image)).astype(np.uint8))
    value = of(report, drop, name)
    assert value > 0
    for factor, passes in ((1.001, name != "min_psnr"), (0.999, name == "min_psnr")):
        checks = Limits(**{name: value * factor}).checks("tflite/int8", report, drop, 0.0)
        assert all(check.passed for check in checks) is passes
        assert not any(check.undecided for check in checks)
    assert len(checks) == (COUNT if name == "max_worst_drop" else 1)


def test_a_gate_on_what_no_picture_has_does_not_pass(tmp_path: Path) -> None:
    image = np.full((8, 8, 3), 90, np.uint8)
    for name in ("a_LR", "a_HR"):
        save_png(tmp_path / f"{name}.png", image)
    report = quality.evaluate(quality.find_pairs(tmp_path), lambda p: p, 1, "toy")
    (check,) = Limits(max_ssim_drop=0.5).checks("x", report, paired_drop(report, report), 0.0)
    assert check.passed is False
    assert "no picture is large enough" in check.message


def test_with_a_confidence_the_whole_interval_must_hold(tmp_path: Path) -> None:
    report, drop = judged(tmp_path, noisy)
    assert drop.interval is not None
    low, high = drop.interval.low, drop.interval.high
    assert low < drop.mean_rgb_db < high
    found = {}
    for most in (low - 1e-3, drop.mean_rgb_db + (high - drop.mean_rgb_db) / 2, high + 1e-3):
        (check,) = Limits(max_drop=most, confidence=0.95).checks("x", report, drop, 0.0)
        found[most] = (check.passed, check.undecided)
        assert ("cannot tell" in check.message) is check.undecided
    assert list(found.values()) == [(False, False), (False, True), (True, False)]
    (plain,) = Limits(max_drop=drop.mean_rgb_db + (high - drop.mean_rgb_db) / 2).checks("x", report, drop, 0.0)
    assert plain.passed


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_worst_drop=-1.0),
        Limits(max_drop=float("nan")),
        Limits(max_tile_drop=float("inf")),
        Limits(max_drop=1.0, confidence=95.0),
        Limits(confidence=0.95),
    ],
    ids=str,
)
def test_limits_that_mean_nothing_are_refused(limits: Limits) -> None:
    with pytest.raises(BadInput, match="--"):
        limits.check()


def test_a_file_may_be_asked_to_be_better_than_pytorch() -> None:
    Limits(max_drop=-0.1, min_psnr=30.0).check()


def test_losses_that_round_to_zero_have_no_sign(tmp_path: Path) -> None:
    """A float file gains or loses millionths of a decibel."""
    report, drop = judged(tmp_path, lambda image: image)
    tiny = replace(drop, mean_rgb_db=-1e-6, worst_rgb_db=-1e-6, ssim=-1e-9, clipped_share=-1e-9)
    limits = Limits(max_drop=1, max_ssim_drop=1, max_clipped=1)
    messages = [check.message for check in limits.checks("x", report, tiny, 0.0)]
    assert len(messages) == 3
    assert not any("-0.0" in message for message in messages)
