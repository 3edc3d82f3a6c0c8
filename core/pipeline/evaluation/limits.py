"""The gates of an evaluation: limits and checks."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.reports.junit import Check
from clearport.runtime.paired import CONFIDENCE

if TYPE_CHECKING:
    from clearport.runtime.paired import PairedDrop
    from clearport.runtime.quality import QualityReport

_POSITIVE = ("max_worst_drop", "max_tile_drop", "max_ssim_drop", "max_color_shift", "max_clipped")


@dataclass(frozen=True)
class Limits:
    """Limits of gates; None for gates not requested. Losses are relative to PyTorch fp32, positive for worse.

    Attributes:
        max_drop: mean loss, dB RGB.
        min_psnr: mean PSNR, dB RGB.
        max_worst_drop: loss of any one picture, dB RGB.
        max_tile_drop: loss of any 64x64 pixels, dB RGB.
        max_ssim_drop: mean loss of SSIM.
        max_color_shift: difference of a channel's mean in any picture, levels of 255.
        max_clipped: mean percentage of values at 0 or 255 beyond PyTorch's.
        confidence: if given, the whole interval of the mean must be within ``max_drop``, not only the mean.
    """

    max_drop: float | None = None
    min_psnr: float | None = None
    max_worst_drop: float | None = None
    max_tile_drop: float | None = None
    max_ssim_drop: float | None = None
    max_color_shift: float | None = None
    max_clipped: float | None = None
    confidence: float | None = None

    def check(self) -> None:
        """Refuse invalid limits.

        Raises:
            BadInput: a limit is not finite, or negative where it must not be, or the confidence is invalid.
        """
        for name, value in self._given():
            option = "--" + name.replace("_", "-")
            if not math.isfinite(value) or (name in _POSITIVE and value < 0):
                sign = ", not negative" if name in _POSITIVE else ""
                raise BadInput(f"{option} {value:g}: expected a finite number{sign}")
        if self.confidence is not None and not 0.5 <= self.confidence < 1:
            raise BadInput(f"--confidence {self.confidence:g}: expected a number from 0.5 to below 1, such as 0.95")
        if self.confidence is not None and self.max_drop is None:
            raise BadInput("--confidence applies to --max-drop: give --max-drop, too")

    @property
    def asked(self) -> bool:
        """Whether any gate is requested."""
        return any(name != "confidence" for name, _ in self._given())

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the requested gates."""
        return tuple(name for name, _ in self._given())

    @property
    def interval(self) -> float:
        """The confidence of the intervals that are shown."""
        return CONFIDENCE if self.confidence is None else self.confidence

    def checks(self, key: str, report: QualityReport, drop: PairedDrop, seconds: float) -> list[Check]:
        """Every requested gate on one artifact; the worst-picture gate has a check for each picture."""
        found = [*self._means(key, report, drop, seconds), *self._extremes(key, drop, seconds)]
        if self.max_worst_drop is not None:
            for score, lost in zip(report.images, drop.rgb_db, strict=True):
                said = f"loses {lost:z.3f} dB RGB to PyTorch fp32, allowed {self.max_worst_drop:g} for any picture"
                name = f"max-worst-drop: {score.name}"
                found.append(Check(name, lost <= self.max_worst_drop, said, group=key))
        return found

    def _means(self, key: str, report: QualityReport, drop: PairedDrop, seconds: float) -> list[Check]:
        found = []
        if self.max_drop is not None:
            found.append(self._mean_drop(key, drop, self.max_drop, seconds))
        if self.min_psnr is not None:
            said = f"{report.psnr_rgb_db:.3f} dB RGB, expected at least {self.min_psnr:g}"
            found.append(Check("min-psnr", report.psnr_rgb_db >= self.min_psnr, said, seconds, key))
        if self.max_ssim_drop is not None:
            lost = drop.ssim
            said = "no picture is large enough for SSIM" if lost is None else f"loses {lost:z.5f} SSIM"
            passed = lost is not None and lost <= self.max_ssim_drop
            found.append(Check("max-ssim-drop", passed, f"{said}, allowed {self.max_ssim_drop:g}", seconds, key))
        return found

    def _mean_drop(self, key: str, drop: PairedDrop, most: float, seconds: float) -> Check:
        said = f"loses {drop.mean_rgb_db:z.3f} dB RGB to PyTorch fp32, allowed {most:g}"
        worst = f" (worst picture: {drop.worst_image}, {drop.worst_rgb_db:z.3f})"
        if self.confidence is None:
            return Check("max-drop", drop.mean_rgb_db <= most, said + worst, seconds, key)
        if drop.interval is None:
            return _undecided("max-drop", f"{said}, and a single picture has no interval", seconds, key)
        low, high = drop.interval.low, drop.interval.high
        said += f"; {self.confidence:.4g} interval {low:z.3f} to {high:z.3f} ({drop.interval.method})"
        if low <= most < high:
            return _undecided("max-drop", said, seconds, key)
        return Check("max-drop", high <= most, said + worst, seconds, key)

    def _extremes(self, key: str, drop: PairedDrop, seconds: float) -> list[Check]:
        tile = drop.worst_tile
        where = f"in {tile.height}x{tile.width} pixels of {tile.image} from x = {tile.left}, y = {tile.top}"
        rows = (
            ("max-tile-drop", self.max_tile_drop, tile.drop_db, f"loses {tile.drop_db:z.3f} dB RGB {where}"),
            (
                "max-color-shift",
                self.max_color_shift,
                drop.color_shift,
                f"the mean of a channel is {drop.color_shift:.3f} levels off in {drop.color_image}",
            ),
            (
                "max-clipped",
                self.max_clipped,
                100 * drop.clipped_share,
                f"{100 * drop.clipped_share:z.3f} % more values than with PyTorch are 0 or 255",
            ),
        )
        return [
            Check(name, value <= most, f"{said}, allowed {most:g}", seconds, key)
            for name, most, value, said in rows
            if most is not None
        ]

    def _given(self) -> list[tuple[str, float]]:
        pairs = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, float(value)) for name, value in pairs if value is not None]


NO_LIMITS = Limits()


def _undecided(name: str, said: str, seconds: float, key: str) -> Check:
    advice = "cannot tell: evaluate more pictures, or leave --confidence out to check only the mean"
    return Check(name, False, f"{advice}; {said}", seconds, key, undecided=True)
