"""The request of an evaluation, and its outcome."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from clearport.pipeline.evaluation.limits import NO_LIMITS

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Skipped
    from clearport.pictures.images import Image8
    from clearport.pipeline.evaluation.limits import Limits
    from clearport.reports.junit import Check
    from clearport.runtime.paired import PairedDrop
    from clearport.runtime.quality import QualityReport

Verdict = Literal["passed", "failed", "cannot tell"]

PYTORCH = "pytorch"
UNCUT = "pytorch, uncut"


@dataclass(frozen=True)
class EvalRequest:
    """The artifacts, data and gates of an evaluation; see ``clearport eval --help``.

    ``worst_tiles`` is the PNG file that shows where each artifact loses most.
    """

    folder: Path
    data: Path
    limits: Limits = NO_LIMITS
    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    held_back: bool = False
    require: tuple[str, ...] = ()
    worst_tiles: Path | None = None


@dataclass(frozen=True)
class EvalRow:
    """One artifact, or PyTorch.

    Attributes:
        subject: artifact key, or ``pytorch``.
        report: its scores.
        drop: its loss against PyTorch fp32.
        verdict: the outcome of the gates; None if none applies. "cannot tell": ``--confidence`` needs more pictures.
    """

    subject: str
    report: QualityReport
    drop: PairedDrop | None
    verdict: Verdict | None = None

    @property
    def passed(self) -> bool | None:
        """Whether all gates passed; None if none applies."""
        return None if self.verdict is None else self.verdict == "passed"

    def figures(self) -> tuple[tuple[float | None, int], ...]:
        """PSNR RGB, its change, PSNR Y, its change, SSIM, each with the number of decimals to show."""
        rgb = -self.drop.mean_rgb_db if self.drop else None
        luma = -self.drop.mean_y_db if self.drop else None
        report = self.report
        return (report.psnr_rgb_db, 3), (rgb, 3), (report.psnr_y_db, 3), (luma, 3), (report.ssim, 4)


@dataclass(frozen=True)
class EvalOutcome:
    """Every row, every gate as a check, and artifacts that could not be evaluated here.

    ``found`` describes which pictures of the data were used; ``unusable`` those that cannot be; ``tiles`` are the worst
    ones, if requested.
    """

    data: str
    images: int
    protocol: str
    rows: tuple[EvalRow, ...]
    checks: tuple[Check, ...]
    skipped: tuple[Skipped, ...]
    found: str = ""
    unusable: str = ""
    tiles: Image8 | None = None

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(check.passed is not False for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The outcome for JSON; errors of single tiles are left out."""
        made = {**asdict(replace(self, tiles=None)), "passed": self.passed}
        del made["tiles"]
        for found, row in zip(self.rows, made["rows"], strict=True):
            row["passed"] = found.passed
            for score in row["report"]["images"]:
                del score["tiles"]
        return made
