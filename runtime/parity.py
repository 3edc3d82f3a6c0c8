"""Whether what an artifact gives is what its network gives: shape, then number format, then NaN, then values.

Float artifacts are compared with PyTorch in real values, before any rounding; whatever gives integers, and every
int8 artifact, is compared as the 8-bit picture that a viewer gets. Differences are in 8-bit levels (LSB: 1/255 of the
value range), and PSNR has the peak 255 over all of RGB without a border.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from clearport.base import Artifact, Precision, TensorSpec
from clearport.runtime import pixels

if TYPE_CHECKING:
    from clearport.base import Array, Float32

Basis = Literal["real values", "8-bit pictures"]


@dataclass(frozen=True)
class Tolerance:
    """How far an output may be from its reference; None: not judged.

    Attributes:
        reason: why this far and no further.
        max_abs: largest difference in 8-bit levels.
        mean_lsb: largest mean difference in 8-bit levels.
        min_psnr_db: smallest PSNR.
        min_exact_share: smallest share (0..1) of equal values of the 8-bit pictures.
    """

    reason: str
    max_abs: float | None = None
    mean_lsb: float | None = None
    min_psnr_db: float | None = None
    min_exact_share: float | None = None

    def __str__(self) -> str:
        parts = (
            (self.max_abs, "max ≤ {:g} levels"),
            (self.mean_lsb, "mean ≤ {:g} levels"),
            (self.min_psnr_db, "PSNR ≥ {:g} dB"),
            (self.min_exact_share, "equal ≥ {:.0%}"),
        )
        return ", ".join(text.format(limit) for limit, text in parts if limit is not None)


@dataclass(frozen=True)
class ParityReport:
    """One artifact's output against its reference.

    Attributes:
        passed: whether it is within ``tolerance``; then ``failures`` is empty, otherwise it says what was not.
        psnr_db: None where it has no finite value: both are equal (``exact_share`` is 1), or nothing could be compared.
        max_abs, mean_lsb: largest and mean difference in 8-bit levels; None where nothing could be compared.
        exact_share: share (0..1) of values that are equal once both are 8-bit pictures.
        method: how the output came to be: ``ran on LiteRT``, ``reference-evaluated`` ...
        reference: what it was compared with.
        basis: whether the differences are those of real values or of 8-bit pictures.
    """

    passed: bool
    psnr_db: float | None
    max_abs: float | None
    mean_lsb: float | None
    exact_share: float | None
    method: str
    reference: str
    basis: Basis
    tolerance: Tolerance
    failures: tuple[str, ...] = ()


_FP32 = Tolerance("float32 sums in another order: 1e-4 of the value range", max_abs=255e-4)
_FP32_PICTURE = Tolerance(
    "a value that lies within float32 error of a half may be rounded the other way",
    max_abs=1.0,
    min_exact_share=0.99,
)
_FP16 = Tolerance("half precision keeps 11 bits: errors of about a quarter of an 8-bit level", min_psnr_db=60.0)
_FP16_PICTURE = Tolerance(
    "half precision keeps 11 bits, and rounding to 8 bit doubles its error where it falls near a half",
    max_abs=3.0,
    min_psnr_db=55.0,
)
_INT8_WEIGHTS = Tolerance("8-bit weights with float activations: an error of about one level", min_psnr_db=45.0)
_INT8 = Tolerance(
    "kernels round their sums differently, and a step of an early layer may grow on its way: on average under half a "
    "level, an RMS of one level (48.1 dB), nowhere a tenth of the range",
    max_abs=25.0,
    mean_lsb=0.5,
    min_psnr_db=48.1,
)

QUANTIZATION = Tolerance("the error of quantization itself: below 35 dB it can be seen", min_psnr_db=35.0)
"""How far int8 artifacts may be from PyTorch."""

_WORSE_DB = 0.5
"""What a file may be further from PyTorch than the QDQ model, where it must not be equal to that."""


def tolerance_for(precision: Precision, output: TensorSpec) -> Tolerance:
    """The limits of an artifact: against PyTorch fp32 for all but int8, whose reference is the QDQ model."""
    picture = output.dtype in pixels.INTEGERS
    return {
        "fp32": _FP32_PICTURE if picture else _FP32,
        "fp16": _FP16_PICTURE if picture else _FP16,
        "int8-weights": _INT8_WEIGHTS,
        "int8": _INT8,
    }[precision]


def tolerance_for_int8(reference: Reference, network: Reference) -> Tolerance:
    """The limits of int8 artifacts whose ``reference`` (the QDQ model) is as far from ``network`` (PyTorch) as it is.

    A network that enlarges steps, as one that brightens or a deep one whose features cancel does, enlarges those of
    rounding too: one feature that a kernel rounds the other way moves thousands behind it. Kernels that round
    differently may then differ by as much as rounding moved the reference itself.
    """
    own = _measure(reference.levels, network, "8-bit pictures")
    if not _enlarges(own):
        return _INT8
    assert own.max_abs is not None
    assert own.mean_lsb is not None
    assert own.psnr_db is not None
    assert _INT8.max_abs is not None
    assert _INT8.mean_lsb is not None
    assert _INT8.min_psnr_db is not None
    return Tolerance(
        "the network enlarges steps: kernels may differ by as much as int8 itself moved the reference from PyTorch",
        max_abs=max(_INT8.max_abs, own.max_abs),
        mean_lsb=round(max(_INT8.mean_lsb, own.mean_lsb), 3),
        min_psnr_db=round(min(_INT8.min_psnr_db, own.psnr_db), 1),
    )


def tolerance_of_quantization(reference: Reference, network: Reference) -> Tolerance:
    """How far int8 artifacts may be from ``network`` (PyTorch), from which ``reference`` (the QDQ model) is so far."""
    own = _measure(reference.levels, network, "8-bit pictures")
    if not _enlarges(own):
        return QUANTIZATION
    assert own.psnr_db is not None
    assert QUANTIZATION.min_psnr_db is not None
    return Tolerance(
        f"the network enlarges steps: a file may differ from the QDQ model, but not be worse by {_WORSE_DB:g} dB",
        min_psnr_db=round(max(QUANTIZATION.min_psnr_db, own.psnr_db - _WORSE_DB), 1),
    )


def _enlarges(own: ParityReport) -> bool:
    """Whether int8 itself moved the picture by more than kernels that round differently may."""
    return bool(_failures(replace(own, tolerance=_INT8)))


@dataclass(frozen=True)
class Reference:
    """What outputs are compared with: ``levels`` (H, W, 3) float32 on the 8-bit scale, and what made them."""

    name: str
    levels: Float32

    @classmethod
    def of(cls, name: str, tensor: Array, spec: TensorSpec) -> Reference:
        """A reference from a raw output tensor of batch 1."""
        return cls(name, pixels.to_levels(tensor, spec))


def compare(
    output: Array, artifact: Artifact, reference: Reference, method: str, tolerance: Tolerance | None = None
) -> ParityReport:
    """Judge the raw ``output`` of ``artifact`` by the limits of its precision, or by ``tolerance``."""
    spec = artifact.outputs[0]
    limits = tolerance or tolerance_for(artifact.precision, spec)
    as_pictures = artifact.precision == "int8" or spec.dtype in pixels.INTEGERS
    basis: Basis = "8-bit pictures" if as_pictures else "real values"
    unfit = _unfit(output, spec, reference)
    if unfit:
        return ParityReport(False, None, None, None, None, method, reference.name, basis, limits, (unfit,))
    report = _measure(pixels.to_levels(output, spec), reference, basis)
    return judge(replace(report, method=method, tolerance=limits))


def judge(report: ParityReport) -> ParityReport:
    """The same figures, with what its tolerance says of them."""
    failures = _failures(report)
    return replace(report, failures=failures, passed=not failures)


def _unfit(output: Array, spec: TensorSpec, reference: Reference) -> str | None:
    """Why values cannot be compared at all."""
    height, width, channels = reference.levels.shape
    shape = (1, height, width, channels) if spec.layout == "NHWC" else (1, channels, height, width)
    if output.shape != shape:
        return f"shape {output.shape}, expected {shape} ({spec.layout})"
    if output.dtype != np.dtype(spec.dtype):
        return f"dtype {output.dtype}, expected {spec.dtype}"
    if output.dtype.kind == "f" and not np.isfinite(output).all():
        bad = output.size - int(np.isfinite(output).sum())
        return f"{bad} of {output.size} values are NaN or infinite"
    return None


def _measure(levels: Float32, reference: Reference, basis: Basis) -> ParityReport:
    pictures = _eight_bit(levels), _eight_bit(reference.levels)
    left, right = pictures if basis == "8-bit pictures" else (levels, reference.levels)
    difference = np.abs(left.astype(np.float64) - right)
    square = float(np.mean(difference**2))
    return ParityReport(
        passed=True,
        psnr_db=10 * math.log10(255.0**2 / square) if square else None,
        max_abs=float(difference.max()),
        mean_lsb=float(difference.mean()),
        exact_share=float(np.mean(pictures[0] == pictures[1])),
        method="",
        reference=reference.name,
        basis=basis,
        tolerance=Tolerance(""),
    )


def _eight_bit(levels: Float32) -> Float32:
    return np.clip(np.rint(levels), np.float32(0), np.float32(255))


def _failures(report: ParityReport) -> tuple[str, ...]:
    limits = report.tolerance
    assert report.max_abs is not None
    assert report.mean_lsb is not None
    assert report.exact_share is not None
    psnr_db = math.inf if report.psnr_db is None else report.psnr_db
    checks = (
        (limits.max_abs, report.max_abs, 1, "largest difference {:.4g} levels, allowed {:g}"),
        (limits.mean_lsb, report.mean_lsb, 1, "mean difference {:.4g} levels, allowed {:g}"),
        (limits.min_psnr_db, psnr_db, -1, "PSNR {:.2f} dB, expected at least {:g}"),
        (limits.min_exact_share, report.exact_share, -1, "{:.2%} of the values are equal, expected at least {:.0%}"),
    )
    return tuple(
        text.format(value, limit)
        for limit, value, sign, text in checks
        if limit is not None and not sign * value <= sign * limit
    )
