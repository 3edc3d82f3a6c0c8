"""The figures of a parity report in words, by kind of output."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clearport.reports.text import percent

if TYPE_CHECKING:
    from clearport.runtime.parity import ParityReport
    from clearport.runtime.steps.report import StepsReport

_EQUAL, _NOT_COMPARED = "equal", "not compared"


def figures(report: ParityReport) -> str:
    """Short result of a report: ``equal``, or the difference."""
    if report.psnr_db is None:
        return _EQUAL if report.exact_share == 1 else _NOT_COMPARED
    if report.same is not None:
        return f"{percent(report.same)} % equal"
    if report.basis != "values":
        return f"{report.psnr_db:.1f} dB, largest difference {report.max_abs:.4g}"
    return ", ".join(f"{name} {value}" for name, value in of_values(report))


def distance(report: ParityReport) -> str:
    """The main figure of a report: PSNR for pictures, SQNR for other outputs, the equal share for class indices."""
    if report.psnr_db is None or report.same is not None:
        return figures(report)
    return f"SQNR {report.sqnr_db:.1f} dB" if report.basis == "values" else f"{report.psnr_db:.1f} dB"


def steps_figures(report: StepsReport) -> str:
    """The figures of a proof by steps."""
    apart = "all equal" if not report.differing else f"{_share(report)} equal, others {report.levels} apart at most"
    ties = f", {report.worst} most" if report.worst else ""
    hidden = f"; {report.unseen} tensors that it cannot output are inside other steps" if report.unseen else ""
    return f"{report.steps} steps, {report.values:,} values: {apart}{ties}{hidden}"


def _share(report: StepsReport) -> str:
    """The share of equal values, with enough digits to differ from 100 %."""
    digits = min(9, max(2, math.ceil(-math.log10(max(1e-12, 1 - report.equal_share))) - 1))
    return f"{report.equal_share:.{digits}%}"


def of_values(report: ParityReport) -> list[tuple[str, str]]:
    """The figures of an output other than a picture: name -> value."""
    told = (
        ("SQNR", report.sqnr_db, "{:.1f} dB"),
        ("relative error", report.relative, "{:.2g}"),
        ("top-1", report.top1, "{:.2%}"),
        ("largest difference of a probability", report.probability, "{:.2g}"),
        ("mean end-point error", report.endpoint, "{:.3g}"),
    )
    return [(name, text.format(value)) for name, value, text in told if value is not None]
