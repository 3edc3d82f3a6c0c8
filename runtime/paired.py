"""Paired loss of an artifact against a baseline: differences per picture.

Pictures differ far more than artifacts do, so differences are computed per picture, and their mean has a confidence
interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from clearport.runtime import tile_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array
    from clearport.runtime.quality import QualityReport
    from clearport.runtime.tile_errors import WorstTile

CONFIDENCE = 0.95
RESAMPLES = 9999
FEW = 10
"""With fewer pictures, resamples are too similar for a bootstrap; Student's t then assumes normal differences."""

Method = Literal["bootstrap (BCa)", "Student's t"]


@dataclass(frozen=True)
class Interval:
    """Two-sided confidence interval of the mean difference, in dB."""

    low: float
    high: float
    confidence: float
    method: Method


@dataclass(frozen=True)
class PairedDrop:
    """Loss against a baseline on the same pictures (positive: worse), and other differences.

    Attributes:
        mean_rgb_db, mean_y_db: mean loss of PSNR.
        worst_rgb_db, worst_image: the picture that loses most.
        rgb_db: the loss of every picture, in the order of the report.
        interval: of ``mean_rgb_db``; None for a single picture.
        ssim: mean loss of SSIM; None if no picture has one.
        worst_tile: the 64x64 tile with the largest loss.
        color_shift: the largest difference of a channel's mean in any picture, in levels of 255.
        color_image: that picture.
        clipped_share: mean share (0..1) of values at 0 or 255, minus the baseline's.
    """

    mean_rgb_db: float
    mean_y_db: float
    worst_rgb_db: float
    worst_image: str
    rgb_db: tuple[float, ...]
    interval: Interval | None
    ssim: float | None
    worst_tile: WorstTile
    color_shift: float
    color_image: str
    clipped_share: float


def paired_drop(report: QualityReport, baseline: QualityReport, confidence: float = CONFIDENCE) -> PairedDrop:
    """The loss of ``report`` against ``baseline``, per picture.

    Raises:
        ValueError: they are of different pictures or protocols.
    """
    names = [score.name for score in report.images]
    if report.protocol != baseline.protocol or names != [score.name for score in baseline.images]:
        raise ValueError("only reports on the same pictures by the same protocol can be paired")
    both = list(zip(report.images, baseline.images, strict=True))
    drops = [theirs.psnr_rgb_db - mine.psnr_rgb_db for mine, theirs in both]
    shifts = [float(np.abs(np.subtract(mine.channel_means, theirs.channel_means)).max()) for mine, theirs in both]
    tiles = [tile_errors.worst(mine.name, mine.tiles, theirs.tiles) for mine, theirs in both]
    return PairedDrop(
        mean_rgb_db=baseline.psnr_rgb_db - report.psnr_rgb_db,
        mean_y_db=baseline.psnr_y_db - report.psnr_y_db,
        worst_rgb_db=max(drops),
        worst_image=names[int(np.argmax(drops))],
        rgb_db=tuple(drops),
        interval=interval(drops, confidence),
        ssim=None if report.ssim is None or baseline.ssim is None else baseline.ssim - report.ssim,
        worst_tile=max(tiles, key=lambda tile: tile.drop_db),
        color_shift=max(shifts),
        color_image=names[int(np.argmax(shifts))],
        clipped_share=float(np.mean([mine.clipped_share - theirs.clipped_share for mine, theirs in both])),
    )


def interval(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The interval of the mean of paired differences; None for fewer than two. Deterministic."""
    found = np.asarray(differences, np.float64)
    if len(found) < 2:
        return None
    method: Method = "Student's t" if len(found) < FEW else "bootstrap (BCa)"
    if np.ptp(found) == 0:
        return Interval(float(found[0]), float(found[0]), confidence, method)
    low, high = (_student if method == "Student's t" else _bootstrap)(found, confidence)
    return Interval(float(low), float(high), confidence, method)


def _student(found: Array, confidence: float) -> tuple[float, float]:
    from scipy import stats

    error = float(stats.sem(found))
    low, high = stats.t.interval(confidence, len(found) - 1, loc=float(found.mean()), scale=error)
    return low, high


def _bootstrap(found: Array, confidence: float) -> tuple[float, float]:
    from scipy import stats

    generator = np.random.default_rng(0)
    options = {"confidence_level": confidence, "n_resamples": RESAMPLES, "method": "BCa", "rng": generator}
    low, high = stats.bootstrap((found,), np.mean, **options).confidence_interval
    return low, high
