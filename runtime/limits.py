"""The limits of int8 artifacts, which depend on how much rounding alone changes the QDQ model's outputs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from clearport.runtime.tolerance import (
    INT8_CLASSES_QUIET,
    INT8_CLASSES_WIDEST,
    INT8_QUIET,
    INT8_VALUES_QUIET,
    INT8_VALUES_WIDEST,
    INT8_WIDEST,
    QUANTIZATION,
    QUANTIZATION_CLASSES,
    QUANTIZATION_VALUES,
    Tolerance,
)

if TYPE_CHECKING:
    from clearport.runtime.parity import ParityReport

WORSE_DB = 0.5
"""How many dB a file may be worse against PyTorch than the QDQ model."""
WORSE_VALUES_DB = 2.0
"""The same for outputs other than pictures, whose means are over fewer values."""
WORSE_SHARE = 0.01
"""The same for class indices, as a share of the choices; for few logits or probabilities also per probability, since
errors of so few values vary by chance by factors of a hundred.
"""
ENLARGED = 6.0
"""Maximum difference between kernels, as a multiple of the difference between ONNX Runtime's two evaluations of the
QDQ model: those are two of many ways to round, and OpenVINO differed by 4.7 times as much (iagc at 64x64)."""


def near_reference(again: ParityReport) -> Tolerance:
    """The limits of int8 artifacts against the QDQ model.

    ``again`` is the difference between ONNX Runtime with and without its fused kernels on the QDQ model: the effect of
    rounding alone, independent of the artifact. One value rounded the other way changes thousands of later values in a
    deep network, and hardly any in a shallow one.
    """
    if again.basis == "values":
        return _near_values(again)
    if again.max_abs is None:  # nothing could be compared
        return INT8_QUIET
    told = {
        "max_abs": again.max_abs,
        "mean_lsb": again.mean_lsb,
        "max_block_lsb": again.block_lsb,
        "max_grid_lsb": again.grid_lsb,
    }
    least, most = INT8_QUIET.limits, INT8_WIDEST.limits
    limits = {name: _between(least[name], ENLARGED * (value or 0.0), most[name]) for name, value in told.items()}
    if again.psnr_db is not None:
        wanted = again.psnr_db - 20 * math.log10(ENLARGED)
        limits["min_psnr_db"] = _between(most["min_psnr_db"], wanted, least["min_psnr_db"])
    tolerance = replace(INT8_QUIET, **limits)  # type: ignore[arg-type]  # only limits are replaced
    return tolerance if tolerance == INT8_QUIET else replace(tolerance, reason=INT8_WIDEST.reason)


def _near_values(again: ParityReport) -> Tolerance:
    """The same for outputs other than pictures."""
    if (same := again.same) is not None:
        wanted = 1 - ENLARGED * (1 - same)
        least_share = _between(INT8_CLASSES_WIDEST.min_top1, wanted, INT8_CLASSES_QUIET.min_top1)
        return replace(INT8_CLASSES_QUIET, min_top1=least_share)
    least, most = INT8_VALUES_QUIET.limits, INT8_VALUES_WIDEST.limits
    limits = {"max_relative": _between(least["max_relative"], ENLARGED * (again.relative or 0.0), most["max_relative"])}
    if again.sqnr_db is not None:
        wanted = again.sqnr_db - 20 * math.log10(ENLARGED)
        limits["min_sqnr_db"] = _between(most["min_sqnr_db"], wanted, least["min_sqnr_db"])
    tolerance = replace(INT8_VALUES_QUIET, **limits)  # type: ignore[arg-type]  # only limits are replaced
    return tolerance if tolerance == INT8_VALUES_QUIET else replace(tolerance, reason=INT8_VALUES_WIDEST.reason)


def near_network(own: ParityReport, *, few: bool = False) -> Tolerance:
    """The limits of int8 artifacts against PyTorch; ``own`` is the QDQ model's own report against PyTorch.

    ``few``: the output has so few numbers that the ratio of two mean errors is chance (``parity_values.is_few``).
    """
    if own.basis == "values":
        return _near_network_values(own, few=few)
    assert QUANTIZATION.min_psnr_db is not None
    if own.psnr_db is None:
        return QUANTIZATION
    least = max(QUANTIZATION.min_psnr_db, own.psnr_db - WORSE_DB)
    reason = f"{QUANTIZATION.reason}; and no more than {WORSE_DB:g} dB worse than the QDQ model"
    return replace(QUANTIZATION, reason=reason, min_psnr_db=_down(least))


def _near_network_values(own: ParityReport, *, few: bool) -> Tolerance:
    if (same := own.same) is not None:
        assert QUANTIZATION_CLASSES.min_top1 is not None
        reason = f"{QUANTIZATION_CLASSES.reason}; and no more than {WORSE_SHARE:g} less than the QDQ model has"
        return replace(
            QUANTIZATION_CLASSES, reason=reason, min_top1=max(QUANTIZATION_CLASSES.min_top1, same - WORSE_SHARE)
        )
    assert QUANTIZATION_VALUES.min_sqnr_db is not None
    if own.sqnr_db is None:
        return QUANTIZATION_VALUES
    if few and own.probability is not None:
        reason = f"{QUANTIZATION_VALUES.reason}; {_BESIDE}"
        return replace(QUANTIZATION_VALUES, reason=reason, **_as_sure(own))
    least = max(QUANTIZATION_VALUES.min_sqnr_db, own.sqnr_db - WORSE_VALUES_DB)
    reason = f"{QUANTIZATION_VALUES.reason}; and no more than {WORSE_VALUES_DB:g} dB worse than the QDQ model"
    return replace(QUANTIZATION_VALUES, reason=reason, min_sqnr_db=_down(least))


BY_STEPS = Tolerance(
    "every int8 step was proven alone, on the levels that the runtime had before it: what is left at the end is ties "
    "that the network enlarges, and only the distance to PyTorch says whether they matter"
)
"""The limits against the QDQ model of files whose steps are proven: none."""


def beside_reference(own: ParityReport, *, few: bool = False) -> Tolerance:
    """Their limits against PyTorch: about as far as the QDQ model, on every picture; ``few`` as above."""
    if (same := own.same) is not None:
        reason = f"every step is proven, and no more than {WORSE_SHARE:g} fewer equal choices than the QDQ model has"
        return Tolerance(reason, min_top1=max(0.0, same - WORSE_SHARE))
    if own.basis == "values":
        if own.sqnr_db is None:
            return INT8_VALUES_QUIET
        if few and own.probability is not None:
            reason = f"every step is proven, and {_BESIDE}"
            return Tolerance(reason, min_sqnr_db=QUANTIZATION_VALUES.min_sqnr_db, **_as_sure(own))
        reason = f"every step is proven, and no more than {WORSE_VALUES_DB:g} dB worse than the QDQ model"
        return Tolerance(reason, min_sqnr_db=max(0.0, _down(own.sqnr_db - WORSE_VALUES_DB)))
    if own.psnr_db is None:
        return INT8_QUIET
    reason = f"every step is proven, and no more than {WORSE_DB:g} dB worse than the QDQ model"
    return Tolerance(reason, min_psnr_db=max(0.0, _down(own.psnr_db - WORSE_DB)))


_BESIDE = (
    f"no probability more than {WORSE_SHARE:g} further off, or {WORSE_SHARE:g} fewer equal choices, than the QDQ model"
)


def _as_sure(own: ParityReport) -> dict[str, float]:
    """Limits of logits and probabilities: about as far off as those of the QDQ model."""
    return {
        "max_probability": (own.probability or 0.0) + WORSE_SHARE,
        "min_top1": max(0.0, (own.top1 or 0.0) - WORSE_SHARE),
    }


def _between(low: float | None, value: float, high: float | None) -> float:
    assert low is not None
    assert high is not None
    return round(min(max(value, low), high), 3)


def _down(decibels: float) -> float:
    return math.floor(decibels * 10) / 10
